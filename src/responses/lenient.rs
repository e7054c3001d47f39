//! Field types that take what they can use and overlook the rest.
//!
//! Hosts differ in details: a time may be a float, a field null or of another type. One odd field
//! must not cost the event it stands in.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string that borrows from the event where it has no escapes; anything else is nothing.
///
/// (`Option<Cow<str>>` with `#[serde(borrow)]` always allocates.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LenientStr<'a>(pub Option<Cow<'a, str>>);

impl LenientStr<'_> {
    /// The text, if there is any.
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// A whole number, also as a text or a float without a fraction; anything else is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LenientU64(pub Option<u64>);

/// The items of a list, if there are not too many of them. A list of millions fits into one event,
/// and would take up far more room than the event.
#[derive(Debug)]
pub struct BoundedVec<T>(pub Vec<T>);

/// More than any answer needs.
const MAX_ITEMS: usize = 1024;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for BoundedVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = BoundedVec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX_ITEMS} items")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX_ITEMS {
                        return Err(Error::invalid_length(MAX_ITEMS + 1, &self));
                    }
                    items.push(item);
                }
                Ok(BoundedVec(items))
            }
        }
        deserializer.deserialize_seq(Read(PhantomData))
    }
}

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

impl<'de: 'a, 'a> Deserialize<'de> for LenientStr<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = LenientStr<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(LenientStr(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(LenientStr(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(LenientStr(Some(Cow::Owned(text))))
            }
            overlook!(visit_bool: bool, visit_u64: u64, visit_i64: i64, visit_f64: f64);
            overlook_nested!();
        }
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for LenientU64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = LenientU64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(LenientU64(Some(number)))
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked first"
            )]
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                let whole = number.fract() == 0.0 && (0.0..9e15).contains(&number);
                Ok(LenientU64(whole.then_some(number as u64)))
            }
            fn visit_str<E>(self, number: &str) -> Result<Self::Value, E> {
                Ok(LenientU64(number.trim().parse().ok()))
            }
            overlook!(visit_bool: bool, visit_i64: i64);
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
        let LenientStr(Some(Cow::Borrowed(text))) = serde_json::from_str(r#""plain""#).unwrap()
        else {
            panic!("not borrowed");
        };
        assert_eq!(text, "plain");
        let escaped: LenientStr<'_> = serde_json::from_str(r#""a\n""#).unwrap();
        assert_eq!(escaped.as_deref(), Some("a\n"));
    }

    #[test]
    fn lists_have_an_end() {
        let list = |length: usize| format!("[{}]", vec!["1"; length].join(","));
        for length in [0, 1, MAX_ITEMS] {
            let read: BoundedVec<u8> = serde_json::from_str(&list(length)).unwrap();
            assert_eq!(read.0.len(), length);
        }
        assert!(serde_json::from_str::<BoundedVec<u8>>(&list(MAX_ITEMS + 1)).is_err());
        assert!(serde_json::from_str::<BoundedVec<u8>>("{}").is_err());
    }

    #[test]
    fn other_types_are_nothing() {
        for json in ["null", "true", "1", "-1", "1.5", "[1,[2]]", r#"{"a":{"b":1}}"#] {
            assert_eq!(
                serde_json::from_str::<LenientStr<'_>>(json).unwrap(),
                LenientStr(None),
                "{json}"
            );
        }
        for json in ["null", "true", "-1", "1.5", r#""one""#, r#""""#, "[1]", "{}"] {
            assert_eq!(
                serde_json::from_str::<LenientU64>(json).unwrap(),
                LenientU64(None),
                "{json}"
            );
        }
        for json in ["3", "3.0", r#""3""#, r#"" 3 ""#] {
            assert_eq!(
                serde_json::from_str::<LenientU64>(json).unwrap(),
                LenientU64(Some(3)),
                "{json}"
            );
        }
    }
}
