//! Finds and reads devrun.toml. Each value becomes a word such as `--debounce=50ms`, so the parser of the command line
//! also reads the file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, Parser as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::args::Options;
use crate::cli::parse::{nearest, usage_error};
use crate::cli::values::CommandLine;
use crate::config::key::{Key, Kind, Table};
use crate::config::options::over;
use crate::ui::{CliError, SourceSpan, escape_path};

/// The name of the file.
pub(crate) const FILE_NAME: &str = "devrun.toml";

/// Maximum size. A larger file is not a configuration, but a device or a download.
const MAX_SIZE: u64 = 16 << 20;

/// The devrun.toml of a directory: in the directory itself, or in the nearest one above it within the repository.
/// Outside a repository only the directory itself counts, because `/tmp` or `/home` is not a project.
pub(crate) fn find(directory: &Path) -> Option<PathBuf> {
    let top = directory.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(directory);
    let within = directory.ancestors().take_while(|dir| dir.starts_with(top));
    // Reading a pipe or a device would block.
    let readable = |path: &PathBuf| match path.metadata() {
        Ok(kind) => kind.is_file() || kind.is_dir(),
        Err(_) => path.symlink_metadata().is_ok(),
    };
    within.map(|dir| dir.join(FILE_NAME)).find(readable)
}

/// Reads a devrun.toml: its options, and over them those of the profile. `shown` is its name in messages.
pub(crate) fn read(path: &Path, shown: &str, profile: Option<&str>) -> Result<Options, CliError> {
    let text = file_text(path, shown)?;
    let mut reader = Reader { known: &Table::all(), mistakes: Vec::new() };
    let (top, mut profiles) = match DeTable::parse(&text) {
        Ok(document) => reader.document(document.get_ref()),
        Err(error) => return Err(located(syntax_error(&error), &text, shown)),
    };
    reader.mistakes.sort_by_key(|mistake| mistake.span.as_ref().map(|span| span.range.start));
    let mut mistakes = reader.mistakes.into_iter().map(|mistake| located(mistake, &text, shown));
    if let Some(first) = mistakes.next() {
        return Err(CliError { others: mistakes.collect(), ..first });
    }
    let profile = match profile {
        None => OptionWords::default(),
        Some(name) => profiles.remove(name).ok_or_else(|| no_profile(shown, name, &profiles))?,
    };
    let options = |words: OptionWords| words.options().map_err(|error| usage_error(&error, "devrun"));
    Ok(over(options(profile)?, options(top)?))
}

fn file_text(path: &Path, shown: &str) -> Result<String, CliError> {
    let bytes = bytes_of(path).map_err(|error| {
        let failure = CliError::failed_to(format_args!("read {shown}"), &error);
        match (error.kind(), std::fs::read_link(path)) {
            (ErrorKind::NotFound, Ok(target)) => failure.with_remedy(format!(
                "it is a symbolic link to {}, which does not exist: create that file, or remove the link",
                escape_path(&target)
            )),
            (ErrorKind::NotFound, Err(_)) => failure.with_remedy("`devrun init` writes a devrun.toml"),
            (ErrorKind::PermissionDenied, _) => {
                failure.with_remedy(format!("make it readable: chmod u+r {shown}"))
            }
            (ErrorKind::IsADirectory, _) => failure.with_remedy("it must be a file"),
            (ErrorKind::FileTooLarge, _) => {
                failure.with_remedy("name another file; a configuration is smaller than 16 MiB")
            }
            _ => failure.with_remedy("--config FILE names another file"),
        }
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        let place = SourceSpan::new(shown, text, span).with_label("not UTF-8");
        CliError::new("TOML must be UTF-8").with_span(place).with_remedy("save the file as UTF-8")
    })?;
    // Some editors on Windows begin a file with a byte order mark.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The names of the profiles of a devrun.toml; none if it cannot be read. Leaves out names that TOML has to quote, because
/// bash would run a command in them when it completes.
pub(crate) fn profile_names(path: &Path) -> Vec<String> {
    let text = file_text(path, FILE_NAME).unwrap_or_default();
    let Ok(document) = DeTable::parse(&text) else { return Vec::new() };
    let profiles = document.get_ref().get("profile").and_then(|profiles| profiles.get_ref().as_table());
    let names = profiles.into_iter().flatten().map(|(name, _)| name.get_ref().to_string());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)))
        .collect()
}

