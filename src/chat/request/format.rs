//! `response_format`.

use super::super::invalid_request::{Code, InvalidRequest};
use super::super::json::Node;
use super::unsupported::UnsupportedFields;
use crate::json::Value;

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
    /// Whether the schema has the place of its envelope, with the envelope's fields in it.
    pub is_bare: bool,
    /// Where the schema stands, as the client knows it.
    pub place: &'static str,
}

/// Fields of a schema's envelope.
const ENVELOPE: &[&str] = &["name", "description", "schema", "strict"];

/// Keywords that tell a schema from its envelope.
const KEYWORDS: &[&str] = &[
    "$ref",
    "type",
    "properties",
    "items",
    "prefixItems",
    "anyOf",
    "oneOf",
    "allOf",
    "enum",
    "const",
    "$defs",
    "definitions",
    "additionalProperties",
    "patternProperties",
    "required",
];

/// Reads `response_format`, or the Responses protocol's `text.format`; `None` is plain text.
pub(super) fn read<'v>(
    root: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Option<ResponseFormat<'v>>, InvalidRequest> {
    let text = root.get("text");
    let flat = text.as_ref().and_then(|text| text.get("format"));
    match (root.get("response_format"), flat) {
        (Some(node), flat) => {
            if let Some(flat) = flat {
                unused.add(flat);
            }
            read_format(node.object()?, "response_format", unused)
        }
        (None, Some(node)) => read_format(node.object()?, "text.format", unused),
        (None, None) => Ok(None),
    }
}

fn read_format<'v>(
    node: Node<'_, 'v>,
    name: &'static str,
    unused: &mut UnsupportedFields,
) -> Result<Option<ResponseFormat<'v>>, InvalidRequest> {
    let kind = node.require("type")?;
    let inner = node.get("json_schema");
    match kind.str()? {
        "text" => {
            unused.add_others(&node, &["type"]);
            Ok(None)
        }
        "json_object" => {
            // The spelling of llama.cpp and Together has `schema`; others mistake the type.
            let Some(schema) = inner.or_else(|| node.get("schema")) else {
                unused.add_others(&node, &["type"]);
                return Ok(Some(ResponseFormat::JsonObject));
            };
            unused.add_others(&node, &["type", schema.name()]);
            let schema = schema.object()?;
            let place = "response_format.schema";
            Ok(Some(ResponseFormat::JsonSchema(if schema.name() == "schema" {
                JsonSchema {
                    name: None,
                    description: None,
                    schema: Some(schema.value()),
                    strict: false,
                    is_bare: false,
                    place,
                }
            } else {
                read_schema(&schema, unused)?
            })))
        }
        "json_schema" => {
            if let Some(inner) = inner {
                unused.add_others(&node, &["type", "json_schema"]);
                return Ok(Some(ResponseFormat::JsonSchema(read_schema(
                    &inner.object()?,
                    unused,
                )?)));
            }
            // The flat form of the Responses protocol.
            if node.get("schema").is_none() {
                return Err(InvalidRequest::missing(node.child("json_schema")));
            }
            unused.add_others(&node, &["type", "name", "description", "schema", "strict"]);
            let place =
                if name == "text.format" { "text.format.schema" } else { "response_format.schema" };
            Ok(Some(ResponseFormat::JsonSchema(read_envelope(&node, place)?)))
        }
        other => Err(InvalidRequest::one_of(kind, other, &["json_object", "json_schema", "text"])),
    }
}

fn read_schema<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<JsonSchema<'v>, InvalidRequest> {
    const PLACE: &str = "response_format.json_schema";
    if node.get("schema").is_some_and(|schema| schema.value().is_object())
        || !is_schema(node.value())
    {
        unused.add_others(node, ENVELOPE);
        return read_envelope(node, "response_format.json_schema.schema");
    }
    // Some clients put the schema itself where its envelope belongs.
    let named = node.get("name").filter(|name| name.value().is_string());
    let strict = node.get("strict").and_then(|strict| strict.value().as_bool());
    Ok(JsonSchema {
        name: named.and_then(|name| name.value().as_str()).filter(|name| !name.is_empty()),
        description: None,
        schema: Some(node.value()),
        strict: strict.unwrap_or(false),
        is_bare: true,
        place: PLACE,
    })
}

fn read_envelope<'v>(
    node: &Node<'_, 'v>,
    place: &'static str,
) -> Result<JsonSchema<'v>, InvalidRequest> {
    let name = node.get("name").map(|name| name.str()).transpose()?;
    if name == Some("") {
        let at = node.child("name");
        let message = format!("Invalid '{at}': empty string. Expected a name such as 'response'.");
        return Err(InvalidRequest::new(at, Code::InvalidValue, message));
    }
    Ok(JsonSchema {
        name,
        description: node.get("description").map(|text| text.str()).transpose()?,
        schema: node
            .get("schema")
            .map(|schema| schema.object().map(|schema| schema.value()))
            .transpose()?,
        strict: node.get("strict").map(|strict| strict.bool()).transpose()?.unwrap_or(false),
        is_bare: false,
        place,
    })
}

/// Whether this is a schema and not what a schema is wrapped in.
fn is_schema(value: &Value<'_>) -> bool {
    let Some(object) = value.as_object() else { return false };
    object.iter().any(|(name, value)| KEYWORDS.contains(&name) && !value.is_null())
}
