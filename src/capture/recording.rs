//! The recording of one exchange in progress: unredacted, and in memory only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::exchange::{Answer, Call, End, Event, Exchange, Message, Response};
use super::redact::{self, Secrets};
use super::writer::{Finished, Queue};

/// How much of one exchange is kept.
const MAX_EXCHANGE: usize = 32 << 20;

/// The recording of an exchange. Clones share it; dropping the last one hands it to the writer.
#[derive(Debug, Clone)]
pub struct Recording(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    noted: Mutex<Noted>,
    secrets: Secrets,
    finished: Queue,
}

/// The unredacted data, which must not be written as it is.
#[derive(Debug, Default)]
struct Noted {
    number: u32,
    at: Timestamp,
    request: Sent,
    calls: Vec<NotedCall>,
    answer: Option<NotedAnswer>,
    error: Option<String>,
    room: usize,
    is_cut: bool,
}

#[derive(Debug, Default)]
struct Sent {
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Debug, Default)]
struct NotedCall {
    at_ms: u64,
    request: Sent,
    response: Option<NotedResponse>,
    events: Vec<Event>,
    end: End,
}

#[derive(Debug)]
struct NotedResponse {
    at_ms: u64,
    status: StatusCode,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

#[derive(Debug)]
struct NotedAnswer {
    at_ms: u64,
    status: StatusCode,
    headers: HeaderMap,
}

impl Recording {
    pub(super) fn new(number: u32, secrets: Secrets, finished: Queue) -> Self {
        let noted = Noted { number, at: Timestamp::now(), room: MAX_EXCHANGE, ..Noted::default() };
        Self(Arc::new(Inner { began: Instant::now(), noted: Mutex::new(noted), secrets, finished }))
    }

    /// The head of the client's request.
    pub fn head(&self, headers: &HeaderMap) {
        self.0.lock().request.headers = headers.clone();
    }

    /// The body of the client's request.
    pub fn body(&self, body: &Bytes) {
        let mut noted = self.0.lock();
        if noted.take(body.len()) {
            noted.request.body = body.clone();
        }
    }

    /// A call to the backend that begins now.
    pub fn call(&self) -> CallRecording {
        let mut noted = self.0.lock();
        noted.calls.push(NotedCall { at_ms: self.0.at(), ..NotedCall::default() });
        CallRecording { inner: Arc::clone(&self.0), index: noted.calls.len() - 1 }
    }

    /// The head of what the client gets.
    pub fn answer(&self, status: StatusCode, headers: &HeaderMap) {
        let answer = NotedAnswer { at_ms: self.0.at(), status, headers: headers.clone() };
        self.0.lock().answer = Some(answer);
    }

    /// The JSON of the error that the client gets, as a whole answer or at the end of a stream.
    pub fn error(&self, json: String) {
        self.0.lock().error = Some(json);
    }
}

/// The recording of one call to the backend.
#[derive(Debug)]
pub struct CallRecording {
    inner: Arc<Inner>,
    index: usize,
}

impl CallRecording {
    /// The request; if it is retried with another login, only the last one counts.
    pub fn sent(&self, headers: &HeaderMap, body: &Bytes) {
        let mut noted = self.inner.lock();
        // The bytes of the body are shared between the attempts of a request.
        if noted.take(body.len()) {
            let request = Sent { headers: headers.clone(), body: body.clone() };
            noted.calls[self.index].request = request;
        }
    }

    /// The head of the answer.
    pub fn head(&self, status: StatusCode, headers: &HeaderMap) {
        let (at_ms, headers) = (self.inner.at(), headers.clone());
        let response = Some(NotedResponse { at_ms, status, headers, body: None });
        self.inner.lock().calls[self.index].response = response;
    }

    /// The body of an error response.
    pub fn body(&self, body: &[u8]) {
        let mut noted = self.inner.lock();
        if noted.take(body.len())
            && let Some(response) = &mut noted.calls[self.index].response
        {
            response.body = Some(body.to_vec());
        }
    }

    /// An event of the answer.
    pub fn event(&self, data: &str) {
        let at_ms = self.inner.at();
        let mut noted = self.inner.lock();
        // The same again as overhead.
        if noted.take(data.len() + 64) {
            noted.calls[self.index].events.push(Event { at_ms, data: data.to_owned() });
        }
    }

    /// The backend has ended the answer.
    pub fn ended(&self) {
        self.inner.lock().calls[self.index].end = End::There;
    }

