//! Reading JSON with its path, so that every error names the field at fault.
//!
//! A [`Node`] is a value with its path. The path is a chain of borrowed parents: nothing is
//! allocated unless there is an error.

use std::fmt;

use super::invalid_request::{Code, InvalidRequest};
use crate::json::{Number, Value};
use crate::steps;

/// A value in a client's request and its path.
#[derive(Clone, Copy)]
pub struct Node<'p, 'v> {
    value: &'v Value<'v>,
    parent: Option<&'p Node<'p, 'v>>,
    key: Key<'v>,
}

#[derive(Clone, Copy)]
enum Key<'v> {
    Root,
    Field(&'v str),
    Index(usize),
}

/// Shows the path: `messages[0].content`.
impl fmt::Display for Node<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.parent, self.key) {
            (None, _) | (_, Key::Root) => Ok(()),
            (Some(parent), Key::Index(index)) => write!(f, "{parent}[{index}]"),
            (Some(parent), Key::Field(name)) if parent.parent.is_none() => f.write_str(name),
            (Some(parent), Key::Field(name)) => write!(f, "{parent}.{name}"),
        }
    }
}

impl<'p, 'v> Node<'p, 'v> {
    /// The whole document.
    pub fn root(value: &'v Value<'v>) -> Self {
        Self { value, parent: None, key: Key::Root }
    }

    /// The bare value.
    pub fn value(&self) -> &'v Value<'v> {
        self.value
    }

    /// The field `name`, unless it is absent or null; null means absent at every depth.
    ///
    /// Of a repeated key the last one counts, as with most JSON readers.
    pub fn get<'n>(&'n self, name: &'v str) -> Option<Node<'n, 'v>>
    where
        'p: 'n,
    {
        let Value::Object(object) = self.value else { return None };
        steps::count(object.len());
        let (_, value) = object.iter().rfind(|(key, _)| *key == name)?;
        if value.is_null() {
            return None;
        }
        Some(Node { value, parent: Some(self), key: Key::Field(name) })
    }

    /// The field `name`, or an error.
    pub fn require<'n>(&'n self, name: &'v str) -> Result<Node<'n, 'v>, InvalidRequest>
    where
        'p: 'n,
    {
        self.get(name).ok_or_else(|| InvalidRequest::missing(self.child(name)))
    }

    /// The path of the field `name`, whether it exists or not.
    pub fn child(&self, name: &str) -> String {
        match self.parent {
            None => name.to_owned(),
            Some(_) => format!("{self}.{name}"),
        }
    }

