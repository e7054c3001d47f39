//! Reversible names for tools whose own names the backend would refuse.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::steps;
use crate::translate::plan::AliasMap;

/// The longest name that chat completions allow.
const MAX_NAME: usize = 64;

/// Aliases given so far in one request.
#[derive(Debug, Default)]
pub(super) struct ToolAliases<'v> {
    /// Names in use upstream, with the client's name of each.
    taken: BTreeMap<Cow<'v, str>, &'v str>,
}

impl<'v> ToolAliases<'v> {
    /// Keeps a declared name that needs no alias, so that no alias takes it.
    pub(super) fn reserve(&mut self, name: &'v str) {
        if is_legal(name) {
            self.taken.insert(Cow::Borrowed(name), name);
        }
    }

    /// What the backend is to call the tool that the client calls `name`.
    ///
    /// The same name always gives the same alias, whatever else is in the request, unless two
    /// names collide.
    pub(super) fn upstream(&mut self, name: &'v str) -> Cow<'v, str> {
        if is_legal(name) {
            return Cow::Borrowed(name);
        }
        let plain: String = name.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
        let free = |alias: &str| {
            steps::count(1);
            self.taken.get(alias).is_none_or(|&owner| owner == name)
        };
        let alias = if !plain.is_empty() && plain.len() <= MAX_NAME && free(&plain) {
            plain
        } else {
            let digest = Sha256::digest(name.as_bytes());
            let with_tail = |bytes: usize| {
                let tail = hex(&digest[..bytes]);
                // Only ASCII is left, so that any cut is between characters.
                format!("{}_{tail}", &plain[..plain.len().min(MAX_NAME - 1 - tail.len())])
            };
            // Thousands of names make two equal digests of 4 bytes likely.
            let longest = with_tail(28);
            [4, 12].into_iter().map(with_tail).find(|alias| free(alias)).unwrap_or(longest)
        };
        self.taken.insert(Cow::Owned(alias.clone()), name);
        Cow::Owned(alias)
    }

    /// What is needed to undo the aliases.
    pub(super) fn into_originals(self) -> AliasMap {
        AliasMap(
            self.taken
                .into_iter()
                .filter(|(alias, name)| alias != name)
                .map(|(alias, name)| (alias.into_owned(), name.to_owned()))
                .collect(),
        )
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_legal(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_allowed)
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The name a schema may have: bad characters replaced, cut to 64.
pub(super) fn sanitise(name: &str) -> Cow<'_, str> {
    if is_legal(name) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().take(MAX_NAME).map(|c| if is_allowed(c) { c } else { '_' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names_stay_and_others_get_aliases_that_can_be_undone() {
        let mut names = ToolAliases::default();
        names.reserve("a_b");
        assert_eq!(names.upstream("get_weather"), "get_weather");
        assert_eq!(names.upstream("mcp.read"), "mcp_read");
        assert_eq!(names.upstream("mcp.read"), "mcp_read");
        let collided = names.upstream("a.b").into_owned();
        assert!(collided.starts_with("a_b_") && collided.len() == 12, "{collided}");
        let second = names.upstream("mcp/read").into_owned();
        assert!(second.starts_with("mcp_read_"), "{second}");
        let originals = names.into_originals();
        assert_eq!(originals.of("mcp_read"), "mcp.read");
        assert_eq!(originals.of(&collided), "a.b");
        assert_eq!(originals.of(&second), "mcp/read");
        assert_eq!(originals.of("get_weather"), "get_weather");
    }

    #[test]
    fn equal_digests_do_not_make_equal_aliases() {
        let mut names = ToolAliases::default();
        names.reserve("a_b");
        let short = names.upstream("a.b").into_owned();
        // As if another name had the same digest.
        let mut names = ToolAliases::default();
        names.reserve("a_b");
        names.reserve(short.clone().leak());
        let longer = names.upstream("a.b").into_owned();
        assert!(longer.starts_with(&short) && longer.len() > short.len(), "{longer}");
        assert_eq!(names.upstream("a.b"), longer, "always the same");
        assert_eq!(names.into_originals().of(&longer), "a.b");
    }

    #[test]
    fn long_and_foreign_names_are_cut_to_64_with_a_digest() {
        let mut names = ToolAliases::default();
        let long = "x".repeat(200);
        let alias = names.upstream(&long).into_owned();
        assert_eq!(alias.len(), 64);
        let foreign = names.upstream("погода").into_owned();
        assert_eq!(foreign, "______");
        let other = names.upstream("прогон").into_owned();
        assert!(other.starts_with("_______"), "{other}");
        assert_eq!(names.into_originals().of(&other), "прогон");
    }
}
