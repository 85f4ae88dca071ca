//! `devrun explain`: which rule decides, for each path.
//!
//! Each answer is printed before the next path is read, so memory does not grow with the number of paths.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use devrun::rules::{DefectKind, EntryKind, Layer, Rule, Rules, Scope, Verdict};
use devrun::watch::Selection;

use crate::cli::values::Format;
use crate::config::Settings;
use crate::ui::{
    ByteString, CliError, ERROR, ExitCode, FAINT, GOOD, NAME, Object, Terminal, escape_bytes, escape_path,
    escape_text, styled,
};

/// Capacity of the buffer for standard input.
const STDIN_BUFFER: usize = 64 * 1024;

/// Prints the deciding rule for each path, relative to `settings.directory`. With a terminator, standard input has
/// more paths, each ended by that byte.
pub(crate) fn run(
    settings: Settings,
    paths: &[PathBuf],
    stdin_terminator: Option<u8>,
    format: Format,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    if paths.is_empty() && stdin_terminator.is_none() {
        return Err(CliError::new("there is no path to explain").with_remedy(
            "name a path, such as `devrun explain src`, or pipe paths: git ls-files | devrun explain --stdin",
        ));
    }
    let rules = settings.rules()?;
    let selection = settings.selection()?;
    let mut explainer =
        Explainer { settings: &settings, rules: &rules, selection: &selection, format, some_ignored: false };
    for path in paths {
        explainer.explain(path, terminal)?;
    }
    if let Some(terminator) = stdin_terminator {
        explainer.explain_stdin(terminator, terminal)?;
    }
    terminal.flush()?;
    let exit_code = if explainer.some_ignored { ExitCode::Success } else { ExitCode::Findings };
    warn_of_unreadable_files(&rules, &settings, terminal);
    Ok(exit_code)
}

/// An unreadable rule file can make an answer wrong, so a warning names it.
fn warn_of_unreadable_files(rules: &Rules, settings: &Settings, terminal: &mut Terminal) {
    for defect in rules.defects() {
        if let (DefectKind::Unreadable(reason), Some(source)) = (&defect.kind, &defect.source) {
            let message = format!("cannot read {}: {}", settings.shown(source), escape_text(reason));
            terminal.warn(message, "its rules do not apply: make it readable, or remove it");
        }
    }
}

struct Explainer<'a> {
    settings: &'a Settings,
    rules: &'a Rules,
    selection: &'a Selection,
    format: Format,
    some_ignored: bool,
}

impl Explainer<'_> {
    fn explain_stdin(&mut self, terminator: u8, terminal: &mut Terminal) -> Result<(), CliError> {
        let mut input = BufReader::with_capacity(STDIN_BUFFER, std::io::stdin().lock());
        let mut path = Vec::new();
        loop {
            if input.buffer().is_empty() {
                // The writer may wait for this answer before it sends the next path.
                terminal.flush()?;
            }
            path.clear();
            let read = input.read_until(terminator, &mut path);
            if read.map_err(|error| CliError::failed_to("read standard input", &error))? == 0 {
                return Ok(());
            }
            if path.last() == Some(&terminator) {
                path.pop();
            }
            self.explain(Path::new(std::ffi::OsStr::from_bytes(&path)), terminal)?;
        }
    }

    fn explain(&mut self, path: &Path, terminal: &mut Terminal) -> Result<(), CliError> {
        let bytes = path.as_os_str().as_bytes();
        let full = self.settings.directory.join(path);
        let kind = EntryKind::of_path(&full);
        let verdict = self.rules.verdict(&full, kind);
        self.some_ignored |= verdict.is_ignored();
        let scope = self.settings.scope(&full, kind, self.selection);
        match self.format {
            Format::Human => terminal.println(self.sentence(bytes, &verdict, scope)),
            Format::Json => terminal.println_data(self.object(bytes, &verdict, scope)),
        }
    }

    /// The answer in JSON. `left_out` is there if no rule ignores the path, but it is outside of every root, or
    /// `--ext` and `--filter` do not select it. `parent` is there if the rule matched an ignored directory that
    /// contains the path.
    fn object(&self, path: &[u8], verdict: &Verdict, scope: Scope) -> Object {
        let directory = &self.settings.directory;
        let rule = verdict.by.as_deref().map(|rule| {
            let source = rule.source.as_deref().map(|source| relative_source(directory, source, rule.layer));
            Object::default()
                .set("layer", rule.layer.as_str())
                .bytes("source", source.map(|source| ByteString::from_path(&source)))
                .set("line", rule.line)
                .bytes("pattern", ByteString::new(rule.pattern.clone()))
        });
        let object =
            Object::default().bytes("path", ByteString::new(path)).set("ignored", verdict.is_ignored());
        let is_left_out = !verdict.is_ignored() && scope != Scope::Inside;
        let object = if is_left_out { object.set("left_out", true) } else { object };
        let object = object.object("rule", rule);
        match verdict.parent.as_deref() {
            Some(parent) => object.bytes("parent", ByteString::from_path(&relative_path(directory, parent))),
            None => object,
        }
    }

    fn sentence(&self, path: &[u8], verdict: &Verdict, scope: Scope) -> String {
        let path = styled(NAME, escape_bytes(path));
        let reason = match scope {
            _ if verdict.is_ignored() => None,
            Scope::OutsideRoots => Some("it is outside of the watched paths"),
            Scope::NotSelected => Some("--ext and --filter do not select it"),
            _ => None,
        };
        if let Some(reason) = reason {
            return format!("{path}  {}: {reason}", styled(ERROR, "left out"));
        }
        let word = if verdict.is_ignored() { styled(ERROR, "ignored") } else { styled(GOOD, "watched") };
        let mut text = format!("{path}  {word}");
        if let Some(rule) = &verdict.by {
            let _ = write!(text, " by {}  {}", self.rule_location(rule), escape_bytes(&rule.pattern));
        }
        if let Some(parent) = &verdict.parent {
            let parent = escape_path(&relative_path(&self.settings.directory, parent));
            let _ = write!(text, "  {}", styled(FAINT, format_args!("(with its parent {parent}/)")));
        }
        text
    }

    fn rule_location(&self, rule: &Rule) -> String {
        match (&rule.source, rule.layer) {
            (Some(source), layer) => {
                let source = relative_source(&self.settings.directory, source, layer);
                format!("{}:{}", escape_path(&source), rule.line)
            }
            (None, Layer::Patterns) => "-i".into(),
            (None, _) => "the built-in rules".into(),
        }
    }
}

/// The rule file relative to `directory`. The global file of git keeps its full path, as `git check-ignore`
/// prints it.
fn relative_source(directory: &Path, source: &Path, layer: Layer) -> PathBuf {
    if layer == Layer::GitGlobal && !source.starts_with(directory) {
        source.into()
    } else {
        relative_path(directory, source)
    }
}

/// The path relative to `directory`, with `..` for each level above it.
fn relative_path(directory: &Path, path: &Path) -> PathBuf {
    let Some(common) = directory.ancestors().find(|above| path.starts_with(above)) else {
        return path.into();
    };
    let up = directory.strip_prefix(common).map_or(0, |below| below.components().count());
    let below = path.strip_prefix(common).unwrap_or(path);
    let relative: PathBuf = std::iter::repeat_n(Path::new(".."), up).chain([below]).collect();
    if relative.as_os_str().is_empty() { ".".into() } else { relative }
}
