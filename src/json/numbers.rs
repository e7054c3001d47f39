//! Gives numbers their text back. A reader of JSON hands over the value of a decimal number only,
//! and `1.10` or an integer of 30 digits cannot be told from that.

use super::{Number, Value};

/// Puts the text of each number that is no integer of 64 bits into `value`, which was read from
/// `text`.
pub(super) fn restore<'v>(value: &mut Value<'v>, text: &'v [u8]) {
    walk(value, &mut Tokens { rest: text });
}

/// Both have the same numbers in the same order.
fn walk<'v>(value: &mut Value<'v>, tokens: &mut Tokens<'v>) {
    match value {
        Value::Number(number) => {
            let token = tokens.next();
            if let (Number::Float(_), Some(token)) = (&number, token) {
                *number = Number::Text(token);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, tokens)),
        Value::Object(object) => object.0.iter_mut().for_each(|(_, value)| walk(value, tokens)),
        Value::Null | Value::Bool(_) | Value::Str(_) => {}
    }
}

/// The numbers of a JSON text, which was found to be valid.
struct Tokens<'v> {
    rest: &'v [u8],
}

impl<'v> Iterator for Tokens<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        loop {
            match *self.rest.first()? {
                b'"' => self.skip_string(),
                b'-' | b'0'..=b'9' => {
                    let is_part =
                        |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                    let end = self.rest.iter().position(|byte| !is_part(byte));
                    let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                    self.rest = rest;
                    return std::str::from_utf8(number).ok();
                }
                _ => self.rest = &self.rest[1..],
            }
        }
    }
}

impl Tokens<'_> {
    /// Skips the string that begins here.
    fn skip_string(&mut self) {
        let mut at = 1;
        while let Some(found) =
            self.rest.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
        {
            at += found + 1;
            if self.rest[at - 1] == b'"' {
                self.rest = &self.rest[at..];
                return;
            }
            // What is escaped.
            at += 1;
        }
        self.rest = &[];
    }
}
