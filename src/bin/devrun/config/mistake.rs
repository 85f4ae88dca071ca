//! Mistakes in devrun.toml.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use crate::cli::suggest::nearest;
use crate::config::key::Table;

/// A mistake in devrun.toml.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    /// The text after the caret; may be empty.
    pub(crate) label: String,
    pub(crate) remedy: Option<String>,
    /// The bytes of the file that are wrong.
    pub(crate) span: Range<usize>,
}

impl Mistake {
    /// A mistake without label and remedy.
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), label: String::new(), remedy: None, span }
    }

    /// Adds what to write instead.
    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Adds the text after the caret.
    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// A bad value. `reason` comes from the parser of the value: `PROBLEM; REMEDY`.
    pub(super) fn of_value(span: Range<usize>, reason: &str) -> Self {
        match reason.split_once("; ") {
            Some((what, remedy)) => Self::new(span, what).remedy(remedy),
            None => Self::new(span, reason),
        }
    }

    /// An error of the TOML parser.
    pub(super) fn of_syntax(error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        match error.message() {
            "duplicate key" => {
                Self::new(span, "duplicate key").label("given twice").remedy("leave one of them out")
            }
            message if message.starts_with("cannot recurse further") => {
                Self::new(span, "tables or lists are nested too deeply")
            }
            message => Self::new(span, message),
        }
    }

    /// A value of another type than the key takes.
    pub(super) fn wrong_type(value: &Spanned<DeValue<'_>>, expected: &str) -> Self {
        let found = match value.get_ref() {
            DeValue::String(text) => format!("string \"{text}\""),
            DeValue::Integer(number) => format!("integer `{number}`"),
            DeValue::Float(number) => format!("floating point `{number}`"),
            DeValue::Boolean(truth) => format!("boolean `{truth}`"),
            DeValue::Datetime(_) => "a date or time".into(),
            DeValue::Array(_) => "a list".into(),
            DeValue::Table(_) => "a table".into(),
        };
        Self::new(value.span(), "wrong type").label(format!("expected {expected}, found {found}"))
    }

    /// A word that is none of the choices.
    pub(super) fn unknown_word(span: Range<usize>, word: &str, choices: &[String]) -> Self {
        let remedy = match nearest(word, choices.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("the values are: {}", choices.join(", ")),
        };
        Self::new(span, format!("unknown value \"{word}\"")).label("unknown value").remedy(remedy)
    }

    /// A key or table that does not exist. `known` are the names that exist here.
    pub(super) fn unknown_key(key: &Spanned<Cow<'_, str>>, known: &[&str], tables: &[Table]) -> Self {
        let name = key.get_ref();
        let remedy = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match tables.iter().find(|table| table.key(name).is_some()) {
                Some(table) => format!("`{name}` belongs in [{}]", table.name),
                None => format!("the keys here are: {}", known.join(", ")),
            },
        };
        Self::new(key.span(), format!("unknown key `{}`", shortened(name)))
            .label("unknown key")
            .remedy(remedy)
    }

    /// The table that is named `server` now.
    pub(super) fn renamed_front(key: &Spanned<Cow<'_, str>>) -> Self {
        Self::new(key.span(), "unknown key `front`")
            .label("now named `server`")
            .remedy("rename it to `server`; its keys stay the same")
    }
}

/// The name, cut if it is too long for a line of a message.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}