    /// The call has failed.
    pub fn failed(&self, reason: String) {
        self.inner.lock().calls[self.index].end = End::Failed(reason);
    }
}

impl Noted {
    /// Whether so many more bytes may be kept.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes);
        self.is_cut |= left.is_none();
        // After a gap nothing more is kept: later data would look contiguous.
        self.room = left.unwrap_or(0);
        left.is_some() && !self.is_cut
    }

    /// How many bytes of content are kept.
    fn size(&self) -> usize {
        let of_call = |call: &NotedCall| {
            let refusal = call.response.as_ref().and_then(|response| response.body.as_ref());
            let events: usize = call.events.iter().map(|event| event.data.len()).sum();
            call.request.body.len() + refusal.map_or(0, Vec::len) + events
        };
        self.request.body.len() + self.calls.iter().map(of_call).sum::<usize>()
    }

    fn leave_out_content(&mut self) {
        self.is_cut = true;
        self.request.body = Bytes::new();
        for call in &mut self.calls {
            call.request.body = Bytes::new();
            call.events = Vec::new();
            if let Some(response) = &mut call.response {
                response.body = None;
            }
        }
    }

    fn redacted(&self, secrets: &Secrets) -> Exchange {
        let answer = self.answer.as_ref().map(|answer| Answer {
            at_ms: answer.at_ms,
            status: answer.status.as_u16(),
            headers: redact::headers(&answer.headers, secrets),
            error: self.error.as_ref().map(|json| redact::body(json.as_bytes(), secrets)),
        });
        Exchange {
            number: self.number,
            at: self.at.to_string(),
            request: self.request.redacted(secrets),
            calls: self.calls.iter().map(|call| call.redacted(secrets)).collect(),
            answer,
            is_cut: self.is_cut,
        }
    }
}

impl Sent {
    fn redacted(&self, secrets: &Secrets) -> Message {
        Message {
            headers: redact::headers(&self.headers, secrets),
            body: redact::body(&self.body, secrets),
        }
    }
}

impl NotedCall {
    fn redacted(&self, secrets: &Secrets) -> Call {
        let response = self.response.as_ref().map(|response| Response {
            at_ms: response.at_ms,
            status: response.status.as_u16(),
            headers: redact::headers(&response.headers, secrets),
            body: response
                .body
                .as_ref()
                .map(|body| redact::text(&String::from_utf8_lossy(body), secrets)),
        });
        Call {
            at_ms: self.at_ms,
            request: self.request.redacted(secrets),
            response,
            events: redact::events(&self.events, secrets),
            end: self.end.clone(),
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut noted = std::mem::take(&mut *self.lock());
        let mut room = noted.size();
        if !self.finished.take_room(room) {
            noted.leave_out_content();
            room = 0;
        }
        let secrets = std::mem::take(&mut self.secrets);
        // Redacting takes time: the writer thread does it.
        let finished: Finished = Box::new(move || noted.redacted(&secrets));
        self.finished.send(room, finished);
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::{Received, queue};
    use super::*;

    /// The next exchange, whose room is given back.
    fn next(written: &Received) -> Exchange {
        let (_room, finished) = written.next(Some(Instant::now())).unwrap();
        finished()
    }

    #[test]
    fn what_waits_to_be_written_is_limited_in_bytes() {
        let fit = 4;
        let body = Bytes::from(vec![b' '; 1000]);
        let (queue, written) = queue(fit * body.len() + 999);
        let note = |number| {
            let recording = Recording::new(number, Secrets::default(), queue.clone());
            recording.body(&body);
        };
        // Nobody writes meanwhile.
        for number in 0..40 {
            note(number);
        }
        let cut: Vec<_> = (0..40).map(|_| next(&written).is_cut).collect();
        assert_eq!(cut.iter().filter(|is_cut| !**is_cut).count(), fit, "{cut:?}");
        assert!(cut[..fit].iter().all(|is_cut| !is_cut), "the first ones are whole");
        // There is room again.
        note(40);
        let exchange = next(&written);
        assert!(!exchange.is_cut && exchange.number == 40);
    }

    #[test]
    fn an_exchange_that_is_too_large_is_cut_and_says_so() {
        let (finished, written) = queue(1 << 20);
        let recording = Recording::new(1, Secrets::default(), finished);
        recording.0.lock().room = 1000;
        let call = recording.call();
        call.event(&"a".repeat(400));
        call.event(&"b".repeat(800));
        // There would be room for this one, but it did not come next.
        call.event("c");
        drop((recording, call));
        let exchange = next(&written);
        assert!(exchange.is_cut);
        assert_eq!(exchange.calls[0].events.len(), 1);
        assert_eq!(exchange.calls[0].events[0].data, "a".repeat(400));
    }
}
