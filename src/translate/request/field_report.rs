//! Dropped and emulated fields, for the response headers.

use crate::chat::invalid_request::InvalidRequest;
use crate::steps;

/// How many names a header lists at most: a client may send any number of unknown fields.
const MAX_FIELDS: usize = 32;

/// The end of a truncated list.
const MORE: &str = "...";

/// Dropped and emulated fields, by their names in the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldReport {
    strict: bool,
    dropped: Vec<String>,
    emulated: Vec<&'static str>,
}

impl FieldReport {
    pub(super) fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Reports that `field` has no effect, or rejects it in strict mode.
    pub(super) fn dropped_field(&mut self, field: &str) -> Result<(), InvalidRequest> {
        if self.strict {
            return Err(InvalidRequest::unsupported(
                field,
                "The backend does not take it, and `[compat] strict` is on.",
            ));
        }
        if self.dropped.len() > MAX_FIELDS {
            return Ok(());
        }
        steps::count(self.dropped.len());
        let name =
            if self.dropped.len() == MAX_FIELDS { MORE.to_owned() } else { printable(field) };
        if !self.dropped.contains(&name) {
            self.dropped.push(name);
        }
        Ok(())
    }

    /// Reports that `field` is emulated by this program.
    pub(super) fn emulated_field(&mut self, field: &'static str) {
        if !self.emulated.contains(&field) {
            self.emulated.push(field);
        }
    }

    /// Fields without effect, as a list in a header; `None` if there are none.
    pub fn dropped(&self) -> Option<String> {
        (!self.dropped.is_empty()).then(|| self.dropped.join(","))
    }

    /// Emulated fields, as a list in a header; `None` if there are none.
    pub fn emulated(&self) -> Option<String> {
        (!self.emulated.is_empty()).then(|| self.emulated.join(","))
    }
}

/// A field's name, safe within a header: clients choose it.
fn printable(field: &str) -> String {
    field
        .chars()
        .take(128)
        .map(|c| if c.is_ascii_alphanumeric() || "_-.[]".contains(c) { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_once_and_made_printable() {
        let mut notes = FieldReport::new(false);
        for field in ["seed", "seed", "a\r\nb: c", "ü"] {
            notes.dropped_field(field).unwrap();
        }
        assert_eq!(notes.dropped().as_deref(), Some("seed,a??b??c,?"));
        assert_eq!(notes.emulated(), None);
    }

    #[test]
    fn a_list_that_is_cut_says_so() {
        let mut notes = FieldReport::new(false);
        for number in 0..MAX_FIELDS {
            notes.dropped_field(&format!("f{number}")).unwrap();
        }
        assert!(notes.dropped().unwrap().ends_with(",f31"));
        for number in 0..1000 {
            notes.dropped_field(&format!("g{number}")).unwrap();
        }
        assert!(notes.dropped().unwrap().ends_with(",f31,..."));
    }

    #[test]
    fn strict_refuses_what_would_be_dropped() {
        let refusal = FieldReport::new(true).dropped_field("seed").unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("seed"));
    }
}
