//! `devrun explain`: which rule decides, for each path. Streams: an answer is written before the next path is
//! waited for, and a million paths take no more memory than ten.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use devrun::rules::{DefectKind, EntryKind, Layer, Rule, Rules, Verdict};
use devrun::watch::Selection;
use serde::Serialize;

use crate::config::settings::Settings;
use crate::config::validate::is_below;
use crate::ui::byte_string::{self, ByteString};
use crate::ui::error::{CliError, ExitCode};
use crate::ui::escape::{escape_bytes, escape_path, escape_text};
use crate::ui::style::{ERROR, FAINT, GOOD, NAME, styled};
use crate::ui::terminal::Terminal;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// As typed, relative to `settings.directory`.
    pub(crate) paths: Vec<PathBuf>,
    /// Paths come from standard input too.
    pub(crate) stdin: bool,
    /// They end with NUL.
    pub(crate) null: bool,
    /// Answer with one JSON object per path.
    pub(crate) json: bool,
}

/// Says which rule decides, for each path.
pub(crate) fn run(
    settings: Settings,
    question: Question,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    if question.paths.is_empty() && !question.stdin {
        return Err(CliError::new("there is no path to explain").with_remedy(
            "name one, such as `devrun explain src`, or pipe them in: git ls-files | devrun explain --stdin",
        ));
    }
    let rules = Rules::new(settings.rules_options()).map_err(|error| CliError::from_library(&error))?;
    let selection =
        Selection::new(&settings.watch_options()).map_err(|error| CliError::from_library(&error))?;
    let mut answers = Answers {
        directory: &settings.directory,
        rules: &rules,
        selection: &selection,
        roots: &settings.watch.roots,
        json: question.json,
        some_ignored: false,
    };
    for path in &question.paths {
        answers.answer(path.as_os_str().as_encoded_bytes(), path, terminal)?;
    }
    if question.stdin {
        answers.answer_stdin(if question.null { 0 } else { b'\n' }, terminal)?;
    }
    terminal.flush()?;
    let code = if answers.some_ignored { ExitCode::Success } else { ExitCode::Findings };
    warn_of_unread(&rules, &settings, terminal);
    Ok(code)
}

/// An answer that rests on a file that could not be read may be wrong: that is said.
fn warn_of_unread(rules: &Rules, settings: &Settings, terminal: &mut Terminal) {
    for defect in rules.defects() {
        if let (DefectKind::Unreadable(why), Some(source)) = (&defect.kind, &defect.source) {
            let message = format!("{} cannot be read: {}", settings.shown(source), escape_text(why));
            terminal.warn(message, "its rules are left out; make it readable or remove it");
        }
    }
}

struct Answers<'a> {
    directory: &'a Path,
    rules: &'a Rules,
    selection: &'a Selection,
    roots: &'a [PathBuf],
    json: bool,
    some_ignored: bool,
}

