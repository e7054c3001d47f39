//! The body of a streamed answer: an idle timeout, and a check that it is an event stream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::StatusCode;
use tokio::time::{Instant, Sleep, sleep};

use crate::responses::error::{BackendError, Body};

use super::{UpstreamError, Waiting};

/// How much of a document is kept, to read the error in it.
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;

/// A body that fails after an idle timeout, and if it is a document: the backend gives its streams
/// no `content-type`, so only the first character tells a JSON text or a page from events.
pub(super) struct SseBody<S> {
    body: S,
    kind: BodyKind,
    idle: IdleTimeout,
    ended: bool,
}

enum BodyKind {
    /// Nothing but blanks was read.
    Unknown,
    Events,
    /// What was read of the document, up to [`MAX_ERROR_BODY`].
    Document(Vec<u8>),
}

impl<S> SseBody<S> {
    pub(super) fn new(body: S, idle_timeout: Duration) -> Self {
        Self { body, kind: BodyKind::Unknown, idle: IdleTimeout::new(idle_timeout), ended: false }
    }
}

impl<S> Stream for SseBody<S>
where
    S: Stream<Item = Result<Bytes, reqwest::Error>> + Unpin,
{
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let failure = loop {
            match Pin::new(&mut this.body).poll_next(cx) {
                Poll::Ready(Some(Ok(read))) => {
                    this.idle.note();
                    if matches!(this.kind, BodyKind::Unknown) {
                        this.kind = kind(&read);
                    }
                    let BodyKind::Document(document) = &mut this.kind else {
                        return Poll::Ready(Some(Ok(read)));
                    };
                    document.extend_from_slice(
                        &read[..read.len().min(MAX_ERROR_BODY - document.len())],
                    );
                    if document.len() == MAX_ERROR_BODY {
                        break error_from_body(document);
                    }
                }
                Poll::Ready(Some(Err(error))) => break UpstreamError::reading(error),
                Poll::Ready(None) => match &this.kind {
                    BodyKind::Document(document) => break error_from_body(document),
                    BodyKind::Unknown | BodyKind::Events => {
                        this.ended = true;
                        return Poll::Ready(None);
                    }
                },
                Poll::Pending => match this.idle.poll(cx) {
                    Poll::Ready(failure) => break failure,
                    Poll::Pending => return Poll::Pending,
                },
            }
        };
        this.ended = true;
        Poll::Ready(Some(Err(failure)))
    }
}

/// What a body is that starts like this.
fn kind(read: &[u8]) -> BodyKind {
    let text = read.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(read).trim_ascii_start();
    match text.first() {
        None => BodyKind::Unknown,
        Some(b'{' | b'[' | b'<') => BodyKind::Document(Vec::new()),
        Some(_) => BodyKind::Events,
    }
}

/// The error in a document that was sent instead of events.
fn error_from_body(document: &[u8]) -> UpstreamError {
    match BackendError::from_body(document) {
        Body::Html => UpstreamError::Blocked { status: StatusCode::OK, ray: None },
        Body::Report(report) if report.is_empty() => {
            UpstreamError::Malformed("it is a JSON document instead of an event stream".into())
        }
        Body::Report(report) => {
            let text = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
            let status = std::str::from_utf8(text)
                .map_or(report.status, |text| BackendError::from_document(text).status);
            UpstreamError::Reported(Box::new(BackendError { status, ..report }))
        }
    }
}

/// The time since something was read.
///
/// Reading only stores the time. The timer is polled when there is nothing to read, and reset if it
/// fires early because something was read since.
struct IdleTimeout {
    limit: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl IdleTimeout {
    fn new(limit: Duration) -> Self {
        Self { limit, last: Instant::now(), timer: Box::pin(sleep(limit)) }
    }

    fn note(&mut self) {
        self.last = Instant::now();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamError> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let deadline = self.last + self.limit;
            if deadline <= Instant::now() {
                let waiting = Waiting::Answer;
                return Poll::Ready(UpstreamError::TimedOut { waiting, limit: self.limit });
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// The time since there was an event. Comments reset the idle timeout, but a backend that sends
/// nothing else has lost the answer.
///
/// An event only sets a flag, which is checked when the timer fires: the failure comes after one to
/// two times the limit.
pub(super) struct EventTimeout {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    has_event: bool,
}

impl EventTimeout {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None, has_event: false }
    }

    pub(super) fn note(&mut self) {
        self.has_event = true;
    }

    /// Called when there is nothing to read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamError> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        while timer.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.has_event) {
                return Poll::Ready(UpstreamError::TimedOut { waiting: Waiting::Answer, limit });
            }
            timer.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(300);

    fn body(
        reads: &'static [&'static str],
    ) -> impl Stream<Item = Result<Bytes, reqwest::Error>> + Unpin {
        stream::iter(reads.iter().map(|read| Ok(Bytes::from_static(read.as_bytes()))))
    }

