//! What clients say, as far as it is repeated in errors, logs and headers.

use std::borrow::Cow;

/// How many bytes of it are repeated: enough to know a name, a path or a value again.
pub(crate) const MAX_BYTES: usize = 200;

/// A text as it is repeated: its beginning, and `…` where there is more.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    excerpt_of(text, MAX_BYTES)
}

/// The same with another length.
pub(crate) fn excerpt_of(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_long_text_is_repeated() {
        let fits = "x".repeat(MAX_BYTES);
        for (text, expected) in [
            (String::new(), String::new()),
            ("gpt-5.5".to_owned(), "gpt-5.5".to_owned()),
            (fits.clone(), fits.clone()),
            (fits.clone() + "y", fits.clone() + "…"),
            ("x".repeat(5 << 20), fits.clone() + "…"),
            // Not in the middle of a character.
            ("x".repeat(MAX_BYTES - 1) + "äö", "x".repeat(MAX_BYTES - 1) + "…"),
        ] {
            assert_eq!(excerpt(&text), expected);
        }
    }
}