impl Answers<'_> {
    fn answer_stdin(&mut self, end: u8, terminal: &mut Terminal) -> Result<(), CliError> {
        let mut input = BufReader::with_capacity(1 << 16, std::io::stdin().lock());
        let mut path = Vec::new();
        loop {
            if input.buffer().is_empty() {
                // The one who asks may wait for the answer before the next question.
                terminal.flush()?;
            }
            path.clear();
            let read = input.read_until(end, &mut path);
            if read.map_err(|error| CliError::failed_to("read standard input", &error))? == 0 {
                return Ok(());
            }
            if path.last() == Some(&end) {
                path.pop();
            }
            let typed = typed_path(&path);
            self.answer(&path, &typed, terminal)?;
        }
    }

    fn answer(&mut self, bytes: &[u8], typed: &Path, terminal: &mut Terminal) -> Result<(), CliError> {
        let full = self.directory.join(typed);
        let kind = EntryKind::of_path(&full);
        let verdict = self.rules.verdict(&full, kind);
        self.some_ignored |= verdict.is_ignored();
        let left_out = match verdict.is_ignored() {
            true => None,
            false if !is_below(&full, self.roots) => Some(LeftOut::Outside),
            false => (kind == EntryKind::File && !self.selection.wants(&full)).then_some(LeftOut::Unwanted),
        };
        if self.json {
            let answer = self.json_answer(bytes, &verdict, left_out);
            let line =
                serde_json::to_string(&answer).map_err(|error| CliError::failed_to("write JSON", &error))?;
            terminal.println(line)
        } else {
            terminal.println(self.sentence(bytes, &verdict, left_out))
        }
    }

    fn json_answer(&self, path: &[u8], verdict: &Verdict, left_out: Option<LeftOut>) -> Answer {
        let source = |rule: &Rule| {
            let source = rule.source.as_deref()?;
            Some(ByteString::from_path(&source_from(self.directory, source, rule.layer)))
        };
        let rule = verdict.by.as_deref().map(|rule| RuleAnswer {
            layer: rule.layer.as_str(),
            source: source(rule),
            line: rule.line,
            pattern: ByteString::new(rule.pattern.clone()),
        });
        Answer {
            path: ByteString::new(path),
            ignored: verdict.is_ignored(),
            left_out: left_out.is_some(),
            rule,
            parent: verdict
                .parent
                .as_deref()
                .map(|parent| ByteString::from_path(&from(self.directory, parent))),
        }
    }

    fn sentence(&self, path: &[u8], verdict: &Verdict, left_out: Option<LeftOut>) -> String {
        let path = styled(NAME, escape_bytes(path));
        let word = if verdict.is_ignored() { styled(ERROR, "ignored") } else { styled(GOOD, "watched") };
        let mut text = format!("{path}  {word}");
        if let Some(why) = left_out {
            let why = match why {
                LeftOut::Outside => "it lies outside what is watched",
                LeftOut::Unwanted => "neither --ext nor --filter wants it",
            };
            return format!("{path}  {}: {why}", styled(ERROR, "left out"));
        }
        if let Some(rule) = &verdict.by {
            let _ = write!(text, " by {}  {}", self.place(rule), escape_bytes(&rule.pattern));
        }
        if let Some(parent) = &verdict.parent {
            let parent = escape_path(&from(self.directory, parent));
            let _ = write!(text, "  {}", styled(FAINT, format_args!("(with its parent {parent}/)")));
        }
        text
    }

    /// Where a rule stands.
    fn place(&self, rule: &Rule) -> String {
        match (&rule.source, rule.layer) {
            (Some(source), layer) => {
                format!("{}:{}", escape_path(&source_from(self.directory, source, layer)), rule.line)
            }
            (None, Layer::Patterns) => "-i".into(),
            (None, _) => "the built-in rules".into(),
        }
    }
}

/// Why a path does not count although no rule ignores it.
#[derive(Clone, Copy)]
enum LeftOut {
    /// It lies in no root.
    Outside,
    /// The extensions or filters do not want it.
    Unwanted,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten, serialize_with = "byte_string::path")]
    path: ByteString,
    ignored: bool,
    /// No rule ignores it, but it lies outside every root, or the extensions or filters do not want it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left_out: bool,
    rule: Option<RuleAnswer>,
    /// The directory whose exclusion decided, if it is not the path itself.
    #[serde(flatten, serialize_with = "byte_string::parent", skip_serializing_if = "Option::is_none")]
    parent: Option<ByteString>,
}

#[derive(Serialize)]
struct RuleAnswer {
    layer: &'static str,
    #[serde(flatten, serialize_with = "byte_string::source")]
    source: Option<ByteString>,
    line: u32,
    #[serde(flatten, serialize_with = "byte_string::pattern")]
    pattern: ByteString,
}

/// A path from bytes as they were read.
fn typed_path(bytes: &[u8]) -> Cow<'_, Path> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        Cow::Borrowed(Path::new(std::ffi::OsStr::from_bytes(bytes)))
    }
    #[cfg(not(unix))]
    {
        Cow::Owned(PathBuf::from(String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// Where a rule's file is: git's global file is named in full, as git does.
fn source_from(directory: &Path, source: &Path, layer: Layer) -> PathBuf {
    if layer == Layer::GitGlobal && !source.starts_with(directory) {
        source.into()
    } else {
        from(directory, source)
    }
}

/// A path as seen from a directory, with `..` where it is above or beside.
fn from(directory: &Path, path: &Path) -> PathBuf {
    let Some(common) = directory.ancestors().find(|above| path.starts_with(above)) else {
        return path.into();
    };
    let up = directory.strip_prefix(common).map_or(0, |below| below.components().count());
    let below = path.strip_prefix(common).unwrap_or(path);
    let seen: PathBuf = std::iter::repeat_n(Path::new(".."), up).chain([below]).collect();
    if seen.as_os_str().is_empty() { ".".into() } else { seen }
}
