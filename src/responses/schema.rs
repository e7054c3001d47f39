//! JSON schemas on the wire: the client's own, with what the backend insists on put in.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::request::Options;
use crate::json::{Object, Value};

/// A JSON schema: the client's own, with what the backend insists on put in.
#[derive(Debug, Clone)]
pub struct Schema<'v> {
    /// The client's schema, an object; nothing is an object without properties.
    pub given: Option<&'v Value<'v>>,
    /// What is put in where it is missing.
    pub fill: Fill,
    /// Keys at its top that are left out.
    pub without: &'static [&'static str],
    /// What is put in for alternatives that are left out.
    pub merged: Option<Merged<'v>>,
}

/// What is put into a schema where it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// `type` and `properties`: a function's schema must be of type object.
    Function,
    /// `type`, beside `properties` or where nothing is given at all.
    Format,
}

/// Properties of alternatives, to stand beside the schema's own.
#[derive(Debug, Clone, Default)]
pub struct Merged<'v> {
    /// Names that the schema does not have itself, each with the schemas that it has in the
    /// alternatives.
    pub properties: Vec<(&'v str, Vec<&'v Value<'v>>)>,
    /// Properties that every value must have, besides those that the schema itself requires.
    pub required: Vec<&'v str>,
}

impl<'v> Schema<'v> {
    /// The client's schema as it is, but for what is filled in.
    pub fn new(given: Option<&'v Value<'v>>, fill: Fill) -> Self {
        Self { given, fill, without: &[], merged: None }
    }

    fn fields(&self) -> impl Iterator<Item = (&'v str, &'v Value<'v>)> {
        let without = self.without;
        let fields = self.given.and_then(Value::as_object).into_iter().flat_map(Object::iter);
        // A null stands for absent, and what was filled in must not come twice.
        fields.filter(move |(name, value)| !value.is_null() && !without.contains(name))
    }

    fn has(&self, name: &str) -> bool {
        self.fields().any(|(key, _)| key == name)
    }
}

impl Serialize for Schema<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (fill_type, fill_properties) = match self.fill {
            Fill::Function => (!self.has("type"), !self.has("properties")),
            Fill::Format => {
                let fills = self.has("properties") || self.fields().next().is_none();
                (!self.has("type") && fills, false)
            }
        };
        let merged = self.merged.as_ref();
        let mut map = serializer.serialize_map(None)?;
        if fill_type {
            map.serialize_entry("type", "object")?;
        }
        if fill_properties {
            match merged {
                Some(merged) => map.serialize_entry("properties", &Properties(None, merged))?,
                None => map.serialize_entry("properties", &Options::default())?,
            }
        }
        for (name, value) in self.fields() {
            match (name, merged) {
                ("type", _) if self.fill == Fill::Function && is_object_type(value) => {
                    map.serialize_entry(name, "object")?;
                }
                ("properties", Some(merged)) => {
                    map.serialize_entry(name, &Properties(Some(value), merged))?;
                }
                ("required", Some(merged)) => {
                    map.serialize_entry(name, &Required(Some(value), &merged.required))?;
                }
                _ => map.serialize_entry(name, &Keyword(name, value))?,
            }
        }
        if let Some(merged) = merged
            && !merged.required.is_empty()
            && !self.has("required")
        {
            map.serialize_entry("required", &Required(None, &merged.required))?;
        }
        map.end()
    }
}

/// `object` in any case, or a list of types that has it: arguments are always an object.
fn is_object_type(value: &Value<'_>) -> bool {
    match value {
        Value::Str(name) => name.eq_ignore_ascii_case("object"),
        Value::Array(names) => names.iter().any(is_object_type),
        _ => false,
    }
}

/// The schema's own properties and those of its alternatives.
struct Properties<'a, 'v>(Option<&'v Value<'v>>, &'a Merged<'v>);

impl Serialize for Properties<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.0.and_then(Value::as_object).into_iter().flat_map(Object::iter);
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in own {
            map.serialize_entry(name, &Inner(value))?;
        }
        for (name, schemas) in &self.1.properties {
            match schemas.as_slice() {
                [only] => map.serialize_entry(name, &Inner(only))?,
                several => map.serialize_entry(name, &AnyOf { any_of: several })?,
            }
        }
        map.end()
    }
}

/// A value that satisfies any of these.
struct AnyOf<'a, 'v> {
    any_of: &'a [&'v Value<'v>],
}

impl Serialize for AnyOf<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let schemas: Vec<_> = self.any_of.iter().map(|schema| Inner(schema)).collect();
        map.serialize_entry("anyOf", &schemas)?;
        map.end()
    }
}

/// `required`, and what alternatives require besides.
struct Required<'a, 'v>(Option<&'v Value<'v>>, &'a [&'v str]);

impl Serialize for Required<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for name in self.0.and_then(Value::as_array).into_iter().flatten() {
            seq.serialize_element(name)?;
        }
        for name in self.1 {
            seq.serialize_element(name)?;
        }
        seq.end()
    }
}

/// A schema within a schema, or a list of schemas: names of types are in lower case, and empty
/// arrays for empty objects, which PHP writes, are objects.
struct Inner<'v>(&'v Value<'v>);

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                for (name, value) in object.iter() {
                    map.serialize_entry(name, &Keyword(name, value))?;
                }
                map.end()
            }
            Value::Array(items) if items.is_empty() => serializer.serialize_map(Some(0))?.end(),
            other => other.serialize(serializer),
        }
    }
}

/// What stands behind a keyword of a schema.
struct Keyword<'k, 'v>(&'k str, &'v Value<'v>);

impl Serialize for Keyword<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, self.1) {
            ("type", value) => TypeName(value).serialize(serializer),
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(map)) => {
                serializer.collect_map(map.iter().map(|(name, schema)| (name, Inner(schema))))
            }
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Array(list))
                if list.is_empty() =>
            {
                serializer.serialize_map(Some(0))?.end()
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Value::Array(list)) => {
                serializer.collect_seq(list.iter().map(Inner))
            }
            (
                "items"
                | "additionalProperties"
                | "not"
                | "contains"
                | "propertyNames"
                | "if"
                | "then"
                | "else",
                value @ Value::Object(_),
            ) => Inner(value).serialize(serializer),
            (_, value) => value.serialize(serializer),
        }
    }
}

/// The name of a type, or several: in lower case, as JSON Schema has it. Google's clients write
/// `OBJECT`.
struct TypeName<'v>(&'v Value<'v>);

impl Serialize for TypeName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const TYPES: [&str; 7] =
            ["object", "string", "array", "number", "integer", "boolean", "null"];
        match self.0 {
            Value::Str(name) => {
                let known = TYPES.iter().find(|known| name.eq_ignore_ascii_case(known));
                serializer.serialize_str(known.copied().unwrap_or(name))
            }
            Value::Array(names) => serializer.collect_seq(names.iter().map(TypeName)),
            other => other.serialize(serializer),
        }
    }
}
