//! Schemas of functions, without what the backend refuses at their top.

use std::collections::{HashMap, HashSet};

use super::field_report::FieldReport;
use crate::chat::invalid_request::InvalidRequest;
use crate::json::{Object, Value};
use crate::responses::schema::{Fill, Merged, Schema};
use crate::steps;

/// What the backend refuses at the top of a function's schema ("schema must have type 'object' and
/// not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level").
const REFUSED: &[&str] = &["oneOf", "anyOf", "allOf", "enum", "not"];

/// The most references that are followed within one schema: each is looked up in the whole list of
/// definitions.
const MAX_REFERENCES: usize = 256;

/// How deep alternatives are looked for within alternatives.
const MAX_DEPTH: usize = 32;

/// The schema of a function's arguments, and whether it can still be followed exactly.
///
/// What the backend refuses at the top is left out and noted, by the path `path`; the properties of
/// alternatives become properties that may be there. A tool checks its arguments itself.
pub(super) fn parameters<'v>(
    given: Option<&'v Value<'v>>,
    strict: bool,
    path: &str,
    notes: &mut FieldReport,
) -> Result<(Schema<'v>, bool), InvalidRequest> {
    let given = given.map(unwrap_single_all_of);
    let mut schema = Schema::new(given, Fill::Function);
    let Some(root) = given else { return Ok((schema, strict)) };
    let field = |name: &str| field(root, name);
    if !REFUSED.iter().any(|name| field(name).is_some()) {
        return Ok((schema, strict));
    }
    let mut merge = Merge::new(root);
    merge.all_of(root);
    let is_exact = merge.is_exact;
    for name in REFUSED {
        if field(name).is_some() && !(*name == "allOf" && is_exact) {
            notes.dropped_field(&format!("{path}.{name}"))?;
        }
    }
    merge.any_of(root);
    let is_exact = merge.is_exact && ["enum", "not"].iter().all(|name| field(name).is_none());
    schema.without = REFUSED;
    schema.merged = Some(merge.merged);
    // What is left demands less than the client's schema.
    Ok((schema, strict && is_exact))
}

/// A schema that is nothing but `{"allOf":[{…}]}`, as some generators write it, is its one
/// element.
fn unwrap_single_all_of<'v>(schema: &'v Value<'v>) -> &'v Value<'v> {
    let Some(object) = schema.as_object() else { return schema };
    let is_wrapper = object.iter().all(|(key, value)| {
        matches!(key, "allOf" | "type" | "title" | "description" | "$schema") || value.is_null()
    });
    match object.get("allOf").and_then(Value::as_array) {
        Some([only]) if is_wrapper && only.is_object() => only,
        _ => schema,
    }
}

fn field<'v>(value: &'v Value<'v>, name: &str) -> Option<&'v Value<'v>> {
    let object = value.as_object()?;
    steps::count(object.len());
    object.get(name).filter(|value| !value.is_null())
}

fn list<'v>(value: &'v Value<'v>, name: &str) -> &'v [Value<'v>] {
    field(value, name).and_then(Value::as_array).unwrap_or_default()
}

/// Collects the properties of alternatives.
struct Merge<'v> {
    root: &'v Value<'v>,
    merged: Merged<'v>,
    /// The schema's own properties.
    own: HashSet<&'v str>,
    /// Where a collected property stands.
    places: HashMap<&'v str, usize>,
    required: HashSet<&'v str>,
    /// Schemas that were looked at: references may lead in circles.
    seen: HashSet<*const Value<'v>>,
    references: usize,
    depth: usize,
    /// Whether what was collected says the same as where it comes from.
    is_exact: bool,
}

impl<'v> Merge<'v> {
    fn new(root: &'v Value<'v>) -> Self {
        let own = field(root, "properties").and_then(Value::as_object);
        let own = own.into_iter().flat_map(Object::iter);
        Self {
            root,
            merged: Merged::default(),
            own: own.map(|(name, _)| name).collect(),
            places: HashMap::new(),
            required: list(root, "required").iter().filter_map(Value::as_str).collect(),
            seen: HashSet::from([std::ptr::from_ref(root)]),
            references: 0,
            depth: 0,
            is_exact: true,
        }
    }

    /// Collects what holds at the same time.
    fn all_of(&mut self, schema: &'v Value<'v>) {
        for part in list(schema, "allOf") {
            self.part(part, true);
        }
    }

    /// Collects alternatives.
    fn any_of(&mut self, schema: &'v Value<'v>) {
        for name in ["anyOf", "oneOf"] {
            for part in list(schema, name) {
                self.is_exact = false;
                self.part(part, false);
            }
        }
    }

    fn part(&mut self, part: &'v Value<'v>, holds: bool) {
        let Some(part) = self.resolve(part) else {
            self.is_exact = false;
            return;
        };
        let Some(object) = part.as_object() else {
            self.is_exact = false;
            return;
        };
        for (name, value) in object.iter() {
            steps::count(1);
            match name {
                "properties" => self.properties(value),
                "required" if holds => {
                    for name in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        if self.required.insert(name) {
                            self.merged.required.push(name);
                        }
                    }
                }
                "type" | "title" | "description" | "$schema" | "$defs" | "definitions"
                | "allOf" => {}
                _ => self.is_exact = false,
            }
        }
        if self.depth == MAX_DEPTH {
            self.is_exact = false;
            return;
        }
        self.depth += 1;
        if holds {
            self.all_of(part);
        } else {
            for inner in list(part, "allOf") {
                self.part(inner, false);
            }
        }
        self.any_of(part);
        self.depth -= 1;
    }

    fn properties(&mut self, properties: &'v Value<'v>) {
        let Some(properties) = properties.as_object() else { return };
        for (name, schema) in properties.iter() {
            if self.own.contains(name) {
                self.is_exact = false;
                continue;
            }
            let gathered = &mut self.merged.properties;
            match self.places.get(name) {
                None => {
                    self.places.insert(name, gathered.len());
                    gathered.push((name, vec![schema]));
                }
                Some(&place) => {
                    self.is_exact = false;
                    let schemas = &mut gathered[place].1;
                    if schemas.last().is_none_or(|last| *last != schema) {
                        schemas.push(schema);
                    }
                }
            }
        }
    }

    /// What a reference within the document leads to; nothing if that was looked at before, if it
    /// leads nowhere, or if there are too many.
    fn resolve(&mut self, mut schema: &'v Value<'v>) -> Option<&'v Value<'v>> {
        while let Some(reference) = field(schema, "$ref").and_then(Value::as_str) {
            self.references += 1;
            if self.references > MAX_REFERENCES || !self.seen.insert(std::ptr::from_ref(schema)) {
                return None;
            }
            schema = reference.strip_prefix("#/")?.split('/').try_fold(self.root, field)?;
        }
        self.seen.insert(std::ptr::from_ref(schema)).then_some(schema)
    }
}
