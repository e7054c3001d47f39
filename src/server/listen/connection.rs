//! One connection: HTTP/1.1, within limits.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use super::idle::{Busy, Connection, IdleConnections};
use super::paced::Paced;
use super::wire::Wire;
use super::{Limits, Shutdown};
use crate::server::error::ApiError;
use crate::server::peer_info::PeerInfo;

/// How many headers a request may have; more are answered with 431.
const MAX_HEADERS: usize = 64;

/// How long the head of a request may be; a longer one is answered with 431.
const HEAD_TIMEOUT: usize = 64 << 10;

/// The size of the read and write buffers. A head must fit in.
const MAX_HEAD_BYTES: usize = HEAD_TIMEOUT;

/// How long requests may take to send their own error after the shutdown timeout. After that the
/// connection sends one for them.
const CLOSE_GRACE: Duration = Duration::from_millis(200);

/// The state shared by all connections. Clones are cheap.
#[derive(Clone)]
pub(super) struct Host {
    http: http1::Builder,
    router: Router,
    limits: Limits,
    closing: Shutdown,
    idle: IdleConnections,
}

impl Host {
    pub(super) fn new(router: Router, limits: Limits, closing: Shutdown) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_headers(MAX_HEADERS)
            .max_header_size(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            // A client that has closed its side has disconnected.
            .half_close(false);
        Self { http, router, limits, closing, idle: IdleConnections::default() }
    }

    /// The same with another router.
    pub(super) fn with(&self, router: Router) -> Self {
        Self { router, ..self.clone() }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The idle connections of all routers.
    pub(super) fn idle(&self) -> &IdleConnections {
        &self.idle
    }

    /// Serves a connection to its end.
    pub(super) async fn serve<S>(self, stream: S, arrival: PeerInfo)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let state = self.idle.connection();
        let service = service_fn(|request| self.answer(request, arrival, &state));
        let wire = Wire::new(stream, self.limits.send);
        let mut connection = self.http.serve_connection(TokioIo::new(wire), service);
        let mut making_room = pin!(state.closing());
        let mut draining = pin!(self.closing.draining());
        let mut is_last = false;
        let outcome = loop {
            tokio::select! {
                outcome = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break outcome,
                () = &mut draining, if !is_last => is_last = true,
                () = &mut making_room, if !is_last => is_last = true,
            }
            // The answer in progress is the last one. An idle connection is closed at once.
            Pin::new(&mut connection).graceful_shutdown();
        };
        let is_silent = outcome.as_ref().is_err_and(hyper::Error::is_timeout);
        if let Err(error) = outcome {
            tracing::debug!(%error, "the connection ended early");
        }
        let wire = connection.into_parts().io.into_inner();
        let refusal = wire.refusal();
        let mut stream = wire.into_inner();
        if let Some(status) = refusal {
            let _ = timeout(self.limits.linger, stream.write_all(&refused(status))).await;
        }
        if !is_silent && !is_last {
            // A client that sends nothing more is not waited for.
            let _ = timeout(self.limits.linger, linger(stream)).await;
        }
    }

    /// Answers a request. Here requests get the information about their connection.
    fn answer(
        &self,
        request: Request<Incoming>,
        arrival: PeerInfo,
        connection: &Arc<Connection>,
    ) -> BoxFuture<'static, Result<Response<Answer>, Infallible>> {
        let busy = connection.request();
        let pace = self.limits.pace();
        let mut request = request.map(|body| Body::new(Paced::new(body, pace)));
        request.extensions_mut().insert(self.closing.clone());
        request.extensions_mut().insert(arrival);
        let answer = self.router.clone().oneshot(request);
        let cut = self.closing.cut();
        async move {
            let answer = tokio::select! {
                answer = answer => answer?,
                () = cut.then(|()| sleep(CLOSE_GRACE)) => ApiError::stopping().into_response(),
            };
            Ok(answer.map(|body| Answer { body, _busy: busy }))
        }
        .boxed()
    }
}

/// The body of an answer. The connection is busy until it is dropped.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The response to a request whose head hyper rejects.
fn refused(status: StatusCode) -> Vec<u8> {
    let message = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "The request has more than {MAX_HEADERS} headers, or more than {} KiB of headers. \
             Send fewer.",
            HEAD_TIMEOUT >> 10
        ),
        StatusCode::URI_TOO_LONG => "The request URL is too long.".to_owned(),
        _ => "Not a valid HTTP/1.1 request. The daemon speaks plain HTTP, without TLS.".to_owned(),
    };
    let body = ApiError::new(status, "invalid_request_error", message).json() + "\n";
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Lingering close: reads what the client still sends until it closes its side too. Closing with
/// unread bytes would reset the connection and discard the answer.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_ok() {
        let mut bytes = vec![0; 16 << 10];
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    }
}