/// The content of the file, which may be a pipe such as `<(…)` of a shell.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_SIZE { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

fn no_profile(shown: &str, name: &str, profiles: &BTreeMap<String, OptionWords>) -> CliError {
    let failure = CliError::new(format!("there is no [profile.{name}] in {shown}"));
    let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
    match (nearest(name, known.iter().copied()), known.is_empty()) {
        (Some(near), _) => failure.with_remedy(format!("did you mean `--profile {near}`?")),
        (None, true) => {
            failure.with_remedy(format!("add a table such as [profile.{name}.run], or leave out --profile"))
        }
        (None, false) => failure.with_remedy(format!("the profiles are: {}", known.join(", "))),
    }
}

/// The tables of a file or of a profile, as words of a command line.
#[derive(Debug, Default)]
pub(crate) struct OptionWords {
    words: Vec<OsString>,
    /// `command` and `build` may be lists of words. No option accepts these, so they are no words here.
    command: Option<CommandLine>,
    build: Option<Vec<CommandLine>>,
}

impl OptionWords {
    /// The options of the words.
    pub(crate) fn options(self) -> Result<Options, clap::Error> {
        let words = std::iter::once(OsString::from("devrun")).chain(self.words);
        let mut options = Options::try_parse_from(words)?;
        options.run.command = self.command;
        options.run.build = self.build;
        Ok(options)
    }

    /// Adds a value, or its mistakes, each with a remedy.
    fn add(&mut self, key: &Key, value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<CliError>) {
        let earlier = mistakes.len();
        self.add_value(key, value, mistakes);
        for mistake in mistakes.iter_mut().skip(earlier).filter(|mistake| mistake.remedy.is_none()) {
            mistake.remedy = Some(format!("write it as in: {}", key.example()));
        }
    }

    fn add_value(&mut self, key: &Key, value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<CliError>) {
        let mut known =
            |result: Result<CommandLine, CliError>| result.map_err(|error| mistakes.push(error)).ok();
        match (&key.kind, value.get_ref()) {
            (Kind::Command, _) => self.command = known(command_line(value)),
            (Kind::List(one), DeValue::Array(items)) if **one == Kind::Command => {
                self.build = Some(items.iter().filter_map(|item| known(command_line(item))).collect());
            }
            (Kind::List(one), _) if **one == Kind::Command => {
                self.build = known(command_line(value)).map(|line| vec![line]);
            }
            (Kind::List(one), DeValue::Array(items)) => {
                mistakes.extend(items.iter().filter_map(|item| self.add_one(key, one, item).err()));
            }
            (Kind::List(one), _) => mistakes.extend(self.add_one(key, one, value).err()),
            (Kind::Variables, _) => self.add_variables(key, value, mistakes),
            (kind, _) => mistakes.extend(self.add_one(key, kind, value).err()),
        }
    }

    fn add_one(&mut self, key: &Key, kind: &Kind, value: &Spanned<DeValue<'_>>) -> Result<(), CliError> {
        let text = text_of(kind, value)?;
        if *kind == Kind::Count {
            let times = text.parse().unwrap_or_default();
            let long = key.option.get_long().unwrap_or_default();
            self.words.extend(std::iter::repeat_n(OsString::from(format!("--{long}")), times));
            return Ok(());
        }
        self.push(&key.option, &text, value.span())
    }

    fn add_variables(&mut self, key: &Key, value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<CliError>) {
        match value.get_ref() {
            DeValue::Table(variables) => {
                let added = variables.iter().map(|(name, value)| self.add_variable(key, name, value));
                mistakes.extend(added.filter_map(Result::err));
            }
            DeValue::Array(items) => {
                let added = items.iter().map(|item| self.add_one(key, &Kind::Text, item));
                mistakes.extend(added.filter_map(Result::err));
            }
            _ => mistakes.push(wrong_type(value, key.kind.describe().0)),
        }
    }

    fn add_variable(
        &mut self,
        key: &Key,
        name: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), CliError> {
        if name.get_ref().contains('=') {
            return Err(mistake(name.span(), "a variable's name cannot contain `=`", ""));
        }
        let text = match value.get_ref() {
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::String(_) | DeValue::Integer(_) => text_of(&Kind::NumberOrText(0, 0), value)?,
            _ => return Err(wrong_type(value, "a string, an integer or a boolean")),
        };
        self.push(&key.option, &format!("{}={text}", name.get_ref()), name.span())
    }

