//! Reasoning, shown where the owner of the daemon wants it.

use super::steps;
use super::text::{TextAccumulator, TextUpdate};
use crate::chat::delta::{Delta, Sink};
use crate::translate::plan::Plan;
use crate::translate::policy::Reasoning;

/// What stands between two summaries: each begins with a title of its own.
const SEPARATOR: &str = "\n\n";

/// The reasoning of an answer.
#[derive(Debug)]
pub(super) struct ReasoningWriter {
    place: Reasoning,
    /// Whose text came last: the item, and which of its texts.
    last: Option<(usize, Source, u64)>,
    /// Whether a `<think>` is open in the content.
    is_open: bool,
    /// How many code points of the content are reasoning.
    content_chars: u64,
}

/// Where a piece of reasoning comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A summary.
    Summary,
    /// Reasoning itself.
    Raw,
    /// A preamble that is shown as reasoning.
    Preamble,
}

impl ReasoningWriter {
    pub(super) fn new(plan: &Plan) -> Self {
        // Thoughts within the content would spoil a JSON text.
        let spoils = plan.json && plan.reasoning == Reasoning::Think;
        let place = if spoils { Reasoning::None } else { plan.reasoning };
        Self { place, last: None, is_open: false, content_chars: 0 }
    }

    /// More reasoning, of the text `part` of `item`.
    pub(super) fn push(
        &mut self,
        item: usize,
        source: Source,
        part: u64,
        text: &str,
        sink: &mut impl Sink,
    ) {
        if text.is_empty() || self.place == Reasoning::None {
            return;
        }
        let key = (item, source, part);
        let is_next = self.last.replace(key).is_some_and(|last| last != key);
        if self.place == Reasoning::Think {
            let before = match (self.is_open, is_next) {
                (false, _) => "<think>",
                (true, true) => SEPARATOR,
                (true, false) => "",
            };
            self.is_open = true;
            self.emit(&joined(before, text), sink);
        } else {
            sink.delta(Delta::Reasoning(&joined(if is_next { SEPARATOR } else { "" }, text)));
        }
    }

    /// Whether the client sees any reasoning.
    pub(super) fn is_shown(&self) -> bool {
        self.place != Reasoning::None
    }

    /// Ends the reasoning that stands within the content, before anything else comes.
    pub(super) fn close(&mut self, sink: &mut impl Sink) {
        if std::mem::take(&mut self.is_open) {
            self.emit("</think>\n\n", sink);
        }
    }

    fn emit(&mut self, text: &str, sink: &mut impl Sink) {
        self.content_chars += text.chars().count() as u64;
        sink.delta(Delta::Content(text));
    }

    /// How many code points of the content are reasoning: citations count over all of it.
    pub(super) fn content_chars(&self) -> u64 {
        self.content_chars
    }
}

/// Two texts as one, without a copy where the first is empty.
pub(super) fn joined<'t>(before: &str, text: &'t str) -> std::borrow::Cow<'t, str> {
    if before.is_empty() { text.into() } else { [before, text].concat().into() }
}

/// The texts of a reasoning item.
#[derive(Debug, Default)]
pub(super) struct ReasoningItem {
    texts: Vec<(Source, u64, TextAccumulator)>,
    has_summary: bool,
}

impl ReasoningItem {
    /// What is to be shown of a piece of this item, or of a whole text of it. Of items with
    /// summaries only those are shown.
    pub(super) fn take<'t>(
        &mut self,
        source: Source,
        part: u64,
        text: &'t str,
        is_whole: bool,
    ) -> TextUpdate<'t> {
        self.has_summary |= source == Source::Summary && !text.is_empty();
        if source == Source::Raw && self.has_summary {
            return TextUpdate::More("");
        }
        let at = self.position(source, part).unwrap_or_else(|| {
            self.texts.push((source, part, TextAccumulator::default()));
            self.texts.len() - 1
        });
        self.texts[at].2.take(text, is_whole)
    }

    /// What is known of a text.
    pub(super) fn text(&self, source: Source, part: u64) -> Option<&TextAccumulator> {
        self.position(source, part).map(|at| &self.texts[at].2)
    }

    /// All that is to be shown, in order.
    pub(super) fn texts(&self) -> Vec<(Source, u64, &str)> {
        let shown = if self.has_summary { Source::Summary } else { Source::Raw };
        let texts = self.texts.iter().filter(|(source, ..)| *source == shown);
        let mut texts: Vec<_> =
            texts.map(|(source, part, text)| (*source, *part, text.as_str())).collect();
        texts.sort_by_key(|(_, part, _)| *part);
        texts
    }

    fn position(&self, source: Source, part: u64) -> Option<usize> {
        let is_it = |(s, p, _): &(Source, u64, TextAccumulator)| {
            steps::note(1);
            (*s, *p) == (source, part)
        };
        // Mostly it is the latest; and the texts of an item are told in order.
        usize::try_from(part)
            .ok()
            .filter(|&at| self.texts.get(at).is_some_and(is_it))
            .or_else(|| self.texts.iter().rposition(is_it))
    }
}
