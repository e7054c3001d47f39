//! Text from files and from the network, made safe for a terminal and for a log.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything escaped by which it could steer a terminal: control characters other
/// than line breaks and tabs, and marks that reorder what is shown. The escapes are those of JSON
/// and TOML, so that text of these forms means the same.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |c| steers(c) && c != '\n' && c != '\t')
}

/// The same for what has to stay within its line.
pub(crate) fn printable_line(text: &str) -> Cow<'_, str> {
    escape(text, steers)
}

/// The longest name or id that is passed on, in bytes.
const MAX_NAME: usize = 256;

/// Whether a name or an id of the backend's may stand in a header and in the log.
pub(crate) fn is_plain_name(text: &str) -> bool {
    text.len() <= MAX_NAME && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            // Writing to a string does not fail, and all of these characters have four digits.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' |
            '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        for (text, expected) in [
            ("plain, äöü 🌍\n\ttext", "plain, äöü 🌍\n\ttext"),
            ("\u{1b}]52;c;aGk=\u{7}", "\\u001b]52;c;aGk=\\u0007"),
            ("a\u{1b}[2Jb\rc", "a\\u001b[2Jb\\u000dc"),
            ("\u{9b}31m\u{7f}", "\\u009b31m\\u007f"),
            ("a\u{202e}b\u{61c}\u{2028}", "a\\u202eb\\u061c\\u2028"),
        ] {
            assert_eq!(printable(text), expected);
            assert_eq!(printable(expected), expected);
        }
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(printable_line("a\r\n\tb"), "a\\u000d\\u000a\\u0009b");
        assert_eq!(printable_line("a b"), "a b");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({"a\u{202e}": "b\u{9b}\n\u{7f}"});
        for text in [format!("{value}"), format!("{value:#}")] {
            let safe = printable(&text);
            assert!(safe.is_ascii(), "{safe}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
        }
    }
}