    /// Adds `--option=text` if the option takes this text.
    fn push(&mut self, option: &Arg, text: &str, span: Range<usize>) -> Result<(), CliError> {
        let long = option.get_long().unwrap_or_default();
        let word = OsString::from(format!("--{long}={text}"));
        // A list in the file is a TOML list, so `rs,toml` is not split.
        let option = option.clone().value_delimiter(None);
        match check_word(&option, &word) {
            Ok(()) => {
                self.words.push(word);
                Ok(())
            }
            Err(error) => Err(match std::error::Error::source(&error) {
                Some(reason) => bad_value(span, &reason.to_string()),
                None => {
                    mistake(span, "the value is empty", "").with_remedy("write a value, or remove the key")
                }
            }),
        }
    }
}

/// Reads tables and collects the mistakes in them.
struct Reader<'k> {
    /// The tables that exist.
    known: &'k [Table],
    mistakes: Vec<CliError>,
}

impl Reader<'_> {
    /// The tables at the top of the file, and those of each profile.
    fn document(&mut self, document: &DeTable<'_>) -> (OptionWords, BTreeMap<String, OptionWords>) {
        let top = self.tables(document, "");
        let mut profiles = BTreeMap::new();
        let found = document.get("profile").and_then(|profiles| self.table("profile.NAME.run", profiles));
        for (name, profile) in found.into_iter().flatten() {
            let name = name.get_ref();
            if let Some(tables) = self.table(&format!("profile.{name}.run"), profile) {
                profiles.insert(name.to_string(), self.tables(tables, &format!("profile.{name}.")));
            }
        }
        (top, profiles)
    }

    /// The tables at the top of the file, or those of a profile with the prefix `profile.NAME.`.
    fn tables(&mut self, tables: &DeTable<'_>, prefix: &str) -> OptionWords {
        let has_profiles = prefix.is_empty();
        let mut words = OptionWords::default();
        for (name, content) in tables {
            match self.known.iter().find(|table| table.name == name.get_ref()) {
                Some(table) => {
                    let path = format!("{prefix}{}", table.name);
                    for (name, value) in self.table(&path, content).into_iter().flatten() {
                        let known = table.keys.iter().map(|key| key.name.as_str());
                        match table.key(name.get_ref()) {
                            Some(key) => words.add(key, value, &mut self.mistakes),
                            None => self.mistakes.push(unknown_key(name, known, self.known)),
                        }
                    }
                }
                None if has_profiles && name.get_ref() == "profile" => {}
                None if name.get_ref() == "front" => self.mistakes.push(
                    mistake(name.span(), "unknown key `front`", "now named `server`")
                        .with_remedy("rename it to `server`; its keys stay the same"),
                ),
                None => {
                    let known = self.known.iter().map(|table| table.name);
                    let known = known.chain(has_profiles.then_some("profile"));
                    self.mistakes.push(unknown_key(name, known, self.known));
                }
            }
        }
        words
    }

    /// The table of this name, such as `watch` or `profile.test`.
    fn table<'v, 'i>(&mut self, name: &str, value: &'v Spanned<DeValue<'i>>) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let remedy = format!("write [{name}] on a line, and its keys on the lines below");
            self.mistakes.push(wrong_type(value, "a table").with_remedy(remedy));
        }
        table
    }
}

/// Checks one word such as `--debounce=50ms`, alone.
pub(crate) fn check_word(option: &Arg, word: &OsStr) -> Result<(), clap::Error> {
    let command = clap::Command::new("devrun").disable_help_flag(true).arg(option.clone());
    command.try_get_matches_from([OsStr::new("devrun"), word]).map(drop)
}

/// The value as text, if its type fits the kind of the key.
fn text_of(kind: &Kind, value: &Spanned<DeValue<'_>>) -> Result<String, CliError> {
    let wrong = || wrong_type(value, kind.describe().0);
    let accepts_number = matches!(kind, Kind::Count | Kind::Duration | Kind::NumberOrText(..));
    match value.get_ref() {
        DeValue::Boolean(truth) if matches!(kind, Kind::Boolean | Kind::Shell) => Ok(truth.to_string()),
        DeValue::Integer(number) if accepts_number => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| wrong())?;
            let fits = *kind != Kind::Count || u8::try_from(number).is_ok();
            if fits { Ok(number.to_string()) } else { Err(wrong()) }
        }
        DeValue::Float(number) if *kind == Kind::Duration => Ok(number.as_str().to_owned()),
        DeValue::String(text) if !matches!(kind, Kind::Boolean | Kind::Count) => match kind {
            Kind::Words(words) if !words.iter().any(|word| word == text) => {
                Err(unknown_word(value.span(), text, words))
            }
            _ => Ok(text.to_string()),
        },
        _ => Err(wrong()),
    }
}

