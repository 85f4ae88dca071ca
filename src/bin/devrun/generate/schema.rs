//! The JSON schema of devrun.toml, for editors: made from the keys that read the file.

use serde_json::{Map, Value, json};

use crate::config::key::{Kind, Table};

/// The schema, as text (JSON Schema draft 2020-12).
pub(crate) fn schema() -> String {
    let mut tables = Map::new();
    for table in Table::all() {
        tables.insert(table.name.into(), of_table(&table));
    }
    let layer = json!({ "type": "object", "properties": tables, "additionalProperties": false });
    let mut top = tables;
    top.insert(
        "profile".into(),
        json!({
            "type": "object",
            "description": "Tables that override the others with --profile NAME.",
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

fn of_table(table: &Table) -> Value {
    let mut properties = Map::new();
    for key in &table.keys {
        let mut schema = schema_of(&key.kind);
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("description".into(), key.description().into());
        }
        properties.insert(key.name.clone(), schema);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// The kind of a value, for the table of the reference.
pub(crate) fn shown(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "`true` or `false`".into(),
        Kind::Count => "number".into(),
        Kind::Duration => "duration such as `\"500ms\"`".into(),
        Kind::Words(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Kind::Text | Kind::UrlPath => "string".into(),
        Kind::NumberOrText(..) => "string or number".into(),
        Kind::Command => "list of words, or a string for the shell".into(),
        Kind::Shell => "`true`, `false` or the name of a shell".into(),
        Kind::Variables => "table such as `{ KEY = \"value\" }`".into(),
        Kind::List(one) => match &**one {
            Kind::Command => "list of strings for the shell, or of lists of words".into(),
            one => format!("list, each a {}", shown(one)),
        },
    }
}

fn schema_of(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0, "maximum": 255 }),
        Kind::Duration => json!({ "type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?[a-zµ]+)+$" }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Text => json!({ "type": "string" }),
        Kind::NumberOrText(least, most) => {
            json!({ "type": ["string", "integer"], "minimum": least, "maximum": most })
        }
        Kind::UrlPath => json!({ "type": "string", "pattern": "^/" }),
        Kind::Command => json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] }),
        Kind::Shell => json!({ "type": ["boolean", "string"] }),
        Kind::Variables => json!({ "anyOf": [
            { "type": "object", "additionalProperties": { "type": ["string", "integer", "boolean"] } },
            { "type": "array", "items": { "type": "string", "pattern": "^[^=]+=" } },
        ] }),
        Kind::List(one) => {
            let alone = match &**one {
                Kind::Command => json!({ "type": "string", "minLength": 1 }),
                one => schema_of(one),
            };
            json!({ "anyOf": [alone, { "type": "array", "items": schema_of(one) }] })
        }
    }
}
