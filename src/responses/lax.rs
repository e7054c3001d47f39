//! Field types that take what they can use and overlook the rest.
//!
//! Hosts differ in details: a time may be a float, a field null or of another type. One odd field
//! must not cost the event it stands in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string that borrows from the event where it has no escapes; anything else is nothing.
///
/// (`Option<Cow<str>>` with `#[serde(borrow)]` always allocates.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Str<'a>(pub Option<Cow<'a, str>>);

impl Str<'_> {
    /// The text, if there is any.
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// A whole number; floats without a fraction pass, anything else is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct U64(pub Option<u64>);

macro_rules! overlook {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok(Default::default())
        })*
    };
}

macro_rules! overlook_nested {
    () => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Default::default())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Default::default())
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Str(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Str(Some(Cow::Owned(text))))
            }
            overlook!(visit_bool: bool, visit_u64: u64, visit_i64: i64, visit_f64: f64);
            overlook_nested!();
        }
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for U64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = U64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(U64(Some(number)))
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked first"
            )]
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                let whole = number.fract() == 0.0 && (0.0..9e15).contains(&number);
                Ok(U64(whole.then_some(number as u64)))
            }
            overlook!(visit_bool: bool, visit_i64: i64, visit_str: &str);
            overlook_nested!();
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let Str(Some(Cow::Borrowed(text))) = serde_json::from_str(r#""plain""#).unwrap() else {
            panic!("not borrowed");
        };
        assert_eq!(text, "plain");
        let escaped: Str<'_> = serde_json::from_str(r#""a\n""#).unwrap();
        assert_eq!(escaped.as_deref(), Some("a\n"));
    }

    #[test]
    fn other_types_are_nothing() {
        for json in ["null", "true", "1", "-1", "1.5", "[1,[2]]", r#"{"a":{"b":1}}"#] {
            assert_eq!(serde_json::from_str::<Str<'_>>(json).unwrap(), Str(None), "{json}");
        }
        for json in ["null", "true", "-1", "1.5", r#""1""#, "[1]", "{}"] {
            assert_eq!(serde_json::from_str::<U64>(json).unwrap(), U64(None), "{json}");
        }
        assert_eq!(serde_json::from_str::<U64>("3.0").unwrap(), U64(Some(3)));
    }
}
