//! `auth.json` as a document that is changed in two places and otherwise kept. Pure.
//!
//! The Codex CLI and its successors may keep things in the file that this version has never heard
//! of. Members that are not changed are copied byte for byte, in their order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::issuer::Tokens;

/// A JSON object with its members in order. Values are JSON texts.
#[derive(Default)]
pub(super) struct Document<'a> {
    members: Vec<(Cow<'a, str>, Text<'a>)>,
}

/// The JSON text of a value: one of the original, or a new one, which may be a secret.
enum Text<'a> {
    Kept(&'a str),
    New(Zeroizing<String>),
}

impl<'a> Document<'a> {
    /// The members of a JSON object. A byte order mark in front of it, which editors leave, is not
    /// part of it; of a repeated member the last one counts.
    pub(super) fn parse(text: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text))
    }

    /// Sets a member to a string.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.put(name, quoted(value));
    }

    /// Sets a member to null.
    pub(super) fn set_null(&mut self, name: &'static str) {
        self.put(name, Zeroizing::new("null".to_owned()));
    }

    /// Sets those tokens that there are.
    pub(super) fn set_tokens(&mut self, tokens: &Tokens) {
        for (name, token) in [
            ("id_token", &tokens.id_token),
            ("access_token", &tokens.access_token),
            ("refresh_token", &tokens.refresh_token),
        ] {
            if let Some(token) = token {
                self.set(name, token.expose_secret());
            }
        }
    }

    /// Changes a member that is an object; anything else in its place becomes one.
    pub(super) fn within(&mut self, name: &'static str, change: impl FnOnce(&mut Document<'_>)) {
        let text = self.member(name).map_or("{}", Text::as_str);
        let mut inner = Document::parse(text.as_bytes()).unwrap_or_default();
        change(&mut inner);
        let rendered = inner.render(1);
        self.put(name, rendered);
    }

    /// The document as text with a line for each member, ending in a line break.
    pub(super) fn into_text(self) -> Zeroizing<String> {
        let mut text = self.render(0);
        text.push('\n');
        text
    }

    fn member(&self, name: &str) -> Option<&Text<'a>> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, text)| text)
    }

    fn put(&mut self, name: &'static str, text: Zeroizing<String>) {
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = Text::New(text),
            None => self.members.push((Cow::Borrowed(name), Text::New(text))),
        }
    }

    fn render(&self, depth: usize) -> Zeroizing<String> {
        let indent = "  ".repeat(depth);
        // Reserved in one piece: a string that grows leaves copies of secrets behind.
        let size: usize = self
            .members
            .iter()
            .map(|(name, text)| 2 * name.len() + text.as_str().len() + indent.len() + 12)
            .sum();
        let mut out = Zeroizing::new(String::with_capacity(size + indent.len() + 4));
        out.push('{');
        for (index, (name, text)) in self.members.iter().enumerate() {
            out.push_str(if index == 0 { "\n" } else { ",\n" });
            out.push_str(&indent);
            out.push_str("  ");
            out.push_str(&quoted(name));
            out.push_str(": ");
            out.push_str(text.as_str());
        }
        if !self.members.is_empty() {
            out.push('\n');
            out.push_str(&indent);
        }
        out.push('}');
        out
    }
}

impl Text<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Kept(text) => text,
            Self::New(text) => text,
        }
    }
}

fn quoted(text: &str) -> Zeroizing<String> {
    Zeroizing::new(serde_json::Value::from(text).to_string())
}

impl<'de: 'a, 'a> Deserialize<'de> for Document<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = Document<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::<(Cow<'_, str>, Text<'_>)>::new();
                let mut places = HashMap::<String, usize>::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    let text = Text::Kept(value.get());
                    if let Some(&place) = places.get(&name) {
                        members[place].1 = text;
                    } else {
                        places.insert(name.clone(), members.len());
                        members.push((Cow::Owned(name), text));
                    }
                }
                Ok(Document { members })
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const FILE: &str = r#"{
  "zebra": {"b": 1.50, "a": [1,2 ]},
  "auth_mode": "chatgpt",
  "OPENAI_API_KEY": null,
  "tokens": {
    "id_token": "old-id",
    "novelty": {"z": 1, "a": 2},
    "access_token": "old"
  },
  "last_refresh": "2026-08-11T07:03:00Z",
  "agent": "\u00e9"
}"#;

    fn renewed(file: &str) -> String {
        let mut document = Document::parse(file.as_bytes()).unwrap();
        document.within("tokens", |tokens| {
            tokens.set("access_token", "new");
            tokens.set("refresh_token", "\"rt\"\n");
        });
        document.set("last_refresh", "2026-09-01T00:00:00Z");
        document.into_text().to_string()
    }

    #[test]
    fn what_is_not_changed_is_kept_byte_for_byte_and_in_order() {
        let expected = FILE
            .replace("\"old\"\n", "\"new\",\n    \"refresh_token\": \"\\\"rt\\\"\\n\"\n")
            .replace("2026-08-11T07:03:00Z", "2026-09-01T00:00:00Z");
        assert_eq!(renewed(FILE), expected + "\n");
    }

    #[test]
    fn what_is_missing_is_added() {
        for file in ["{}", "{\"tokens\": null}", "{\"tokens\": 7}"] {
            let value: Value = serde_json::from_str(&renewed(file)).unwrap();
            let tokens = json!({"access_token": "new", "refresh_token": "\"rt\"\n"});
            assert_eq!(value, json!({"tokens": tokens, "last_refresh": "2026-09-01T00:00:00Z"}));
        }
    }

    #[test]
    fn a_byte_order_mark_and_repeated_members_are_not_kept() {
        for (text, expected) in [
            ("\u{FEFF}{\"a\":1}", json!({"a": 1, "last_refresh": "x"})),
            (
                r#"{"a":1,"last_refresh":"old","\u0061":2,"last_refresh":"older","b":{"c":1,"c":2}}"#,
                json!({"a": 2, "last_refresh": "x", "b": {"c": 2}}),
            ),
        ] {
            let mut document = Document::parse(text.as_bytes()).unwrap();
            document.set("last_refresh", "x");
            let written = document.into_text();
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected, "{text}");
            assert_eq!(written.matches("last_refresh").count(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "null", "{\"a\":1", "{} {}"] {
            assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_object_keeps_its_other_members(names in proptest::collection::btree_set("\\PC*", 0..6)) {
            let members = names.into_iter().enumerate().map(|(i, name)| (name, json!([i, {"k": i}])));
            let mut expected = Value::Object(members.collect());
            let text = expected.to_string();
            let mut document = Document::parse(text.as_bytes()).unwrap();
            document.set("last_refresh", "x");
            expected["last_refresh"] = json!("x");
            prop_assert_eq!(serde_json::from_str::<Value>(&document.into_text()).unwrap(), expected);
        }
    }
}
