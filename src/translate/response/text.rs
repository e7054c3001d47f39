//! Texts that arrive in up to four forms: as deltas, as a whole, within their item, and within the
//! last event.

/// What is known of a text so far.
#[derive(Debug, Default)]
pub(super) struct TextAccumulator(String);

/// The effect of a delta or of the whole text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TextUpdate<'t> {
    /// This follows what was known.
    More(&'t str),
    /// The whole text contradicts the known beginning, and replaces it.
    Other,
}

impl TextAccumulator {
    /// More of the text.
    pub(super) fn append(&mut self, delta: &str) {
        self.0.push_str(delta);
    }

    /// The whole text. An empty one is ignored: some hosts omit texts that were sent as deltas.
    pub(super) fn complete<'t>(&mut self, whole: &'t str) -> TextUpdate<'t> {
        if whole.is_empty() {
            return TextUpdate::More("");
        }
        if let Some(missing) = whole.strip_prefix(self.0.as_str()) {
            self.0.push_str(missing);
            return TextUpdate::More(missing);
        }
        whole.clone_into(&mut self.0);
        TextUpdate::Other
    }

    /// What a piece of the text brings, or the whole of it.
    pub(super) fn take<'t>(&mut self, text: &'t str, is_whole: bool) -> TextUpdate<'t> {
        if is_whole {
            return self.complete(text);
        }
        self.append(text);
        TextUpdate::More(text)
    }

    /// Whether this may be the whole of what is known.
    pub(super) fn agrees_with(&self, whole: &str) -> bool {
        whole.is_empty() || whole.starts_with(self.as_str())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_given_and_the_whole_text_counts() {
        let mut text = TextAccumulator::default();
        text.append("Hel");
        assert_eq!(text.complete("Hello"), TextUpdate::More("lo"));
        assert_eq!(text.complete("Hello"), TextUpdate::More(""));
        assert_eq!(text.complete(""), TextUpdate::More(""));
        assert_eq!(text.as_str(), "Hello");
        for other in ["Other", "Oth"] {
            assert_eq!(text.complete(other), TextUpdate::Other);
            assert_eq!(text.as_str(), other);
        }
    }
}
