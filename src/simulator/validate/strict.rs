//! What `strict: true` asks of a schema.

use serde_json::Value;

/// Every object is closed and requires all its properties. The fault is worded as the backend
/// words it, with the place as a Python tuple.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    visit(schema, &mut Vec::new())
}

fn visit(schema: &Value, place: &mut Vec<String>) -> Result<(), String> {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some(missing) = properties.keys().find(|key| !required.contains(&key.as_str())) {
            return Err(format!(
                "In context={}, 'required' is required to be supplied and to be an array \
                 including every key in properties. Missing '{missing}'.",
                tuple(place)
            ));
        }
    }
    if is_object(schema) && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(format!(
            "In context={}, 'additionalProperties' is required to be supplied and to be false.",
            tuple(place)
        ));
    }
    for key in ["properties", "$defs", "definitions"] {
        for (name, child) in schema.get(key).and_then(Value::as_object).into_iter().flatten() {
            within(child, place, &[key, name])?;
        }
    }
    if let Some(items) = schema.get("items") {
        within(items, place, &["items"])?;
    }
    for (index, child) in
        schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        within(child, place, &["anyOf", &index.to_string()])?;
    }
    Ok(())
}

fn within(schema: &Value, place: &mut Vec<String>, steps: &[&str]) -> Result<(), String> {
    let depth = place.len();
    place.extend(steps.iter().map(|step| (*step).to_owned()));
    let checked = visit(schema, place);
    place.truncate(depth);
    checked
}

/// Whether the schema allows objects: `type` is `"object"` or a list with it.
pub(in crate::simulator) fn is_object(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => schema.get("properties").is_some(),
    }
}

fn tuple(place: &[String]) -> String {
    let quoted: Vec<String> = place.iter().map(|step| format!("'{step}'")).collect();
    match quoted.as_slice() {
        [only] => format!("({only},)"),
        all => format!("({})", all.join(", ")),
    }
}
