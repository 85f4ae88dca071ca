//! The tables and keys of devrun.toml: a key for each option, with the kind of its value.

use clap::{Arg, ArgAction};
use serde_json::{Value, json};

use crate::cli::args;

/// A table of devrun.toml with its keys.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) keys: Vec<Key>,
}

impl Table {
    /// All tables, in the order of the reference.
    pub(crate) fn all() -> Vec<Self> {
        let table =
            |(name, options): (_, Vec<Arg>)| Self { name, keys: options.into_iter().map(Key::new).collect() };
        args::tables().into_iter().map(table).collect()
    }

    /// The key of this name.
    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A key of devrun.toml. It has the name of its option.
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) option: Arg,
}

impl Key {
    fn new(option: Arg) -> Self {
        let name = option.get_id().as_str().replace('_', "-");
        Self { kind: Kind::of(&option, &name), name, option }
    }

    /// The short help of the option. In the file a list takes the place of a repeated option.
    pub(crate) fn description(&self) -> String {
        self.option.get_help().map(ToString::to_string).unwrap_or_default().replace("; repeatable", "")
    }

    /// A line with the key and a value: `paths = ["src"]`.
    pub(crate) fn example(&self) -> String {
        format!("{} = {}", self.name, self.kind.example(&self.name))
    }
}

/// The kind of value that a key takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    /// 0 to 255.
    Count,
    Duration,
    /// One of these words.
    Words(Vec<String>),
    Text,
    /// A string, or a number in this range that stands for it: ports, signals.
    NumberOrText(u16, u16),
    /// The path of a URL.
    UrlPath,
    /// A program with its arguments, or a line for the shell.
    Command,
    /// `true`, `false` or the name of a shell.
    Shell,
    /// A table of environment variables.
    Variables,
    List(Box<Self>),
}

impl Kind {
    fn of(option: &Arg, name: &str) -> Self {
        let words: Vec<String> =
            option.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
        let value_name = option.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
        let one = match (name, value_name) {
            ("command" | "build", _) => Self::Command,
            ("proxy" | "listen", _) => Self::NumberOrText(0, u16::MAX),
            ("stop-signal", _) => Self::NumberOrText(1, 64),
            ("ready-path", _) => Self::UrlPath,
            ("shell", _) => Self::Shell,
            ("env", _) => Self::Variables,
            (_, "BOOL") => Self::Boolean,
            (_, "DUR") => Self::Duration,
            _ if matches!(option.get_action(), ArgAction::Count) => Self::Count,
            _ if !words.is_empty() => Self::Words(words),
            _ => Self::Text,
        };
        let is_list = matches!(option.get_action(), ArgAction::Append) && one != Self::Variables;
        if is_list { Self::List(Box::new(one)) } else { one }
    }

    /// A value for a line of a file, by the name of the key.
    fn example(&self, name: &str) -> String {
        match self {
            Self::Boolean | Self::Shell => "true".into(),
            Self::Count => "1".into(),
            Self::Duration => "\"500ms\"".into(),
            Self::Words(words) => format!("\"{}\"", words.first().map_or("", String::as_str)),
            Self::Text => match name {
                "paths" => "\"src\"",
                "ext" => "\"rs\"",
                "filter" => "\"*.html\"",
                "ignore" => "\"downloads/\"",
                "ignore-file" => "\".watchignore\"",
                "env-file" => "\".env\"",
                "workdir" => "\"backend\"",
                "expect-ignored" => "\"downloads/a.zip\"",
                _ => "\"src/main.rs\"",
            }
            .into(),
            Self::NumberOrText(..) if name == "stop-signal" => "\"SIGINT\"".into(),
            Self::NumberOrText(..) => "8000".into(),
            Self::UrlPath => "\"/health\"".into(),
            Self::Command => "[\"cargo\", \"run\"]".into(),
            Self::Variables => "{ DEBUG = \"1\", PORT = 8000 }".into(),
            Self::List(one) if **one == Self::Command => "[\"cargo build\"]".into(),
            Self::List(one) => format!("[{}]", one.example(name)),
        }
    }

    /// The expected value in an error message, the value in the reference, and its schema.
    pub(crate) fn describe(&self) -> (&'static str, String, Value) {
        let string = |shown: &str, schema| ("a string", shown.to_owned(), schema);
        let number = "a string or an integer";
        match self {
            Self::Boolean => ("a boolean", "`true` or `false`".into(), json!({ "type": "boolean" })),
            Self::Count => {
                let schema = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
                ("an integer from 0 to 255", "number".into(), schema)
            }
            Self::Duration => {
                let schema = json!({ "type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?[a-zµ]+)+$" });
                string("duration such as `\"500ms\"`", schema)
            }
            Self::Words(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                string(&quoted.join(", "), json!({ "enum": words }))
            }
            Self::Text => string("string", json!({ "type": "string" })),
            Self::NumberOrText(least, most) => {
                let schema = json!({ "type": ["string", "integer"], "minimum": least, "maximum": most });
                (number, "string or number".into(), schema)
            }
            Self::UrlPath => string("string", json!({ "type": "string", "pattern": "^/" })),
            Self::Command => (
                "a list of strings, or a string for the shell",
                "list of words, or a string for the shell".into(),
                json!({ "anyOf": [
                    { "type": "string", "minLength": 1 },
                    { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                ] }),
            ),
            Self::Shell => {
                let shown = "`true`, `false` or the name of a shell";
                ("a boolean or a string", shown.into(), json!({ "type": ["boolean", "string"] }))
            }
            Self::Variables => (
                "a table or a list of strings",
                "table such as `{ KEY = \"value\" }`, or list of strings such as `\"KEY=value\"`".into(),
                json!({ "anyOf": [
                    { "type": "object", "additionalProperties": { "type": ["string", "integer", "boolean"] } },
                    { "type": "array", "items": { "type": "string", "pattern": "^[^=]+=" } },
                ] }),
            ),
            Self::List(one) => {
                let (_, shown, schema) = one.describe();
                let (shown, alone) = match **one {
                    Self::Command => (
                        "string for the shell, or list of such strings and of lists of words".into(),
                        json!({ "type": "string", "minLength": 1 }),
                    ),
                    _ => (format!("{shown}, or a list of them"), schema.clone()),
                };
                (
                    "a string or a list of strings",
                    shown,
                    json!({ "anyOf": [alone, { "type": "array", "items": schema }] }),
                )
            }
        }
    }
}
