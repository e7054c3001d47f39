//! Values that satisfy a JSON Schema, for arguments and structured answers.
//!
//! Covers what tools and formats use: types, `enum`, `const`, `required`, nesting, `items` and
//! `minItems`, `prefixItems`, `anyOf`/`oneOf` (the first that is not null), `allOf`, local `$ref`,
//! bounds of numbers and lengths, and the common formats. Optional properties are filled in near
//! the top only, which is also what ends recursive schemas. Patterns are not solved.

use serde_json::{Map, Value, json};

/// Deeper than this, only what is required.
const GENEROUS_DEPTH: usize = 3;
/// Deeper than this, nothing: a schema that requires itself has no finite value.
const MAX_DEPTH: usize = 24;

/// A value for a schema. The same schema gives the same value.
pub(super) fn generate(schema: &Value) -> Value {
    Generator { root: schema }.value(schema, "value", 0)
}

struct Generator<'a> {
    root: &'a Value,
}

impl Generator<'_> {
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|path| self.resolve(path)) {
            return self.value(target, name, depth + 1);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(value) = schema["enum"].as_array().and_then(|values| values.first()) {
            return value.clone();
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[key].as_array() {
                let choice = choices.iter().find(|choice| choice["type"] != "null");
                if let Some(choice) = choice.or(choices.first()) {
                    return self.value(choice, name, depth + 1);
                }
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            return self.value(&merged(schema, all), name, depth + 1);
        }
        match kind(schema) {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, name, depth),
            Some("string") => Value::String(string(schema, name)),
            Some("integer") => integer(schema),
            Some("number") => number(schema),
            Some("boolean") => Value::Bool(true),
            Some("null") => Value::Null,
            _ => json!(format!("simulated {name}")),
        }
    }

    /// `#`, `#/$defs/X` and the like.
    fn resolve(&self, path: &str) -> Option<&Value> {
        self.root.pointer(path.strip_prefix('#')?)
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let optional = properties.keys().map(String::as_str).filter(|_| depth < GENEROUS_DEPTH);
        let mut object = Map::new();
        for key in required.into_iter().chain(optional) {
            if !object.contains_key(key) {
                let child = properties.get(key).unwrap_or(&Value::Null);
                object.insert(key.to_owned(), self.value(child, key, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn array(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let size = |key: &str| schema[key].as_u64().and_then(|size| usize::try_from(size).ok());
        let prefix = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
        let generous = usize::from(depth < GENEROUS_DEPTH).max(prefix.len());
        let length = size("minItems").unwrap_or(0).max(generous);
        let length = length.min(size("maxItems").unwrap_or(usize::MAX));
        let items = (0..length).map(|index| {
            let child = prefix.get(index).or(schema.get("items")).unwrap_or(&Value::Null);
            let value = self.value(child, name, depth + 1);
            if schema["uniqueItems"] == true { distinct(value, child, index) } else { value }
        });
        items.collect()
    }
}

/// Another value for each place in a list of unique ones, where that is easy.
fn distinct(value: Value, schema: &Value, index: usize) -> Value {
    let listed = schema["enum"].as_array().and_then(|values| values.get(index));
    match (listed, value) {
        (Some(listed), _) => listed.clone(),
        (None, Value::String(text)) if index > 0 => json!(format!("{text} {index}")),
        (None, Value::Number(number)) if index > 0 => number
            .as_i64()
            .map_or(Value::Number(number), |n| json!(n.saturating_add_unsigned(index as u64))),
        (None, value) => value,
    }
}

/// The parts of `allOf` laid over each other, properties and requirements joined.
fn merged(schema: &Value, all: &[Value]) -> Value {
    let mut result = schema.as_object().cloned().unwrap_or_default();
    result.remove("allOf");
    for part in all.iter().filter_map(Value::as_object) {
        for (key, value) in part {
            match (result.get_mut(key), value) {
                (Some(Value::Object(mine)), Value::Object(theirs)) => mine.extend(theirs.clone()),
                (Some(Value::Array(mine)), Value::Array(theirs)) if key == "required" => {
                    mine.extend(theirs.iter().cloned());
                }
                (Some(_), _) => {}
                (None, _) => {
                    result.insert(key.clone(), value.clone());
                }
            }
        }
    }
    Value::Object(result)
}

/// The type, the first that is not null where there are several.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            let first = kinds.next();
            if first == Some("null") { kinds.next().or(first) } else { first }
        }
        _ if schema.get("properties").is_some() => Some("object"),
        _ if schema.get("items").is_some() => Some("array"),
        _ => None,
    }
}

fn string(schema: &Value, name: &str) -> String {
    let text = match schema["format"].as_str() {
        Some("date") => "2026-01-02".to_owned(),
        Some("time") => "03:04:05Z".to_owned(),
        Some("date-time") => "2026-01-02T03:04:05Z".to_owned(),
        Some("duration") => "P1D".to_owned(),
        Some("email") => "someone@example.com".to_owned(),
        Some("hostname") => "example.com".to_owned(),
        Some("ipv4") => "192.0.2.1".to_owned(),
        Some("ipv6") => "2001:db8::1".to_owned(),
        Some("uri" | "url") => "https://example.com/".to_owned(),
        Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
        _ => format!("simulated {name}"),
    };
    let bound = |key: &str| schema[key].as_u64().and_then(|bound| usize::try_from(bound).ok());
    let missing = bound("minLength").unwrap_or(0).saturating_sub(text.chars().count());
    let text = text + &"x".repeat(missing);
    match bound("maxLength") {
        Some(limit) => text.chars().take(limit).collect(),
        None => text,
    }
}

/// The smallest integer from 1 up that the bounds allow, or the largest below.
fn integer(schema: &Value) -> Value {
    let bound = |key: &str| schema[key].as_i64();
    let least = bound("minimum")
        .max(bound("exclusiveMinimum").map(|bound| bound.saturating_add(1)))
        .unwrap_or(i64::MIN);
    let most = [bound("maximum"), bound("exclusiveMaximum").map(|bound| bound.saturating_sub(1))]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(i64::MAX);
    let value = 1_i64.clamp(least.min(most), most);
    match bound("multipleOf").filter(|step| *step > 0) {
        Some(step) => json!(value.div_euclid(step).saturating_mul(step).max(least)),
        None => json!(value),
    }
}

fn number(schema: &Value) -> Value {
    let bound = |key: &str| schema[key].as_f64();
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|bound| bound + 0.5));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|bound| bound - 0.5));
    let value = 1.5_f64.max(least.unwrap_or(f64::MIN)).min(most.unwrap_or(f64::MAX));
    json!(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!({ "type": "boolean" })),
            Just(json!({ "type": ["null", "string"] })),
            Just(json!({ "const": { "a": 1 } })),
            (0_u64..30).prop_map(|n| json!({ "type": "string", "minLength": n })),
            (0_u64..30).prop_map(|n| json!({ "type": "string", "maxLength": n })),
            (-50_i64..50, 0_i64..9)
                .prop_map(|(n, w)| json!({ "type": "integer", "minimum": n, "maximum": n + w })),
            (-50_i64..50).prop_map(|n| json!({ "type": "integer", "exclusiveMinimum": n })),
            (-50_i64..50).prop_map(|n| json!({ "type": "number", "exclusiveMaximum": n })),
            prop::sample::select(vec!["date", "date-time", "email", "uuid", "uri", "ipv4"])
                .prop_map(|format| json!({ "type": "string", "format": format })),
            prop::collection::vec("[a-z]{1,4}", 1..4).prop_map(|names| json!({ "enum": names })),
        ]
    }

    fn schema() -> impl Strategy<Value = Value> {
        leaf().prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                (inner.clone(), 0_u64..4).prop_map(
                    |(items, n)| json!({ "type": "array", "items": items, "minItems": n })
                ),
                prop::collection::vec(inner.clone(), 1..3)
                    .prop_map(|choices| json!({ "anyOf": choices })),
                prop::collection::btree_map("[a-d]", (inner, any::<bool>()), 0..4).prop_map(
                    |map| {
                        let required: Vec<&String> = map
                            .iter()
                            .filter(|(_, (_, needed))| *needed)
                            .map(|(key, _)| key)
                            .collect();
                        let properties: Map<String, Value> = map
                            .iter()
                            .map(|(key, (child, _))| (key.clone(), child.clone()))
                            .collect();
                        json!({
                            "type": "object",
                            "properties": properties,
                            "required": required,
                            "additionalProperties": false,
                        })
                    }
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_generated_value_satisfies_its_schema(schema in schema()) {
            let value = generate(&schema);
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
            prop_assert!(validator.is_valid(&value), "{value} for {schema}");
        }
    }

    #[test]
    fn recursive_schemas_end() {
        let schema = json!({
            "$ref": "#/$defs/node",
            "$defs": { "node": {
                "type": "object",
                "properties": {
                    "name": { "type": "string" },
                    "children": { "type": "array", "items": { "$ref": "#/$defs/node" } },
                },
                "required": ["name", "children"],
                "additionalProperties": false,
            } },
        });
        let value = generate(&schema);
        assert!(jsonschema::is_valid(&schema, &value), "{value}");
        let endless = json!({ "$ref": "#" });
        assert_eq!(generate(&endless), Value::Null);
    }

    #[test]
    fn parts_of_all_of_are_joined() {
        let schema = json!({ "allOf": [
            { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] },
            { "properties": { "b": { "type": "string" } }, "required": ["b"] },
        ] });
        let value = generate(&schema);
        assert!(jsonschema::is_valid(&schema, &value), "{value}");
    }
}
