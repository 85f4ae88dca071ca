//! Options from the text of devrun.toml. Each value becomes a word such as `--debounce=50ms`, so the parser of the
//! command line also reads the file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;

use clap::{Arg, Parser as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::args::{AllOptions, Options};
use crate::cli::values::CommandLine;
use crate::config::key::{Key, Kind, Table};
use crate::config::mistake::Mistake;

/// The content of a devrun.toml.
pub(crate) struct Document {
    /// The tables at the top.
    pub(crate) top: OptionWords,
    /// The tables of each profile.
    pub(crate) profiles: BTreeMap<String, OptionWords>,
}

impl Document {
    /// Reads the text of a devrun.toml.
    ///
    /// # Errors
    /// The first [`Mistake`] in the text.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let document = DeTable::parse(text).map_err(|error| Mistake::of_syntax(&error))?;
        let mut reader = Reader { known: Table::all(), mistakes: Vec::new() };
        let found = reader.document(document.get_ref());
        match reader.mistakes.into_iter().min_by_key(|mistake| mistake.span.start) {
            Some(mistake) => Err(mistake),
            None => Ok(found),
        }
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
    ///
    /// # Errors
    /// None in practice, because each word was checked alone when it was added.
    pub(crate) fn options(self) -> Result<Options, clap::Error> {
        let words = std::iter::once(OsString::from("devrun")).chain(self.words);
        let mut options = AllOptions::try_parse_from(words)?.options;
        options.run.command = self.command;
        options.run.build = self.build;
        Ok(options)
    }

    fn add(&mut self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<(), Mistake> {
        match (&key.kind, value.get_ref()) {
            (Kind::Command, _) => self.command = Some(command_line(value)?),
            (Kind::List(one), DeValue::Array(items)) if **one == Kind::Command => {
                self.build = Some(items.iter().map(command_line).collect::<Result<_, _>>()?);
            }
            (Kind::List(one), _) if **one == Kind::Command => self.build = Some(vec![command_line(value)?]),
            (Kind::List(one), DeValue::Array(items)) => {
                items.iter().try_for_each(|item| self.add_one(key, one, item))?;
            }
            (Kind::List(one), _) => self.add_one(key, one, value)?,
            (Kind::Variables, _) => self.add_variables(key, value)?,
            (kind, _) => self.add_one(key, kind, value)?,
        }
        Ok(())
    }

    fn add_one(&mut self, key: &Key, kind: &Kind, value: &Spanned<DeValue<'_>>) -> Result<(), Mistake> {
        let text = text_of(kind, value)?;
        if *kind == Kind::Count {
            let times = text.parse().unwrap_or_default();
            let long = key.option.get_long().unwrap_or_default();
            self.words.extend(std::iter::repeat_n(OsString::from(format!("--{long}")), times));
            return Ok(());
        }
        self.push(&key.option, &text, value.span())
    }

    fn add_variables(&mut self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<(), Mistake> {
        match value.get_ref() {
            DeValue::Table(variables) => {
                for (name, value) in variables {
                    if name.get_ref().contains('=') {
                        return Err(Mistake::new(name.span(), "a variable's name cannot contain `=`"));
                    }
                    let text = match value.get_ref() {
                        DeValue::Boolean(truth) => truth.to_string(),
                        _ => text_of(&Kind::NumberOrText(0, 0), value)?,
                    };
                    self.push(&key.option, &format!("{}={text}", name.get_ref()), name.span())?;
                }
                Ok(())
            }
            DeValue::Array(items) => items.iter().try_for_each(|item| self.add_one(key, &Kind::Text, item)),
            _ => Err(Mistake::wrong_type(value, key.kind.expected())),
        }
    }

    /// Adds `--option=text` if the option takes this text.
    fn push(&mut self, option: &Arg, text: &str, span: Range<usize>) -> Result<(), Mistake> {
        let long = option.get_long().unwrap_or_default();
        let word = OsString::from(format!("--{long}={text}"));
        // A list in the file is a TOML list, so `rs,toml` is not split.
        let option = option.clone().value_delimiter(None);
        match check_word(&option, &word) {
            Ok(()) => {
                self.words.push(word);
                Ok(())
            }
            Err(error) => match std::error::Error::source(&error) {
                Some(reason) => Err(Mistake::of_value(span, &reason.to_string())),
                None => {
                    Err(Mistake::new(span, "the value is empty").remedy("write a value, or remove the key"))
                }
            },
        }
    }
}

/// Reads tables and collects the mistakes in them.
struct Reader {
    /// The tables that exist.
    known: Vec<Table>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn document(&mut self, document: &DeTable<'_>) -> Document {
        let mut found = Document { top: OptionWords::default(), profiles: BTreeMap::new() };
        found.top = self.tables(document, true);
        let profiles = document.get("profile").and_then(|profiles| self.table(profiles));
        for (name, profile) in profiles.into_iter().flatten() {
            if let Some(tables) = self.table(profile) {
                found.profiles.insert(name.get_ref().to_string(), self.tables(tables, false));
            }
        }
        found
    }

    /// The tables at the top of the file (then `profile` is no mistake), or those of a profile.
    fn tables(&mut self, tables: &DeTable<'_>, has_profiles: bool) -> OptionWords {
        let mut words = OptionWords::default();
        for (name, content) in tables {
            let position = self.known.iter().position(|table| table.name == name.get_ref());
            match position {
                Some(position) => self.keys(position, content, &mut words),
                None if has_profiles && name.get_ref() == "profile" => {}
                None if name.get_ref() == "front" => self.mistakes.push(Mistake::renamed_front(name)),
                None => {
                    let mut known: Vec<&str> = self.known.iter().map(|table| table.name).collect();
                    known.extend(has_profiles.then_some("profile"));
                    self.mistakes.push(Mistake::unknown_key(name, &known, &self.known));
                }
            }
        }
        words
    }

    fn keys(&mut self, position: usize, content: &Spanned<DeValue<'_>>, words: &mut OptionWords) {
        let Some(content) = self.table(content) else { return };
        let Self { known: tables, mistakes } = self;
        let table = &tables[position];
        for (name, value) in content {
            let result = match table.key(name.get_ref()) {
                Some(key) => words.add(key, value),
                None => {
                    let known: Vec<&str> = table.keys.iter().map(|key| key.name.as_str()).collect();
                    Err(Mistake::unknown_key(name, &known, tables))
                }
            };
            mistakes.extend(result.err());
        }
    }

    fn table<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.mistakes.push(Mistake::wrong_type(value, "a table"));
        }
        table
    }
}

/// Checks one word such as `--debounce=50ms`, alone.
///
/// # Errors
/// The error of clap, if the option does not accept the value.
pub(crate) fn check_word(option: &Arg, word: &OsStr) -> Result<(), clap::Error> {
    let command = clap::Command::new("devrun").disable_help_flag(true).arg(option.clone());
    command.try_get_matches_from([OsStr::new("devrun"), word]).map(drop)
}

/// The value as text, if its type fits the kind of the key.
fn text_of(kind: &Kind, value: &Spanned<DeValue<'_>>) -> Result<String, Mistake> {
    let wrong = || Mistake::wrong_type(value, kind.expected());
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
                Err(Mistake::unknown_word(value.span(), text, words))
            }
            _ => Ok(text.to_string()),
        },
        _ => Err(wrong()),
    }
}

fn command_line(value: &Spanned<DeValue<'_>>) -> Result<CommandLine, Mistake> {
    match value.get_ref() {
        DeValue::String(line) => {
            line.parse().map_err(|reason: String| Mistake::of_value(value.span(), &reason))
        }
        DeValue::Array(items) => {
            let words: Vec<OsString> = items
                .iter()
                .map(|item| text_of(&Kind::Text, item).map(OsString::from))
                .collect::<Result<_, _>>()?;
            if words.first().is_none_or(|program| program.is_empty()) {
                return Err(Mistake::new(value.span(), "the command is empty")
                    .remedy("write a command such as [\"cargo\", \"run\"]"));
            }
            Ok(CommandLine::Words(words))
        }
        _ => Err(Mistake::wrong_type(value, Kind::Command.expected())),
    }
}
