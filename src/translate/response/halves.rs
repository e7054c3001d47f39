//! Characters that are cut between two deltas: the first half is kept until the second one comes.

use std::borrow::Cow;

use crate::responses::event::{Halves, TextKind};
use crate::responses::surrogates::join_halves;

/// What stands for a half that nothing can be made of.
const REPLACEMENT: char = '\u{fffd}';

/// A text that ends with the first half of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Half {
    /// Its item.
    pub(super) at: usize,
    pub(super) kind: TextKind,
    pub(super) part: u64,
}

/// The texts that end with the first half of a character now. There is hardly ever one.
#[derive(Debug, Default)]
pub(super) struct HalfTexts(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    half: Half,
    first: u16,
    /// How long the text is before it.
    len: usize,
}

impl HalfTexts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// More of a text, in which halves at the ends are [`REPLACEMENT`]s: with what was kept of it,
    /// and without what is to be kept, if that is so.
    pub(super) fn join<'t>(
        &mut self,
        half: Half,
        text: Cow<'t, str>,
        halves: Halves,
    ) -> (Cow<'t, str>, bool) {
        if text.is_empty() {
            return (text, false);
        }
        let kept = self.0.iter().position(|kept| kept.half == half);
        let kept = kept.map(|at| self.0.swap_remove(at));
        if kept.is_none() && halves.trailing.is_none() {
            return (text, false);
        }
        let mut rest = &*text;
        let mut whole = String::new();
        if let Some(kept) = kept {
            let joined = halves.leading.and_then(|second| join_halves(kept.first, second));
            if joined.is_some() {
                rest = rest.strip_prefix(REPLACEMENT).unwrap_or(rest);
            }
            whole.push(joined.unwrap_or(REPLACEMENT));
        }
        if halves.trailing.is_some() {
            rest = rest.strip_suffix(REPLACEMENT).unwrap_or(rest);
        }
        whole.push_str(rest);
        (whole.into(), halves.trailing.is_some())
    }

    /// Keeps the first half of a character, which a text of this length ends with.
    pub(super) fn keep(&mut self, half: Half, first: Option<u16>, len: usize) {
        self.0.extend(first.map(|first| Kept { half, first, len }));
    }

    /// What is still kept: the texts and their lengths before it.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (Half, usize)> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|kept| (kept.half, kept.len))
    }
}