    async fn outcome(reads: &'static [&'static str]) -> Result<String, UpstreamError> {
        let mut watched = SseBody::new(body(reads), LIMIT);
        let mut text = String::new();
        while let Some(read) = watched.next().await {
            text.push_str(std::str::from_utf8(&read?).unwrap());
        }
        Ok(text)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_stream_after_the_limit_and_not_before() {
        let start = Instant::now();
        // Something every 200 s, four times, and then nothing.
        let reads = stream::iter(0..4).then(|_| async {
            tokio::time::sleep(Duration::from_secs(200)).await;
            Ok(Bytes::from_static(b": still here\n\n"))
        });
        let mut watched = SseBody::new(Box::pin(reads.chain(stream::pending())), LIMIT);
        for _ in 0..4 {
            assert!(watched.next().await.unwrap().is_ok());
        }
        let failure = watched.next().await.unwrap().unwrap_err();
        assert!(matches!(
            failure,
            UpstreamError::TimedOut { waiting: Waiting::Answer, limit: LIMIT }
        ));
        assert_eq!(start.elapsed().as_secs(), 4 * 200 + 300);
        assert!(watched.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_but_comments_ends_a_stream_after_a_while() {
        for (events, expected) in [(0, 1), (1, 2), (5, 6)] {
            let begin = Instant::now();
            let mut since = EventTimeout::new(LIMIT);
            // An event in the middle of each of the first spans.
            let mut left = events;
            let failure = loop {
                let wait =
                    tokio::time::timeout(LIMIT / 2, std::future::poll_fn(|cx| since.poll(cx)));
                match wait.await {
                    Ok(failure) => break failure,
                    Err(_)
                        if left > 0
                            && !begin.elapsed().as_secs().is_multiple_of(LIMIT.as_secs()) =>
                    {
                        since.note();
                        left -= 1;
                    }
                    Err(_) => {}
                }
            };
            assert!(matches!(
                failure,
                UpstreamError::TimedOut { waiting: Waiting::Answer, limit: LIMIT }
            ));
            assert_eq!(begin.elapsed().as_secs() / LIMIT.as_secs(), expected, "{events} events");
        }
    }

    #[tokio::test]
    async fn events_pass_unchanged() {
        for reads in
            [&["data: 1\n", "\n{"][..], &["\u{feff}", "\n", ": hi\n\n"], &["event: x"], &[], &[""]]
        {
            assert_eq!(outcome(reads).await.unwrap(), reads.concat());
        }
    }

    #[tokio::test]
    async fn documents_end_as_the_failure_they_report() {
        let failure =
            outcome(&["  ", "{\"error\":", "{\"code\":\"slow_down\"}}"]).await.unwrap_err();
        assert!(
            matches!(failure, UpstreamError::Reported(report) if report.code.as_deref() == Some("slow_down"))
        );
        let failure = outcome(&["{\"id\":\"resp_1\",", "\"error\":null}"]).await.unwrap_err();
        assert!(matches!(failure, UpstreamError::Malformed(_)));
        let failure = outcome(&["<!DOCTYPE", " html>"]).await.unwrap_err();
        assert!(matches!(failure, UpstreamError::Blocked { .. }));
    }

    #[tokio::test]
    async fn of_a_document_without_end_only_a_part_is_read() {
        let mut reads = 0;
        let endless = stream::poll_fn(|_| {
            reads += 1;
            Poll::Ready(Some(Ok(Bytes::from_static(&[b'['; 1000]))))
        });
        let read: Vec<_> = SseBody::new(endless, LIMIT).collect().await;
        assert!(matches!(read[..], [Err(UpstreamError::Malformed(_))]));
        assert_eq!(reads, MAX_ERROR_BODY.div_ceil(1000));
    }
}
