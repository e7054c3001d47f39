//! Label values chosen by others, limited in number: each one, and every series with it, is kept as
//! long as the daemon runs.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The label for further, overlong or empty names.
pub(crate) const OTHER: &str = "other";

/// Far more than there are models or codes.
const MAX_LABELS: usize = 64;

/// The longest name.
const MAX_LABEL_LENGTH: usize = 64;

/// The known names.
#[derive(Debug, Default)]
pub(crate) struct BoundedLabels(Mutex<HashSet<String>>);

impl BoundedLabels {
    /// The name itself, unless there are too many.
    pub(crate) fn bounded<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(name) {
            return Cow::Borrowed(name);
        }
        let is_name = !name.is_empty()
            && name.len() <= MAX_LABEL_LENGTH
            && name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if !is_name || seen.len() >= MAX_LABELS {
            return Cow::Borrowed(OTHER);
        }
        seen.insert(name.to_owned());
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_end_of_names() {
        let names = BoundedLabels::default();
        for name in ["", "two words", "a\nb", "\"", "ä", &"a".repeat(MAX_LABEL_LENGTH + 1)] {
            assert_eq!(names.bounded(name), OTHER, "{name:?}");
        }
        for n in 0..MAX_LABELS {
            assert_eq!(names.bounded(&format!("gpt-{n}")), format!("gpt-{n}"));
        }
        assert_eq!(names.bounded("gpt-one-too-many"), OTHER);
        assert_eq!(names.bounded("gpt-0"), "gpt-0");
    }
}
