//! Finding secrets in a text.

use std::borrow::Cow;
use std::ops::Range;

use secrecy::{ExposeSecret as _, SecretString};

/// Shorter texts are too common to search for.
const MIN_SECRET_LENGTH: usize = 4;

/// Known secrets, which are searched for everywhere.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<(SecretString, &'static str)>);

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) range: Range<usize>,
    what: &'static str,
}

impl Found {
    /// Its replacement.
    pub(super) fn mark(&self) -> String {
        format!("[redacted: {}]", self.what)
    }
}

impl Secrets {
    /// Adds one; `what` is its replacement.
    #[must_use]
    pub fn with(mut self, secret: Option<&str>, what: &'static str) -> Self {
        if let Some(secret) = secret.filter(|secret| secret.len() >= MIN_SECRET_LENGTH) {
            self.0.push((secret.into(), what));
        }
        self
    }

    /// All secrets in a text, the known ones and those that look like one, in their order. None
    /// overlaps another.
    pub(super) fn find(&self, text: &str) -> Vec<Found> {
        let known =
            self.0.iter().flat_map(|(secret, what)| known(text, secret.expose_secret(), what));
        let known = in_order(known.collect());
        // What is left between two known ones is a word of its own.
        let mut looking = looking_secret(text, 0);
        let mut start = 0;
        for found in &known {
            looking.extend(looking_secret(&text[start..found.range.start], start));
            start = found.range.end;
        }
        looking.extend(looking_secret(&text[start..], start));
        looking.extend(known);
        in_order(looking)
    }
}

/// Sorted, with overlapping ones merged.
fn in_order(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|found| found.range.start);
    found.dedup_by(|next, before| {
        let overlaps = next.range.start < before.range.end;
        if overlaps {
            before.range.end = before.range.end.max(next.range.end);
        }
        overlaps
    });
    found
}

/// The text with marks in the places of what was found.
pub(super) fn without<'t>(text: &'t str, found: &[Found]) -> Cow<'t, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    for found in found {
        out.push_str(&text[rest..found.range.start]);
        out.push_str(&found.mark());
        rest = found.range.end;
    }
    Cow::Owned(out + &text[rest..])
}

/// Finds a known secret, in any case and with any escaping of its characters.
fn known(text: &str, secret: &str, what: &'static str) -> Vec<Found> {
    let (text, secret) = (text.as_bytes(), secret.as_bytes());
    // No secret is shorter than `MIN_SECRET_LENGTH`.
    let first = secret[0];
    let may_begin = |byte: u8| byte.eq_ignore_ascii_case(&first) || byte == b'\\' || byte == b'%';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].iter().position(|&byte| may_begin(byte)) {
        at += offset;
        match end_of(text, at, secret) {
            Some(end) => {
                found.push(Found { range: at..end, what });
                at = end;
            }
            // From any other backslash of the same run, the same would be read.
            None if text[at] == b'\\' => at += backslashes(text, at),
            None => at += 1,
        }
    }
    found
}

/// The end of the secret that begins here; `None` if there is none.
fn end_of(text: &[u8], mut at: usize, mut secret: &[u8]) -> Option<usize> {
    while !secret.is_empty() {
        let (character, next) = character(text, at)?;
        let (here, rest) = secret.split_at_checked(character.len())?;
        if !here.eq_ignore_ascii_case(&character) {
            return None;
        }
        (at, secret) = (next, rest);
    }
    Some(at)
}

/// The bytes that are written here, in one of the ways in which texts within texts are: as they
/// are, as `\u0040` with any number of backslashes, or as `%40` or `%2540`. And where the next
/// begin.
fn character(text: &[u8], at: usize) -> Option<(Bytes, usize)> {
    let byte = *text.get(at)?;
    let plain = (Bytes::of(&[byte]), at + 1);
    match byte {
        b'\\' => {
            let code = at + backslashes(text, at) + 1;
            if text.get(code - 1) != Some(&b'u') {
                return Some(plain);
            }
            let character = hex(text, code, 4).and_then(char::from_u32);
            let Some(character) = character else { return Some(plain) };
            Some((Bytes::of(character.encode_utf8(&mut [0; 4]).as_bytes()), code + 4))
        }
        b'%' => {
            let mut code = at + 1;
            while text[code..].starts_with(b"25") && hex(text, code + 2, 2).is_some() {
                code += 2;
            }
            let byte = hex(text, code, 2).and_then(|byte| u8::try_from(byte).ok());
            Some(byte.map_or(plain, |byte| (Bytes::of(&[byte]), code + 2)))
        }
        _ => Some(plain),
    }
}

/// How many backslashes stand here in a row.
fn backslashes(text: &[u8], at: usize) -> usize {
    text[at..].iter().take_while(|byte| **byte == b'\\').count()
}

/// Up to four bytes.
struct Bytes {
    bytes: [u8; 4],
    length: usize,
}

