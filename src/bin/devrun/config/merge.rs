//! Merges the options of two sources, and makes their paths absolute.

use std::path::{Path, PathBuf};

use devrun::supervise::Endpoint;

use crate::cli::args::{CheckOptions, Options, OutputOptions, RunOptions, ServerOptions, WatchOptions};
use crate::config::paths::is_path;

/// Merges a group field by field: a value of `upper`, else that of `lower`; the lists after `;` are joined. The
/// macro names every field, so the compiler finds an option that is missing here.
macro_rules! first_given {
    ($upper:ident, $lower:ident, $group:ident { $($field:ident),+ ; $($joined:ident),* }) => {{
        let $group { $($field,)+ $($joined,)* } = $upper;
        $group {
            $($field: $field.or($lower.$field),)+
            $($joined: joined($lower.$joined, $joined),)*
        }
    }};
}

/// Merges two sources: `upper` wins. Patterns, variables and expected paths of both are joined.
pub(crate) fn over(upper: Options, lower: Options) -> Options {
    let (watch, low) = (upper.watch, lower.watch);
    let watch = first_given!(watch, low, WatchOptions {
        paths, ext, filter, ignore_file, no_vcs_ignore, no_default_ignore, mode, poll_interval, debounce, compare;
        ignore
    });
    let (run, low) = (upper.run, lower.run);
    let run = first_given!(run, low, RunOptions {
        command, on_busy, on_exit, on_loop, stop_signal, stop_scope, stop_timeout, build, postpone, no_watch, workdir,
        env_file, shell, stdin, clear;
        env
    });
    let (server, low) = (upper.server, lower.server);
    let server = first_given!(server, low, ServerOptions {
        proxy, listen, pass_socket, ready_path, ready_timeout, drain_timeout, no_overlap, no_live_reload,
        no_forwarded;
    });
    let (check, low) = (upper.check, lower.check);
    let check =
        first_given!(check, low, CheckOptions { strict, matches_nothing; expect_ignored, expect_watched });
    Options { watch, run, server, check, output: output_over(upper.output, lower.output) }
}

/// Both lists, `lower` first: among patterns and among variables the last one wins.
fn joined<T>(lower: Option<Vec<T>>, upper: Option<Vec<T>>) -> Option<Vec<T>> {
    match (lower, upper) {
        (Some(mut lower), Some(upper)) => {
            lower.extend(upper);
            Some(lower)
        }
        (lower, upper) => upper.or(lower),
    }
}

/// `--verbose` and `--quiet` exclude each other, so a source with one of them overrides both.
fn output_over(upper: OutputOptions, lower: OutputOptions) -> OutputOptions {
    let has_level = upper.verbose > 0 || upper.quiet.is_some();
    OutputOptions {
        verbose: if has_level { upper.verbose } else { lower.verbose },
        quiet: if has_level { upper.quiet } else { lower.quiet },
        color: upper.color.or(lower.color),
        log_format: upper.log_format.or(lower.log_format),
    }
}

/// Makes the paths absolute: relative paths start at `dir`.
pub(crate) fn absolute(mut options: Options, dir: &Path) -> Options {
    // Without `clean`, `join(".")` would end in `/.`.
    let join = |path: &mut PathBuf| *path = clean(&dir.join(&*path));
    options.watch.paths.iter_mut().flatten().for_each(join);
    options.run.env_file.iter_mut().flatten().for_each(join);
    options.run.workdir.iter_mut().for_each(join);
    options.watch.ignore_file.iter_mut().flatten().filter(|file| is_path(file)).for_each(join);
    for path in options.check.expect_ignored.iter_mut().chain(&mut options.check.expect_watched).flatten() {
        let directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        join(path);
        if directory {
            path.push("");
        }
    }
    for listen in options.server.listen.iter_mut().flatten() {
        if let Endpoint::Unix(path) = &mut listen.endpoint {
            join(path);
        }
    }
    options
}

/// The path without `.` components. `..` stays, because the kernel resolves it after symbolic links.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

/// Anchors the patterns at `base` instead of `directory`, which lies below it.
pub(crate) fn anchored(mut options: Options, directory: &Path, base: &Path) -> Options {
    if let Ok(below) = directory.strip_prefix(base)
        && !below.as_os_str().is_empty()
    {
        let below = escaped(below.as_os_str().as_encoded_bytes());
        for pattern in options.watch.ignore.iter_mut().flatten() {
            *pattern = prefixed(pattern, &below);
        }
    }
    options
}

/// The pattern with a prefix: in `web`, `dist/` becomes `/web/**/dist/` and `/dist` becomes `/web/dist`.
fn prefixed(pattern: &[u8], below: &[u8]) -> Vec<u8> {
    let (negation, rest) = match pattern.strip_prefix(b"!") {
        Some(rest) => (&b"!"[..], rest),
        None => (&b""[..], pattern),
    };
    let inner = rest.strip_suffix(b"/").unwrap_or(rest);
    let between: &[u8] = if inner.contains(&b'/') { b"/" } else { b"/**/" };
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    [negation, b"/", below, between, rest].concat()
}

/// A pattern that matches exactly this path.
fn escaped(path: &[u8]) -> Vec<u8> {
    let special = |byte: u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
    path.iter().flat_map(|byte| special(*byte).then_some(b'\\').into_iter().chain([*byte])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_typed_in_a_subdirectory_applies_only_there() {
        assert_eq!(prefixed(b"dist/", b"web"), b"/web/**/dist/");
        assert_eq!(prefixed(b"/dist", b"web"), b"/web/dist");
        assert_eq!(prefixed(b"a/b", b"web"), b"/web/a/b");
        assert_eq!(prefixed(b"!*.log", b"we\\[b"), b"!/we\\[b/**/*.log");
    }

    #[test]
    fn verbose_on_the_command_line_overrides_quiet_in_the_file() {
        let typed = Options {
            output: OutputOptions { verbose: 1, ..OutputOptions::default() },
            ..Options::default()
        };
        let file = Options {
            output: OutputOptions { quiet: Some(true), ..OutputOptions::default() },
            ..Options::default()
        };
        let merged = over(typed, file);
        assert_eq!((merged.output.verbose, merged.output.quiet), (1, None));
    }
}
