//! The options of a source: the checks of the command line, the paths in them, and the merge of two sources.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use devrun::supervise::Endpoint;

use crate::cli::args::{
    CheckOptions, ConfigSource, Options, OutputOptions, RunOptions, ServerOptions, WatchOptions,
};
use crate::cli::parse::nearest;
use crate::ui::{CliError, escape_path};

/// Merges a group field by field: a value of `upper`, else that of `lower`; the lists after `;` are joined. The
/// macro names every field, so the compiler finds an option that is missing here.
macro_rules! first_given {
    ($upper:expr, $lower:expr, $group:ident { $($field:ident),* ; $($joined:ident),* }) => {{
        let (lower, $group { $($field,)* $($joined,)* }) = ($lower, $upper);
        $group {
            $($field: $field.or(lower.$field),)*
            $($joined: joined(lower.$joined, $joined),)*
        }
    }};
}

/// Merges two sources: `upper` wins. Patterns, variables and expected paths of both are joined.
pub(crate) fn over(upper: Options, lower: Options) -> Options {
    Options {
        source: first_given!(upper.source, lower.source, ConfigSource { config, profile; }),
        watch: first_given!(upper.watch, lower.watch, WatchOptions {
            paths, ext, filter, ignore_file, no_vcs_ignore, no_default_ignore, mode, poll_interval, debounce, compare;
            ignore
        }),
        run: first_given!(upper.run, lower.run, RunOptions {
            command, on_busy, on_exit, on_loop, stop_signal, stop_scope, stop_timeout, build, postpone, no_watch,
            workdir, env_file, shell, stdin, no_control, clear;
            env
        }),
        server: first_given!(upper.server, lower.server, ServerOptions {
            proxy, listen, pass_socket, ready_path, ready_timeout, drain_timeout, no_overlap, no_live_reload,
            no_forwarded;
        }),
        check: first_given!(upper.check, lower.check, CheckOptions {
            strict, matches_nothing, only;
            expect_ignored, expect_watched, allow
        }),
        output: output_over(upper.output, lower.output),
    }
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
        no_title: upper.no_title.or(lower.no_title),
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
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
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

/// Whether the value of `--ignore-file` is a path. Without `/` it is a name that devrun reads in every directory.
pub(crate) fn is_path(file: &Path) -> bool {
    file.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// Whether a path lies in a root. Resolves links only if the path as written does not tell.
pub(crate) fn is_below(path: &Path, roots: &[PathBuf]) -> bool {
    let below = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    (is_plain && below(path)) || below(&resolved(path))
}

/// The path without `..` and without links above its last name, which is the form in which the watch reports paths.
/// Parts that do not exist stay as they are.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    if path.components().next_back() == Some(Component::ParentDir) {
        return path.canonicalize().unwrap_or_else(|_| path.to_owned());
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => match parent.canonicalize() {
            Ok(parent) => parent.join(name),
            Err(_) => resolved(parent).join(name),
        },
        _ => path.to_owned(),
    }
}

/// Checks the paths on the command line and the options that exclude each other.
///
/// A path on the command line must exist at the start, because a misspelled root would be watched without effect.
pub(crate) fn check_command_line(options: &Options, directory: &Path) -> Result<(), CliError> {
    for path in options.watch.paths.iter().flatten() {
        must_exist("--watch", path, directory)?;
    }
    for path in options.run.env_file.iter().flatten() {
        must_be_file("--env-file", path, directory)?;
    }
    for path in options.watch.ignore_file.iter().flatten().filter(|file| is_path(file)) {
        must_be_file("--ignore-file", path, directory)?;
    }
    if options.source.profile.as_deref() == Some("") {
        return Err(CliError::new("the value of --profile is empty").with_remedy("write --profile NAME"));
    }
    if options.output.verbose > 0 && options.output.quiet == Some(true) {
        return Err(
            CliError::new("--verbose and --quiet contradict each other").with_remedy("leave one of them out")
        );
    }
    Ok(())
}

/// Checks that the path of an option exists. Relative paths start at `directory`.
pub(crate) fn must_exist(option: &str, path: &Path, directory: &Path) -> Result<(), CliError> {
    if path.as_os_str().is_empty() {
        return Err(CliError::new(format!("the value of {option} is empty"))
            .with_remedy(format!("write {option} PATH")));
    }
    let full = directory.join(path);
    let error = match full.metadata() {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    // NotADirectory: a part of the path is a file.
    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        return Err(CliError::failed_to(format_args!("read {option} {}", escape_path(path)), &error));
    }
    let missing = CliError::new(format!("{option}: {} does not exist", escape_path(path)));
    Err(match similar_name(&full) {
        Some(near) => {
            missing.with_remedy(format!("did you mean {}?", escape_path(&path.with_file_name(near))))
        }
        None if option == "--watch" => missing.with_remedy(
            "create it, or watch a directory above it; a path in devrun.toml may be created later",
        ),
        None => missing.with_remedy("create it, or name another file"),
    })
}

fn must_be_file(option: &str, path: &Path, directory: &Path) -> Result<(), CliError> {
    must_exist(option, path, directory)?;
    if directory.join(path).is_dir() {
        return Err(CliError::new(format!("{option}: {} is a directory", escape_path(path)))
            .with_remedy("name a file"));
    }
    Ok(())
}

/// The name in the same directory that is most similar to the missing one.
fn similar_name(missing: &Path) -> Option<OsString> {
    let name = missing.file_name()?.to_str()?;
    let entries = std::fs::read_dir(missing.parent()?).ok()?;
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    nearest(name, names.iter().map(String::as_str)).map(Into::into)
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
