//! What reads the events of an answer.

use crate::conversation::Turn;
use crate::translate::response::Progress;
use crate::upstream::UpstreamError;

/// The state of an answer that is read event by event.
pub(crate) trait AnswerReader: Send + Sized + 'static {
    /// Holds what an event brings while it is read on another thread.
    type Buffer: Send + 'static;

    /// A reader that has read nothing, for another attempt at the same call.
    fn fresh(&self) -> Self;

    /// A reader that answers for this one while it reads an event on another thread.
    fn stand_in(&self) -> Self;

    /// How far the answer is.
    fn progress(&self) -> Progress;

    /// Whether anything has come that belongs to the answer, or the answer was given up.
    fn has_begun(&self) -> bool {
        self.progress() != Progress::Waiting
    }

    /// Whether the answer was truncated here: the backend would continue.
    fn was_cut(&self) -> bool;

    /// About how much work an event with this data is at most, in bytes of plain reading.
    fn work(&self, data: &str) -> usize;

    /// The turn as it may be sent back, once the answer is complete.
    fn turn(&self) -> Option<Turn>;

    /// Reads an event on another thread.
    fn buffered_event(
        &mut self,
        data: &str,
        buffer: &mut Self::Buffer,
    ) -> Result<Progress, UpstreamError>;
}

/// Reads events into an `O`: chunks of a stream, or a whole answer.
pub(crate) trait ReadInto<O>: AnswerReader {
    /// Reads the data of one event.
    fn event(&mut self, data: &str, out: &mut O) -> Result<Progress, UpstreamError>;

    /// Gives what was held back, before an error ends the answer.
    fn abandon(&mut self, out: &mut O);

    /// A buffer for what is to go into this.
    fn buffer(out: &O) -> Self::Buffer;

    /// Puts in what was read on another thread.
    fn give(buffer: Self::Buffer, out: &mut O);
}
