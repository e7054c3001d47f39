//! Events as bytes of a response body, at the pace and in the pieces that were asked for.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;

use super::directive::Directives;
use super::log::{Outcome, Running};
use super::timeline::{Ending, Timeline};

/// The event as the backend frames it.
fn frame(event: &Value, crlf: bool) -> String {
    let kind = event["type"].as_str().unwrap_or("message");
    let end = if crlf { "\r\n" } else { "\n" };
    format!("event: {kind}{end}data: {event}{end}{end}")
}

/// A piece of the body, and how many events end in it.
type Portion = (Bytes, usize);

/// One portion per event, or portions of so many bytes.
fn portions(events: &[Value], crlf: bool, split: Option<usize>) -> VecDeque<Portion> {
    let frames = events.iter().map(|event| frame(event, crlf));
    let Some(size) = split.map(|size| size.max(1)) else {
        return frames.map(|text| (Bytes::from(text), 1)).collect();
    };
    let mut whole = Vec::new();
    let mut ends = Vec::new();
    for text in frames {
        whole.extend_from_slice(text.as_bytes());
        ends.push(whole.len());
    }
    let whole = Bytes::from(whole);
    (0..whole.len().div_ceil(size))
        .map(|n| {
            let (start, end) = (n * size, ((n + 1) * size).min(whole.len()));
            let finished = ends.iter().filter(|at| (start + 1..=end).contains(at)).count();
            (whole.slice(start..end), finished)
        })
        .collect()
}

struct Writer {
    portions: VecDeque<Portion>,
    ending: Ending,
    next_pause: Option<Duration>,
    pace: Option<Duration>,
    running: Running,
    closing: watch::Receiver<bool>,
    broken: bool,
}

/// The body. It goes on until its end, or until hyper drops it because the client left, or until
/// the simulator stops.
pub(super) fn body(
    script: Timeline,
    directives: &Directives,
    running: Running,
    closing: watch::Receiver<bool>,
) -> Body {
    let Timeline { events, ending } = script;
    let writer = Writer {
        portions: portions(&events, directives.crlf, directives.split),
        ending,
        next_pause: directives.delay,
        pace: directives.pace,
        running,
        closing,
        broken: false,
    };
    Body::from_stream(stream::unfold(writer, |mut writer| async move {
        let item = writer.next().await?;
        Some((item, writer))
    }))
}

impl Writer {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.broken {
            return None;
        }
        if let Some((bytes, events)) = self.portions.pop_front() {
            self.pause().await;
            self.running.wrote(events);
            // The exchange ends with what it says last: clients need not wait for the end of the
            // body, and one that leaves then has not cancelled anything.
            if let (true, Ending::Close(outcome)) = (self.portions.is_empty(), self.ending) {
                self.running.close(outcome, 200);
            }
            return Some(Ok(bytes));
        }
        match self.ending {
            Ending::Close(outcome) => {
                self.running.close(outcome, 200);
                None
            }
            Ending::Abort => {
                self.pause().await;
                self.running.close(Outcome::Failed, 200);
                self.broken = true;
                Some(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Ending::Stall => {
                // An error means that the simulator is gone, which ends the silence too.
                let _ = self.closing.wait_for(|closing| *closing).await;
                self.broken = true;
                Some(Err(io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }

    /// Waits as asked. Even with nothing to wait for, hyper gets its turn, so that each portion
    /// is sent before the next is made and nothing is lost when the connection is broken off.
    async fn pause(&mut self) {
        match self.next_pause.or(self.pace) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => tokio::task::yield_now().await,
        }
        self.next_pause = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn portions_hold_the_same_bytes_and_events_however_they_are_cut() {
        let events = [json!({ "type": "a", "n": 1 }), json!({ "type": "keepalive" })];
        let whole: Vec<u8> = portions(&events, false, None).into_iter().flat_map(|p| p.0).collect();
        assert_eq!(
            String::from_utf8(whole.clone()).unwrap(),
            "event: a\ndata: {\"n\":1,\"type\":\"a\"}\n\n\
             event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n"
        );
        for size in [0, 1, 7, 1000] {
            let cut = portions(&events, false, Some(size));
            assert_eq!(cut.iter().map(|portion| portion.1).sum::<usize>(), 2);
            assert_eq!(cut.into_iter().flat_map(|portion| portion.0).collect::<Vec<u8>>(), whole);
        }
    }

    #[test]
    fn lines_can_end_as_on_windows() {
        let portion = portions(&[json!({ "type": "a" })], true, None).pop_front().unwrap();
        assert_eq!(portion.0, "event: a\r\ndata: {\"type\":\"a\"}\r\n\r\n");
    }
}