    /// The elements of an array.
    pub fn items<'n>(
        &'n self,
    ) -> Result<impl ExactSizeIterator<Item = Node<'n, 'v>>, InvalidRequest>
    where
        'p: 'n,
    {
        let Value::Array(values) = self.value else { return Err(self.wrong_type("an array")) };
        steps::count(values.len());
        Ok(values.iter().enumerate().map(move |(index, value)| Node {
            value,
            parent: Some(self),
            key: Key::Index(index),
        }))
    }

    /// The fields of an object that are not null, in the client's order.
    pub fn fields<'n>(&'n self) -> Result<impl Iterator<Item = Node<'n, 'v>>, InvalidRequest>
    where
        'p: 'n,
    {
        let Value::Object(object) = self.value else { return Err(self.wrong_type("an object")) };
        steps::count(object.len());
        Ok(object.iter().filter(|(_, value)| !value.is_null()).map(move |(key, value)| Node {
            value,
            parent: Some(self),
            key: Key::Field(key),
        }))
    }

    /// This node's own name; empty for elements of arrays.
    pub fn name(&self) -> &'v str {
        match self.key {
            Key::Field(name) => name,
            Key::Root | Key::Index(_) => "",
        }
    }

    /// This value, which must be an object.
    pub fn object(self) -> Result<Self, InvalidRequest> {
        if self.value.is_object() { Ok(self) } else { Err(self.wrong_type("an object")) }
    }

    /// A string.
    pub fn str(&self) -> Result<&'v str, InvalidRequest> {
        self.value.as_str().ok_or_else(|| self.wrong_type("a string"))
    }

    /// A boolean.
    pub fn bool(&self) -> Result<bool, InvalidRequest> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("a boolean"))
    }

    /// A whole number of at least `min`; whole floats such as `16.0` pass.
    pub fn integer(&self, min: i64) -> Result<i64, InvalidRequest> {
        let number = self.whole().ok_or_else(|| self.wrong_type("an integer"))?;
        if number < min {
            let message = format!(
                "Invalid '{self}': integer below minimum value. Expected a value >= {min}, but \
                 got {number} instead."
            );
            return Err(InvalidRequest::new(self, Code::BelowMinimum, message));
        }
        Ok(number)
    }

    /// A number within `min..=max`.
    pub fn number(&self, min: f64, max: f64) -> Result<f64, InvalidRequest> {
        let number = self.value.as_f64().ok_or_else(|| self.wrong_type("a number"))?;
        if !(min..=max).contains(&number) {
            let message = format!(
                "Invalid '{self}': number out of range. Expected a value between {min} and {max}, \
                 but got {number} instead."
            );
            let is_below = number < min;
            let code = if is_below { Code::DecimalBelowMinimum } else { Code::DecimalAboveMaximum };
            return Err(InvalidRequest::new(self, code, message));
        }
        Ok(number)
    }

    /// Whether this is blank text, which forms send for empty fields.
    pub fn is_blank(&self) -> bool {
        self.value.as_str().is_some_and(|text| text.trim().is_empty())
    }

    /// One of a closed set of strings, given with what each means. Upper case does not matter.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, InvalidRequest> {
        let got = self.str()?;
        let word = got.trim();
        choices
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                InvalidRequest::one_of(self, got, &names)
            })
    }

    /// An error of the value's type.
    pub fn wrong_type(&self, expected: &str) -> InvalidRequest {
        let got = kind(self.value);
        let message =
            format!("Invalid type for '{self}': expected {expected}, but got {got} instead.");
        InvalidRequest::new(self, Code::InvalidType, message)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    fn whole(&self) -> Option<i64> {
        self.value.as_i64().or_else(|| {
            let float = self.value.as_f64()?;
            (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
        })
    }
}

fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(Number::Float(_) | Number::Text(_)) => "a decimal number",
        Value::Number(_) => "an integer",
        Value::Str(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Value<'_> {
        crate::json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn paths_are_written_as_clients_know_them() {
        let value = parse(r#"{"messages":[{"content":[{"type":1}]}]}"#);
        let root = Node::root(&value);
        let messages = root.get("messages").unwrap();
        let message = messages.items().unwrap().next().unwrap();
        let content = message.get("content").unwrap();
        let part = content.items().unwrap().next().unwrap();
        let refusal = part.get("type").unwrap().str().unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("messages[0].content[0].type"));
        assert_eq!(
            refusal.message,
            "Invalid type for 'messages[0].content[0].type': expected a string, but got an \
             integer instead."
        );
        assert_eq!(part.child("text"), "messages[0].content[0].text");
        assert_eq!(root.child("model"), "model");
    }

    #[test]
    fn null_is_absent_and_the_last_of_repeated_keys_counts() {
        let value = parse(r#"{"a":null,"b":1,"b":2}"#);
        let root = Node::root(&value);
        assert!(root.get("a").is_none());
        assert_eq!(root.get("b").unwrap().integer(0), Ok(2));
        assert_eq!(root.fields().unwrap().count(), 2);
    }

    #[test]
    fn whole_floats_are_integers_and_ranges_are_checked() {
        let value = parse(r#"{"a":16.0,"b":1.5,"c":-1,"d":2.5}"#);
        let root = Node::root(&value);
        assert_eq!(root.get("a").unwrap().integer(1), Ok(16));
        assert_eq!(root.get("b").unwrap().integer(1).unwrap_err().code, Some(Code::InvalidType));
        assert_eq!(root.get("c").unwrap().integer(0).unwrap_err().code, Some(Code::BelowMinimum));
        let above = root.get("d").unwrap().number(0.0, 2.0).unwrap_err();
        assert_eq!(above.code, Some(Code::DecimalAboveMaximum));
    }
}
