//! The JSON schema of devrun.toml, for editors: made from the types that read the file.

use clap::{Arg, ArgAction};
use serde_json::{Map, Value, json};

use crate::cli::args;

/// The type of a key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    /// 0 to 255.
    Count,
    Duration,
    Words(Vec<String>),
    /// Text, or a number that stands for it: ports, signals.
    Text,
    /// Between these, or text.
    NumberOrText(u16, u16),
    /// The path of a URL.
    UrlPath,
    /// Words to execute, or a line for the shell.
    Command,
    /// `true`, `false` or a name.
    Shell,
    /// A table of text.
    Variables,
    List(Box<Kind>),
}

impl Kind {
    /// The type of an option's value, from what clap knows of it.
    pub(crate) fn of(option: &Arg) -> Self {
        let one = Self::of_one(option);
        match option.get_action() {
            ArgAction::Append if one != Self::Variables => Self::List(Box::new(one)),
            _ => one,
        }
    }

    fn of_one(option: &Arg) -> Self {
        let words: Vec<String> =
            option.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
        let value_name = option.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
        match (args::key(option).as_str(), value_name) {
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
        }
    }

    /// What a person calls it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Boolean => "`true` or `false`".into(),
            Self::Count => "number".into(),
            Self::Duration => "duration such as `\"500ms\"`".into(),
            Self::Words(words) => {
                words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
            }
            Self::Text | Self::UrlPath => "string".into(),
            Self::NumberOrText(..) => "string or number".into(),
            Self::Command => "list of words, or a string for the shell".into(),
            Self::Shell => "`true`, `false` or the name of a shell".into(),
            Self::Variables => "table such as `{ KEY = \"value\" }`".into(),
            Self::List(one) => match &**one {
                Self::Command => "list of strings for the shell, or of lists of words".into(),
                one => format!("list, each a {}", one.shown()),
            },
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Count => json!({ "type": "integer", "minimum": 0, "maximum": 255 }),
            Self::Duration => json!({ "type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?[a-zµ]+)+$" }),
            Self::Words(words) => json!({ "enum": words }),
            Self::Text => json!({ "type": "string" }),
            Self::NumberOrText(least, most) => {
                json!({ "type": ["string", "integer"], "minimum": least, "maximum": most })
            }
            Self::UrlPath => json!({ "type": "string", "pattern": "^/" }),
            Self::Command => json!({ "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ] }),
            Self::Shell => json!({ "type": ["boolean", "string"] }),
            Self::Variables => json!({ "anyOf": [
                { "type": "object", "additionalProperties": { "type": ["string", "integer", "boolean"] } },
                { "type": "array", "items": { "type": "string", "pattern": "^[^=]+=" } },
            ] }),
            Self::List(one) => {
                let alone = match &**one {
                    Self::Command => json!({ "type": "string", "minLength": 1 }),
                    one => one.schema(),
                };
                json!({ "anyOf": [alone, { "type": "array", "items": one.schema() }] })
            }
        }
    }
}

/// The schema, as text (JSON Schema draft 2020-12).
pub(crate) fn schema() -> String {
    let mut tables = Map::new();
    for (table, options) in args::tables() {
        tables.insert(table.into(), of_table(&options));
    }
    let layer = json!({ "type": "object", "properties": tables, "additionalProperties": false });
    let mut top = tables;
    top.insert(
        "profile".into(),
        json!({
            "type": "object",
            "description": "Tables that are put over the others with --profile NAME.",
            "additionalProperties": { "$ref": "#/$defs/layer" },
        }),
    );
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "devrun.toml",
        "description": "The configuration of devrun.",
        "type": "object",
        "properties": top,
        "additionalProperties": false,
        "$defs": { "layer": layer },
    });
    format!("{schema:#}\n")
}

fn of_table(options: &[Arg]) -> Value {
    let mut properties = Map::new();
    for option in options {
        let mut schema = Kind::of(option).schema();
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("description".into(), description(option).into());
        }
        properties.insert(args::key(option), schema);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// The option's short help: one line. A list in a file need not be told that it is one.
pub(crate) fn description(option: &Arg) -> String {
    option.get_help().map(ToString::to_string).unwrap_or_default().replace("; repeatable", "")
}
