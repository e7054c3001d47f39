//! The chat side of an [exchange](crate::exchange): its reader turns events into deltas.

use crate::chat::delta::{Kept, Sink};
use crate::conversation::Turn;
use crate::exchange::{AnswerReader, Exchange, ReadInto};
use crate::translate::response::{Progress, ReadError, Reader};
use crate::upstream::UpstreamError;

/// One choice of a chat completion.
pub(super) type Choice = Exchange<Reader>;

impl AnswerReader for Reader {
    type Buffer = Kept;

    fn fresh(&self) -> Self {
        Reader::fresh(self)
    }

    fn stand_in(&self) -> Self {
        Reader::stand_in(self)
    }

    fn progress(&self) -> Progress {
        Reader::progress(self)
    }

    fn was_cut(&self) -> bool {
        Reader::was_cut(self)
    }

    fn work(&self, data: &str) -> usize {
        Reader::work(self, data)
    }

    fn turn(&self) -> Option<Turn> {
        Reader::turn(self)
    }

    fn buffered_event(&mut self, data: &str, buffer: &mut Kept) -> Result<Progress, UpstreamError> {
        Reader::event(self, data, buffer).map_err(of_read_error)
    }
}

impl<S: Sink> ReadInto<S> for Reader {
    fn event(&mut self, data: &str, sink: &mut S) -> Result<Progress, UpstreamError> {
        Reader::event(self, data, sink).map_err(of_read_error)
    }

    fn abandon(&mut self, sink: &mut S) {
        Reader::abandon(self, sink);
    }

    fn buffer(sink: &S) -> Kept {
        Kept::new(sink.can_take_back())
    }

    fn give(buffer: Kept, sink: &mut S) {
        buffer.give(sink);
    }
}

/// What an error in reading the events makes of the call.
fn of_read_error(error: ReadError) -> UpstreamError {
    match error {
        ReadError::Reported(report) => UpstreamError::Reported(report),
        ReadError::InvalidEvent => UpstreamError::Damaged("an event is not valid JSON"),
        ReadError::UnfinishedCall => {
            UpstreamError::Damaged("the arguments of a tool call are incomplete")
        }
        ReadError::Contradicted => {
            UpstreamError::Malformed("it contradicts earlier events".to_owned())
        }
        ReadError::TooManyItems => UpstreamError::Malformed("too many output items".to_owned()),
    }
}
