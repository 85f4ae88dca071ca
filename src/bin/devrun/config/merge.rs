//! One source of options over another, and paths made independent of where they were written. Pure.

use std::path::{Path, PathBuf};

use devrun::supervise::Endpoint;

use crate::cli::args::{Check, Layer, Output, Run, Server, Watch};
use crate::cli::values::Pattern;

/// The fields of a group, each the upper one's if it is given. Naming them all makes the compiler see to it
/// that no new option is forgotten.
macro_rules! first_given {
    ($upper:ident, $lower:ident, $group:ident { $($field:ident),+ ; $($joined:ident),* }) => {{
        let $group { $($field,)+ $($joined,)* } = $upper;
        $group {
            $($field: $field.or($lower.$field),)+
            $($joined: joined($lower.$joined, $joined),)*
        }
    }};
}

/// Options of `upper`, and of `lower` where `upper` says nothing. Patterns, variables and expectations add up.
pub(crate) fn over(upper: Layer, lower: Layer) -> Layer {
    let (watch, low) = (upper.watch, lower.watch);
    let watch = first_given!(watch, low, Watch {
        paths, ext, filter, ignore_file, no_vcs_ignore, no_default_ignore, mode, poll_interval, debounce, compare;
        ignore
    });
    let (run, low) = (upper.run, lower.run);
    let run = first_given!(run, low, Run {
        command, on_busy, on_exit, on_loop, stop_signal, stop_timeout, build, postpone, no_watch, workdir,
        env_file, shell, stdin, clear;
        env
    });
    let (server, low) = (upper.server, lower.server);
    let server = first_given!(server, low, Server {
        proxy, listen, pass_socket, ready_path, ready_timeout, drain_timeout, no_overlap, no_live_reload;
    });
    let (check, low) = (upper.check, lower.check);
    let check = first_given!(check, low, Check { strict, matches_nothing; expect_ignored, expect_watched });
    Layer { watch, run, server, check, output: output_over(upper.output, lower.output) }
}

/// The lower one's first: what comes later decides, among patterns and variables both.
fn joined<T>(lower: Option<Vec<T>>, upper: Option<Vec<T>>) -> Option<Vec<T>> {
    match (lower, upper) {
        (Some(mut lower), Some(upper)) => {
            lower.extend(upper);
            Some(lower)
        }
        (lower, upper) => upper.or(lower),
    }
}

/// `--verbose` and `--quiet` are one question: who answers one of them answers both.
fn output_over(upper: Output, lower: Output) -> Output {
    let answered = upper.verbose > 0 || upper.quiet.is_some();
    Output {
        verbose: if answered { upper.verbose } else { lower.verbose },
        quiet: if answered { upper.quiet } else { lower.quiet },
        color: upper.color.or(lower.color),
        log_format: upper.log_format.or(lower.log_format),
    }
}

/// The options with their paths absolute: relative ones are below `dir`.
pub(crate) fn absolute(mut layer: Layer, dir: &Path) -> Layer {
    // `join(".")` would leave a `/.` behind that no other path has.
    let join = |path: &mut PathBuf| *path = clean(&dir.join(&*path));
    layer.watch.paths.iter_mut().flatten().for_each(join);
    layer.run.env_file.iter_mut().flatten().for_each(join);
    layer.run.workdir.iter_mut().for_each(join);
    for file in layer.watch.ignore_file.iter_mut().flatten() {
        // A bare name is looked for in every directory.
        if file.as_os_str().as_encoded_bytes().contains(&b'/') {
            join(file);
        }
    }
    for path in layer.check.expect_ignored.iter_mut().chain(&mut layer.check.expect_watched).flatten() {
        let directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        join(path);
        if directory {
            path.push("");
        }
    }
    for listen in layer.server.listen.iter_mut().flatten() {
        if let Endpoint::Unix(path) = &mut listen.endpoint {
            join(path);
        }
    }
    layer
}

/// A path without `.` components; `..` stays, since the kernel resolves it after symbolic links.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

/// The options with typed patterns anchored at `base` as they were at `directory`, which lies below it.
pub(crate) fn anchored(mut layer: Layer, directory: &Path, base: &Path) -> Layer {
    if let Ok(below) = directory.strip_prefix(base)
        && !below.as_os_str().is_empty()
    {
        let below = escaped(below.as_os_str().as_encoded_bytes());
        for Pattern(pattern) in layer.watch.ignore.iter_mut().flatten() {
            *pattern = moved(pattern, &below);
        }
    }
    layer
}

/// `dist/` typed in `web` is `/web/**/dist/` of the project, `/dist` is `/web/dist`.
fn moved(pattern: &[u8], below: &[u8]) -> Vec<u8> {
    let (negation, rest) = match pattern.strip_prefix(b"!") {
        Some(rest) => (&b"!"[..], rest),
        None => (&b""[..], pattern),
    };
    let inner = rest.strip_suffix(b"/").unwrap_or(rest);
    let between: &[u8] = if inner.contains(&b'/') { b"/" } else { b"/**/" };
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    [negation, b"/", below, between, rest].concat()
}

/// A path's bytes as a pattern that matches just them.
fn escaped(path: &[u8]) -> Vec<u8> {
    let special = |byte: u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
    path.iter().flat_map(|byte| special(*byte).then_some(b'\\').into_iter().chain([*byte])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_typed_in_a_subdirectory_stay_there() {
        assert_eq!(moved(b"dist/", b"web"), b"/web/**/dist/");
        assert_eq!(moved(b"/dist", b"web"), b"/web/dist");
        assert_eq!(moved(b"a/b", b"web"), b"/web/a/b");
        assert_eq!(moved(b"!*.log", b"we\\[b"), b"!/we\\[b/**/*.log");
    }

    #[test]
    fn quiet_of_the_file_gives_way_to_verbose_of_the_command_line() {
        let typed = Layer { output: Output { verbose: 1, ..Output::default() }, ..Layer::default() };
        let file = Layer { output: Output { quiet: Some(true), ..Output::default() }, ..Layer::default() };
        let merged = over(typed, file);
        assert_eq!((merged.output.verbose, merged.output.quiet), (1, None));
    }
}
