//! The visible content: messages joined, cut at stop sequences and at the token limit.

use std::sync::Arc;

use super::stop::{Shown, Stop};
use super::tokens::{Allowed, Cap};
use crate::chat::delta::{Delta, FinishReason, Sink};
use crate::translate::plan::Plan;

/// What stands between two messages of one answer.
const SEPARATOR: &str = "\n\n";

/// The content of an answer.
#[derive(Debug)]
pub(super) struct ContentWriter {
    stop: Option<Stop>,
    display: Display,
    /// The message that spoke last.
    speaker: Option<usize>,
    /// The joined text so far, shown or held back: how many code points and how it ends.
    chars: u64,
    ends_line: bool,
}

/// What is shown of the text that no stop sequence holds back.
#[derive(Debug)]
struct Display {
    cap: Option<Cap>,
    chars: u64,
    bytes: u64,
    cut: Option<FinishReason>,
}

impl ContentWriter {
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        Self {
            stop: Stop::new(plan),
            display: Display { cap: plan.max_tokens.map(Cap::new), chars: 0, bytes: 0, cut: None },
            speaker: None,
            chars: 0,
            ends_line: false,
        }
    }

    /// Prepares for text of the message `speaker`: a message after another one begins a paragraph
    /// of its own. Gives the offset at which its next text stands, in code points.
    pub(super) fn begin_message(&mut self, speaker: usize) -> (&'static str, u64) {
        let is_other = self.speaker.replace(speaker).is_some_and(|last| last != speaker);
        let separator = if is_other && self.chars > 0 && !self.ends_line { SEPARATOR } else { "" };
        (separator, self.chars + separator.len() as u64)
    }

    /// More text. Nothing is shown once the answer is cut.
    pub(super) fn push(&mut self, text: &str, sink: &mut impl Sink) {
        if text.is_empty() || self.display.cut.is_some() {
            return;
        }
        self.chars += text.chars().count() as u64;
        self.ends_line = text.ends_with('\n');
        let Some(stop) = &mut self.stop else { return self.display.show(text, sink) };
        match stop.push(text) {
            Shown::More(text) => self.display.show(text, sink),
            Shown::Last(text) => {
                self.display.show(text, sink);
                self.display.cut.get_or_insert(FinishReason::Stop);
            }
        }
    }

    /// Shows what is held back: nothing can follow it any more that would make it a stop
    /// sequence.
    pub(super) fn flush(&mut self, sink: &mut impl Sink) {
        if self.display.cut.is_none()
            && let Some(stop) = &mut self.stop
        {
            self.display.show(stop.release(), sink);
        }
    }

    /// How much work so many more bytes of text are at most, in bytes of plain reading.
    pub(super) fn work(&self, more: usize) -> usize {
        /// A step of the search for stop sequences, and a byte that is made into tokens.
        const STEP: usize = 4;
        const COUNTING: usize = 128;
        let stop = self.stop.as_ref();
        let searched = stop.map_or(0, |stop| stop.steps(more));
        let shown = more + stop.map_or(0, Stop::held_len);
        let counted = self.display.cap.as_ref().map_or(0, |cap| cap.bytes_to_count(shown));
        more + STEP.saturating_mul(searched) + COUNTING.saturating_mul(counted)
    }

    /// Why nothing more is shown, if so.
    pub(super) fn cut(&self) -> Option<FinishReason> {
        self.display.cut
    }

    /// How many code points were shown.
    pub(super) fn shown_chars(&self) -> u64 {
        self.display.chars
    }

    /// How many tokens the shown text has, about.
    pub(super) fn estimated_tokens(&self) -> u64 {
        match (&self.display.cap, self.display.cut) {
            (Some(cap), Some(FinishReason::Length)) => cap.max() as u64,
            _ => (self.display.bytes / 4).max(1),
        }
    }
}

impl Display {
    fn show(&mut self, text: &str, sink: &mut impl Sink) {
        let text = match self.cap.as_mut().map(|cap| cap.push(text)) {
            None | Some(Allowed::All) => text,
            Some(Allowed::Only(len)) => {
                self.cut = Some(FinishReason::Length);
                &text[..len]
            }
        };
        if !text.is_empty() {
            self.chars += text.chars().count() as u64;
            self.bytes += text.len() as u64;
            sink.delta(Delta::Content(text));
        }
    }
}
