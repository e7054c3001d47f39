//! The bytes of a connection: the write timeout, and the responses that hyper sends by itself.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::StatusCode;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The status lines of the responses that hyper sends by itself, without a body, before it closes
/// the connection.
const REFUSALS: [(&[u8], StatusCode); 3] = [
    (b"HTTP/1.1 400 Bad Request\r\n", StatusCode::BAD_REQUEST),
    (b"HTTP/1.1 414 URI Too Long\r\n", StatusCode::URI_TOO_LONG),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    ),
];

/// Whether this is such a response. The daemon's own responses with these statuses have a body.
fn refusal(written: &[u8]) -> Option<StatusCode> {
    let is_alike = |line: &[u8]| {
        written.starts_with(line)
            && written.ends_with(b"\r\n\r\n")
            && memmem::find(written, b"\r\ncontent-length: 0\r\n").is_some()
    };
    // The fast path: most writes are no such head, and many are long.
    let found = written.starts_with(b"HTTP/1.1 4") && written.len() < 512;
    let mut refusals = REFUSALS.iter().filter(|_| found);
    refusals.find(|(line, _)| is_alike(line)).map(|&(_, status)| status)
}

/// A connection's stream. Writing fails when the client has not read anything for too long.
pub(super) struct Wire<S> {
    stream: S,
    patience: Duration,
    /// Since when nothing was written, and the deadline. `None` while writes make progress.
    stuck: Option<Pin<Box<Sleep>>>,
    /// The status of hyper's own response, which is held back.
    refusal: Option<StatusCode>,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, stuck: None, refusal: None }
    }

    /// The status of hyper's own response to the last request. It was not sent.
    pub(super) fn refusal(&self) -> Option<StatusCode> {
        self.refusal
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Tracks the result of a write.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stuck = None;
            return outcome;
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stuck.as_mut().poll(cx));
        let message = "the client has not read any of its answer for too long";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(status) = refusal(buf) {
            self.refusal = Some(status);
            return Poll::Ready(Ok(buf.len()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(status) = bufs.first().and_then(|buf| refusal(buf)) {
            self.refusal = Some(status);
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_too_long_is_left_and_who_takes_something_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(100);
        let mut wire = Wire::new(ours, PATIENCE);
        let start = Instant::now();
        let taking = async {
            for _ in 0..5 {
                sleep(PATIENCE / 3 * 2).await;
                theirs.read_exact(&mut [0; 100]).await.unwrap();
            }
        };
        let writing = wire.write_all(&[0; 1000]);
        let (error, ()) = tokio::join!(writing, taking);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), PATIENCE / 3 * 2 * 5 + PATIENCE);
    }

    #[tokio::test]
    async fn what_hyper_says_by_itself_is_kept_back() {
        let own = "HTTP/1.1 400 Bad Request\r\ncontent-length: 1\r\n\r\nx";
        let no_answer = "content-length: 0\r\n\r\n";
        for (written, kept) in [
            (own.to_owned(), None),
            (format!("HTTP/1.1 200 OK\r\n{no_answer}"), None),
            (format!("data: HTTP/1.1 400 Bad Request\r\n{no_answer}"), None),
            (format!("HTTP/1.1 400 Bad Request\r\n{no_answer}"), Some(400)),
            (format!("HTTP/1.1 414 URI Too Long\r\nconnection: close\r\n{no_answer}"), Some(414)),
            (format!("HTTP/1.1 431 Request Header Fields Too Large\r\n{no_answer}"), Some(431)),
        ] {
            let (ours, mut theirs) = tokio::io::duplex(1000);
            let mut wire = Wire::new(ours, PATIENCE);
            wire.write_all(written.as_bytes()).await.unwrap();
            assert_eq!(wire.refusal().map(|status| status.as_u16()), kept, "{written}");
            drop(wire);
            let mut read = String::new();
            theirs.read_to_string(&mut read).await.unwrap();
            assert_eq!(read, if kept.is_some() { "" } else { &written });
        }
    }
}