fn command_line(value: &Spanned<DeValue<'_>>) -> Result<CommandLine, CliError> {
    match value.get_ref() {
        DeValue::String(line) => line.parse().map_err(|reason: String| bad_value(value.span(), &reason)),
        DeValue::Array(items) => {
            let words: Vec<OsString> = items
                .iter()
                .map(|item| text_of(&Kind::Text, item).map(OsString::from))
                .collect::<Result<_, _>>()?;
            if words.first().is_none_or(|program| program.is_empty()) {
                return Err(mistake(value.span(), "the command is empty", "")
                    .with_remedy("write a command such as [\"cargo\", \"run\"]"));
            }
            Ok(CommandLine::Words(words))
        }
        _ => Err(wrong_type(value, Kind::Command.describe().0)),
    }
}

/// A mistake at a part of the text, with the note next to the carets. [`located`] completes it.
fn mistake(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> CliError {
    CliError::new(message).with_span(SourceSpan::new("", "", span).with_label(label))
}

/// Adds the name and the text of the file, and cuts the span to the first line, because a message shows one line.
fn located(mut mistake: CliError, text: &str, shown: &str) -> CliError {
    if let Some(span) = &mut mistake.span {
        let start = span.range.start.min(text.len());
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        span.range = start..span.range.end.clamp(start, line_end);
        (span.file, span.text) = (shown.to_owned(), text.to_owned());
    }
    mistake
}

/// A bad value. `reason` comes from the parser of the value: `PROBLEM; REMEDY`.
fn bad_value(span: Range<usize>, reason: &str) -> CliError {
    match reason.split_once("; ") {
        Some((what, remedy)) => mistake(span, what, "").with_remedy(remedy),
        None => mistake(span, reason, ""),
    }
}

/// An error of the TOML parser.
fn syntax_error(error: &toml::de::Error) -> CliError {
    let span = error.span().unwrap_or(0..0);
    match error.message() {
        "duplicate key" => mistake(span, "duplicate key", "given twice").with_remedy("leave one of them out"),
        message if message.starts_with("cannot recurse further") => {
            mistake(span, "tables or lists are nested too deeply", "")
        }
        message => mistake(span, message, ""),
    }
}

/// A value of another type than the key takes.
fn wrong_type(value: &Spanned<DeValue<'_>>, expected: &str) -> CliError {
    let found = match value.get_ref() {
        DeValue::String(text) => format!("string \"{text}\""),
        DeValue::Integer(number) => format!("integer `{number}`"),
        DeValue::Float(number) => format!("floating point `{number}`"),
        DeValue::Boolean(truth) => format!("boolean `{truth}`"),
        DeValue::Datetime(_) => "a date or time".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    };
    mistake(value.span(), "wrong type", format!("expected {expected}, found {found}"))
}

/// A word that is none of the choices.
fn unknown_word(span: Range<usize>, word: &str, choices: &[String]) -> CliError {
    let error = mistake(span, format!("unknown value \"{word}\""), "unknown value");
    match nearest(word, choices.iter().map(String::as_str)) {
        Some(near) => error.with_remedy(format!("did you mean \"{near}\"?")),
        None => error.with_remedy(format!("the values are: {}", choices.join(", "))),
    }
}

/// A key or table that does not exist. `known` are the names that exist here.
fn unknown_key<'a>(
    key: &Spanned<Cow<'_, str>>,
    known: impl Iterator<Item = &'a str> + Clone,
    tables: &[Table],
) -> CliError {
    let name = key.get_ref();
    let remedy = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => match tables.iter().find(|table| table.key(name).is_some()) {
            Some(table) => format!("`{name}` belongs in [{}]", table.name),
            None => format!("the keys here are: {}", known.collect::<Vec<_>>().join(", ")),
        },
    };
    let shown = match name.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_string(),
    };
    mistake(key.span(), format!("unknown key `{shown}`"), "unknown key").with_remedy(remedy)
}
