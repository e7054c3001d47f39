//! The reader of an answer: its state, and beside it what the client has got.

use std::sync::Arc;

use super::fault::ReadError;
use super::state::State;
use crate::chat::delta::{Delta, ServiceTier, Sink};
use crate::chat::usage::Usage;
use crate::conversation::{Emitted, Turn};
use crate::translate::plan::Plan;

/// Reads the events of one choice's answer.
#[derive(Debug)]
pub struct Reader {
    state: State,
    emitted: Emitted,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No part of an answer so far: it may still be an error.
    Waiting,
    /// The answer has begun.
    Underway,
    /// It is complete or was truncated here; further events are ignored.
    Ended,
}

/// Passes on what the client gets, and notes it.
struct Tee<'t, S> {
    sink: &'t mut S,
    emitted: &'t mut Emitted,
}

impl<S: Sink> Sink for Tee<'_, S> {
    fn delta(&mut self, delta: Delta<'_>) {
        match &delta {
            Delta::Content(text) => self.emitted.text.push_str(text),
            Delta::Call { id, .. } => self.emitted.calls.push((*id).to_owned()),
            _ => {}
        }
        self.sink.delta(delta);
    }

    fn can_take_back(&self) -> bool {
        self.sink.can_take_back()
    }

    fn take_back(&mut self) {
        *self.emitted = Emitted::default();
        self.sink.take_back();
    }
}

impl Reader {
    /// A reader for an answer to the request that `plan` was made for.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self { state: State::new(plan), emitted: Emitted::default() }
    }

    /// How far the answer is.
    pub fn progress(&self) -> Progress {
        self.state.progress()
    }

    /// Whether any part of an answer has arrived, or the answer was abandoned.
    pub fn has_begun(&self) -> bool {
        self.state.has_begun()
    }

    /// Whether the answer was truncated here: the backend would continue.
    pub fn was_cut(&self) -> bool {
        self.state.was_cut()
    }

    /// The model that answers, once the backend has reported it.
    pub fn upstream_model(&self) -> Option<&str> {
        self.state.upstream_model()
    }

    /// The service tier, once the backend has reported it.
    pub fn service_tier(&self) -> ServiceTier {
        self.state.service_tier()
    }

    /// The turn for replay, once the answer is complete; `None` if it is not worth it or not
    /// unique.
    pub fn turn(&self) -> Option<Turn> {
        self.state.turn(&self.emitted)
    }

    /// The usage of the answer. If the answer was truncated here, it is estimated from the size of
    /// the request.
    pub fn usage(&self, prompt_bytes: usize) -> Usage {
        self.state.usage(prompt_bytes)
    }

    /// About how much work an event with this data is at most, in bytes of plain reading.
    pub fn work(&self, data: &str) -> usize {
        self.state.work(data)
    }

    /// A reader that has read nothing, for an answer to the same request.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { state: self.state.fresh(), emitted: Emitted::default() }
    }

    /// A placeholder for this reader while an event is read on another thread: it reports the same
    /// state.
    #[must_use]
    pub fn stand_in(&self) -> Self {
        Self { state: self.state.stand_in(), emitted: Emitted::default() }
    }

    /// Reads the data of one event.
    ///
    /// Data that is not an event is ignored.
    ///
    /// # Errors
    ///
    /// The backend reported a failure, or its events are invalid. The answer ends without a finish
    /// reason.
    pub fn event(&mut self, data: &str, sink: &mut impl Sink) -> Result<Progress, ReadError> {
        if self.progress() == Progress::Ended {
            return Ok(Progress::Ended);
        }
        self.state.read(data, &mut Tee { sink, emitted: &mut self.emitted })?;
        Ok(self.progress())
    }

    /// Delivers held-back text before an error ends the answer.
    pub fn abandon(&mut self, sink: &mut impl Sink) {
        self.state.abandon(sink);
    }
}

#[cfg(test)]
mod tests;
