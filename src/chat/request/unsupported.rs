//! Paths of unsupported fields of a request.

use std::fmt;

use super::super::json::Node;
use crate::excerpt::excerpt_of;
use crate::steps;

/// More than the response header lists.
const MAX_FIELDS: usize = 64;

/// The longest path that is kept, in bytes: clients choose the names in it.
const MAX_NAME: usize = 256;

/// Paths of unsupported fields, in the client's order, each once. The first [`MAX_FIELDS`] are
/// kept.
#[derive(Debug, Default)]
pub(super) struct UnsupportedFields(Vec<String>);

impl UnsupportedFields {
    /// Adds the value at `path`.
    pub(super) fn add(&mut self, path: impl fmt::Display) {
        if self.0.len() == MAX_FIELDS {
            return;
        }
        steps::count(self.0.len());
        let path = excerpt_of(&path.to_string(), MAX_NAME).into_owned();
        if !self.0.contains(&path) {
            self.0.push(path);
        }
    }

    /// Adds the fields of `node` but for those of the names `known`; the node itself if it has no
    /// fields at all.
    pub(super) fn add_others(&mut self, node: &Node<'_, '_>, known: &[&str]) {
        let Ok(fields) = node.fields() else { return self.add(node) };
        for field in fields {
            if !known.contains(&field.name()) {
                self.add(field);
            }
        }
    }

    /// Adds those of another list.
    pub(super) fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|path| self.add(path));
    }

    /// The paths.
    pub(super) fn into_paths(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_kept_once_cut_and_only_so_many() {
        let long = "x".repeat(1000);
        let text = format!(r#"{{"a":1,"known":2,"a":3,"b":null,"{long}":4}}"#);
        let value = crate::json::parse(text.as_bytes()).unwrap();
        let mut unused = UnsupportedFields::default();
        unused.add_others(&Node::root(&value), &["known"]);
        let paths = unused.into_paths();
        assert_eq!(paths[0], "a");
        assert!(paths.len() == 2 && paths[1].len() < 300, "{paths:?}");

        let mut unused = UnsupportedFields::default();
        for number in 0..1000 {
            unused.add(number);
        }
        assert_eq!(unused.into_paths().len(), MAX_FIELDS);
    }
}
