//! Texts that come in up to three ways: as deltas, as a whole, and within their item.

/// What is known of a text so far.
///
/// What is missing is appended and nothing is repeated: a fuller text gives its rest if it begins
/// with what is there. If it does not, what was streamed stands.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// More of the text.
    pub(super) fn append(&mut self, delta: &str) {
        self.0.push_str(delta);
    }

    /// What the whole text has beyond what is known, which is then known too.
    pub(super) fn complete<'t>(&mut self, whole: &'t str) -> &'t str {
        let missing = whole.strip_prefix(self.0.as_str()).unwrap_or("");
        self.0.push_str(missing);
        missing
    }

    /// What is new in a piece of the text, or in the whole of it.
    pub(super) fn take<'t>(&mut self, text: &'t str, is_whole: bool) -> &'t str {
        if is_whole {
            return self.complete(text);
        }
        self.append(text);
        text
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_given() {
        let mut text = Text::default();
        text.append("Hel");
        assert_eq!(text.complete("Hello"), "lo");
        assert_eq!(text.complete("Hello"), "");
        assert_eq!(text.complete("Other"), "");
        assert_eq!(text.as_str(), "Hello");
    }
}