impl Bytes {
    fn of(given: &[u8]) -> Self {
        let mut bytes = [0; 4];
        bytes[..given.len()].copy_from_slice(given);
        Self { bytes, length: given.len() }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn hex(text: &[u8], at: usize, digits: usize) -> Option<u32> {
    let digits = text.get(at..at + digits)?;
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

/// Where words stand that have the form of a key or token, or come behind `Bearer`, in a text that
/// begins at `start`.
fn looking_secret(text: &str, mut start: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut is_after_bearer = false;
    // Words, and what stands between them.
    for piece in text.split_inclusive(|c| !is_of_token(c)) {
        let word = piece.strip_suffix(|c| !is_of_token(c)).unwrap_or(piece);
        if looks_secret(word) || (is_after_bearer && word.len() >= 16) {
            found.push(Found { range: start..start + word.len(), what: "key" });
        }
        if !word.is_empty() {
            is_after_bearer = word.eq_ignore_ascii_case("bearer");
        }
        start += piece.len();
    }
    found
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.~+/=".contains(c)
}

/// Whether a word has the form of a key or token.
fn looks_secret(word: &str) -> bool {
    // What stands in front may be a part of the word: `key=sk-…`, `/sk-…`.
    let is_secret = |word: &str| {
        (word.len() >= 20 && (word.starts_with("sk-") || word.starts_with("rt_")))
            || (word.len() >= 30
                && word.starts_with("eyJ")
                && word.bytes().filter(|b| *b == b'.').count() >= 2)
    };
    word.split(['=', '/', '~', '+']).any(is_secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::default()
            .with(Some("account-1234"), "account id")
            .with(Some("Jo@Example.com"), "e-mail address")
            .with(Some("jörg@example.com"), "other address")
            .with(Some("abc"), "too short")
            .with(None, "nothing")
    }

    fn left(text: &str) -> String {
        let secrets = secrets();
        without(text, &secrets.find(text)).into_owned()
    }

    #[test]
    fn texts_lose_what_is_secret_and_nothing_else() {
        let key = format!("sk-proj-{}", "aB3_".repeat(8));
        let token = format!("eyJhbGciOiJub25lIn0.eyJ{}.c2lnbmF0dXJl", "A".repeat(20));
        for (text, expected) in [
            ("Hello, World! abc".to_owned(), "Hello, World! abc"),
            ("mail jo@example.COM now".to_owned(), "mail [redacted: e-mail address] now"),
            ("xaccount-1234y".to_owned(), "x[redacted: account id]y"),
            (format!("use {key}, please"), "use [redacted: key], please"),
            (format!("key={key}"), "[redacted: key]"),
            (format!("\"{token}\""), "\"[redacted: key]\""),
            (
                "Authorization: Bearer abcdefghijklmnop".to_owned(),
                "Authorization: Bearer [redacted: key]",
            ),
            ("Bearer account-1234-567890".to_owned(), "Bearer [redacted: key]"),
            ("a bearer of news".to_owned(), "a bearer of news"),
            (
                "sk-short and sketch-of-something-long-enough".to_owned(),
                "sk-short and sketch-of-something-long-enough",
            ),
            ("ä—ö sk".to_owned(), "ä—ö sk"),
        ] {
            assert_eq!(left(&text), expected);
        }
    }

    #[test]
    fn secrets_are_found_however_their_characters_are_written() {
        for text in [
            r"jo\u0040example.com",
            r"jo\\u0040example\\u002Ecom",
            r"jo\\\\u0040example.com",
            r"\u006a\u006f@example.com",
            r"\u004a\u004f\u0040EXAMPLE.COM",
            "jo%40example.com",
            "%6A%6F%40example%2ecom",
            "jo%2540example.com",
            "jo%252540example.com",
            r"jo\u0025\u0034\u0030@example.com",
        ] {
            let whole = format!("<{text}>");
            let expected = "<[redacted: e-mail address]>";
            if text.contains(r"\u0025") {
                // Two ways within one another are nobody's.
                assert_eq!(left(&whole), whole);
            } else {
                assert_eq!(left(&whole), expected, "{text}");
            }
        }
        for text in ["jörg@example.com", r"j\u00f6rg@example.com", "j%C3%B6rg%40example.com"] {
            assert_eq!(left(text), "[redacted: other address]", "{text}");
        }
        for text in
            [r"jo\u004", r"jo\u0040", "jo%4", "jo%", "%", r"\", r"\u", "jo%25", "%2525", "ö%"]
        {
            assert_eq!(left(text), text);
        }
    }

    #[test]
    fn a_long_run_of_backslashes_is_read_in_linear_time() {
        let run = "\\".repeat(1 << 20);
        let text = format!("{run}u0061{run}jo{run}u0040example.com");
        assert_eq!(left(&text), format!("{run}u0061{run}[redacted: e-mail address]"));
    }
}
