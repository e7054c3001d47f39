//! The body of a request, read whole, decoded, and within limits.

mod encoding;

use std::fmt::Display;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::task::yield_now;

use self::encoding::{Decoding, Encoding, Unsupported};
use super::App;
use super::budget::{Alone, Reservation};
use super::error::ApiError;
use super::listen::TooSlow;

/// How much room a body gets before any of it has come, whatever its announced length.
const FIRST_ROOM: usize = 64 << 10;

/// How much is decoded before other requests of the same thread get a turn: under a millisecond of
/// work.
const YIELD_AFTER: usize = 512 << 10;

/// The bytes of a body that is not too large, decoded.
///
/// They are copied together as they come. Kept as they come, every piece would hold on to the
/// buffer it was read into, and a body sent byte by byte would take up hundreds of times its size.
pub(super) struct BodyBytes(pub(super) Bytes);

impl FromRequest<App> for BodyBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let largest = app.0.config.server.max_body_bytes;
        let encoding = Encoding::of(request.headers()).map_err(unsupported)?;
        let announced = announced(&request);
        // A body that is already too large as it comes is not going to be smaller when decoded.
        if announced > largest {
            return Err(too_large(largest));
        }
        let decoding = encoding.decoder(announced.min(FIRST_ROOM)).map_err(ApiError::internal)?;
        // Known beforehand, so that nothing of a body is read for which there is no memory.
        let reservation = app.0.budget.reserve(announced).await?;
        let mut reading =
            Reading { decoding, reservation, announced, received: 0, largest, turn: 0 };
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let error = error.into_inner();
                if error.is::<TooSlow>() { too_slow() } else { unreadable(&error) }
            })?;
            if let Some(data) = frame.data_ref() {
                reading.take(data).await?;
            }
        }
        reading.finish().await
    }
}

/// A body that is being read.
struct Reading {
    decoding: Decoding,
    reservation: Reservation,
    announced: usize,
    /// How much has come, encoded as it is.
    received: usize,
    /// How much may come, and how much may be made of it.
    largest: usize,
    /// How much has been decoded since other requests had a turn.
    turn: usize,
}

impl Reading {
    async fn take(&mut self, mut data: &[u8]) -> Result<(), ApiError> {
        if data.len() > self.largest - self.received {
            return Err(too_large(self.largest));
        }
        self.received += data.len();
        if self.is_plain() {
            self.make_room(self.received).await?;
            if self.received > FIRST_ROOM {
                self.decoding.reserve(self.announced);
            }
        }
        while !data.is_empty() {
            let before = self.decoding.len();
            let taken = self.decoding.step(data).map_err(undecodable)?;
            data = &data[taken..];
            if taken == 0 && self.decoding.len() == before {
                return Err(undecodable("there is data after its end"));
            }
            self.decoded(before).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<BodyBytes, ApiError> {
        loop {
            let before = self.decoding.len();
            if !self.decoding.drain().map_err(undecodable)? {
                break;
            }
            self.decoded(before).await?;
        }
        let whole = self.decoding.finish().map_err(undecodable)?;
        if whole.len() > self.largest {
            return Err(too_large(self.largest));
        }
        Ok(BodyBytes(self.reservation.hold_fitting(whole)))
    }

    fn is_plain(&self) -> bool {
        matches!(self.decoding, Decoding::Identity(_))
    }

    /// Sets memory aside for a body whose length was not known, twice as much each time.
    async fn make_room(&mut self, length: usize) -> Result<(), ApiError> {
        if length > self.reservation.bytes() {
            let wanted = length.saturating_mul(2).clamp(FIRST_ROOM, self.largest.max(FIRST_ROOM));
            self.reservation.grow(wanted, Alone::Allowed).await?;
        }
        Ok(())
    }

    /// Looks at what a step has decoded: a small body can stand for a giant one.
    async fn decoded(&mut self, before: usize) -> Result<(), ApiError> {
        let length = self.decoding.len();
        if length > self.largest {
            return Err(too_large(self.largest));
        }
        if !self.is_plain() {
            self.make_room(length).await?;
            self.turn += length - before;
            if self.turn >= YIELD_AFTER {
                self.turn = 0;
                yield_now().await;
            }
        }
        Ok(())
    }
}

/// The length that the head announces; 0 if it does not.
fn announced(request: &Request) -> usize {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // One that does not fit is more than anything allowed.
    length.map_or(0, |length| length.parse().unwrap_or(usize::MAX))
}

fn too_large(largest: usize) -> ApiError {
    let largest = largest >> 20;
    let message = format!(
        "The request body is larger than {largest} MiB; `[server] max_body_mib` sets the limit."
    );
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
}

fn unsupported(Unsupported(name): Unsupported) -> ApiError {
    let message = format!(
        "The request body has the unsupported content-encoding \"{name}\". Send it without one, \
         or with gzip or zstd."
    );
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error", message)
        .code("unsupported_content_encoding")
}

fn undecodable(error: impl Display) -> ApiError {
    ApiError::invalid_request(format!(
        "The request body does not match its content-encoding header: {error}."
    ))
}

fn too_slow() -> ApiError {
    let message = "The request body arrived too slowly or is incomplete. Send the request again.";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", message)
}

fn unreadable(error: &impl Display) -> ApiError {
    ApiError::invalid_request(format!("The request body could not be read: {error}"))
}
