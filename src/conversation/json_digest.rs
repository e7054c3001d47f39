//! Equality of JSON texts: clients write arguments with other white space and key order than the
//! model.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A digest that is independent of the formatting of a JSON text; text that is not JSON is hashed
/// as it is, and an empty text as an empty object, which is what clients get for it.
///
/// The text is hashed while it is parsed: nothing is allocated.
pub(crate) fn digest(text: &str) -> u64 {
    let text = if text.is_empty() { "{}" } else { text };
    serde_json::from_str::<Digest>(text).map_or_else(|_| xxh3_64(text.as_bytes()), |json| json.0)
}

struct Digest(u64);

/// One number of two, not the same in the other order.
fn pair(first: u64, second: u64) -> u64 {
    xxh3_64_with_seed(&second.to_le_bytes(), first)
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Digest, E> {
        Ok(Digest(pair(0, 0)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Digest, E> {
        Ok(Digest(pair(1, u64::from(value))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Digest, E> {
        Ok(Digest(pair(2, value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Digest, E> {
        Ok(Digest(pair(3, value.cast_unsigned())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Digest, E> {
        Ok(Digest(pair(4, value.to_bits())))
    }

    fn visit_str<E>(self, value: &str) -> Result<Digest, E> {
        Ok(Digest(pair(5, xxh3_64(value.as_bytes()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Digest, A::Error> {
        let mut digest = pair(6, 0);
        while let Some(Digest(item)) = seq.next_element()? {
            digest = pair(digest, item);
        }
        Ok(Digest(digest))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Digest, A::Error> {
        // A sum does not depend on the order.
        let mut digest = pair(7, 0);
        while let Some((key, Digest(value))) = map.next_entry::<Cow<'_, str>, Digest>()? {
            digest = digest.wrapping_add(pair(xxh3_64(key.as_bytes()), value));
        }
        Ok(Digest(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn spellings_of_one_value_are_the_same() {
        for (a, b) in [
            (r#"{"a":1,"b":[true,null,"x"]}"#, "{ \"b\": [true, null, \"\\u0078\"],\n \"a\": 1 }"),
            ("", "{}"),
            ("[]", " [ ] "),
        ] {
            assert_eq!(digest(a), digest(b), "{a} {b}");
        }
    }

    #[test]
    fn different_values_differ() {
        let values = [
            "{}",
            "[]",
            "null",
            "0",
            "1",
            "-1",
            "1.5",
            "true",
            "false",
            r#""""#,
            r#""1""#,
            "[1]",
            "[[1]]",
            "[1,2]",
            "[2,1]",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":{"a":1}}"#,
            r#"{"a":"1"}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            "not json",
            "not  json",
            "{",
        ];
        for (index, a) in values.iter().enumerate() {
            for b in &values[index + 1..] {
                assert_ne!(digest(a), digest(b), "{a} {b}");
            }
        }
    }
}
