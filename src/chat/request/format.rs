//! `response_format`.

use serde_json_borrow::Value;

use super::super::json::Node;
use super::super::reject::{Code, Reject};

/// The shape of the answer, where it is not plain text.
#[derive(Debug)]
pub enum ResponseFormat<'v> {
    /// `json_object`: some JSON.
    JsonObject,
    /// `json_schema`: JSON that satisfies a schema.
    JsonSchema(JsonSchema<'v>),
}

/// A schema and its name.
#[derive(Debug)]
pub struct JsonSchema<'v> {
    /// The name, unchecked.
    pub name: Option<&'v str>,
    /// What the answer is for.
    pub description: Option<&'v str>,
    /// The schema; an object.
    pub schema: Option<&'v Value<'v>>,
    /// Whether the answer must follow the schema exactly; false unless asked for.
    pub strict: bool,
}

/// Reads `response_format`; `None` is plain text.
pub(super) fn read<'v>(node: Node<'_, 'v>) -> Result<Option<ResponseFormat<'v>>, Reject> {
    let node = node.object()?;
    let kind = node.require("type")?;
    match kind.str()? {
        "text" => Ok(None),
        "json_object" => Ok(Some(match node.get("schema") {
            // The spelling of llama.cpp and Together.
            Some(schema) if schema.value().is_object() => ResponseFormat::JsonSchema(JsonSchema {
                name: None,
                description: None,
                schema: Some(schema.value()),
                strict: false,
            }),
            _ => ResponseFormat::JsonObject,
        })),
        "json_schema" => {
            let inner = node.require("json_schema")?.object()?;
            Ok(Some(ResponseFormat::JsonSchema(read_schema(&inner)?)))
        }
        other => Err(Reject::one_of(kind, other, &["json_object", "json_schema", "text"])),
    }
}

fn read_schema<'v>(node: &Node<'_, 'v>) -> Result<JsonSchema<'v>, Reject> {
    let name = node.get("name").map(|name| name.str()).transpose()?;
    if name == Some("") {
        let at = node.child("name");
        let message = format!("Invalid '{at}': empty string. Expected a name such as 'response'.");
        return Err(Reject::new(at, Code::InvalidValue, message));
    }
    let schema = match node.get("schema") {
        Some(schema) => Some(schema.object()?.value()),
        // Some clients put the schema itself where its envelope belongs.
        None if node.get("properties").is_some() => Some(node.value()),
        None => None,
    };
    Ok(JsonSchema {
        name,
        description: node.get("description").map(|text| text.str()).transpose()?,
        schema,
        strict: node.get("strict").map(|strict| strict.bool()).transpose()?.unwrap_or(false),
    })
}
