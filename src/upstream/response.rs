//! Checks of an answer: its status, and the error it reports.

use std::io::Read as _;
use std::time::Duration;

use flate2::bufread::{GzDecoder, ZlibDecoder};
use jiff::Timestamp;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::capture::CallRecording;
use crate::limits::reached;
use crate::responses::error::{BackendError, Body, Class};
use crate::retry_after;

use super::body::MAX_ERROR_BODY;
use super::events::text;
use super::{ErrorResponse, Head, UpstreamError};

/// The timeout for the body of an error response. Its status is known by then.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer by its status.
pub(super) enum Accepted {
    Yes(Response),
    No(Refused),
}

/// An error response, read to its end.
pub(super) struct Refused {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    failure: UpstreamError,
}

impl Refused {
    /// Whether the login was rejected, so that another one may be used.
    pub(super) fn is_of_the_login(&self) -> bool {
        // A workspace that is bound to a region also gets this status, and a renewed token would be
        // rejected again.
        let is_of_another_region = matches!(
            &self.failure,
            UpstreamError::Refused(refusal) if refusal.class() == Class::Region
        );
        self.status == StatusCode::UNAUTHORIZED && !is_of_another_region
    }

    /// The failure, after the answer has been added to the recording.
    pub(super) fn noted(self, recording: Option<&CallRecording>) -> UpstreamError {
        if let Some(recording) = recording {
            recording.head(self.status, &self.headers);
            recording.body(&self.body);
        }
        self.failure
    }
}

/// The answer if its status is success, else what it reports.
pub(super) async fn accepted(response: Response) -> Result<Accepted, UpstreamError> {
    let status = response.status();
    if status.is_success() {
        return readable(response).map(Accepted::Yes);
    }
    let headers = response.headers().clone();
    let body = unpacked(&headers, refusal_body(response).await);
    let failure = failure(status, &headers, &body);
    Ok(Accepted::No(Refused { status, headers, body, failure }))
}

/// The error of an error response. The status counts whatever the body looks like: the edge has its
/// own pages for requests that are too large and for an unavailable backend.
fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let ray = text(headers, "cf-ray");
    let report = match BackendError::from_body(body) {
        Body::Report(report) => Some(report),
        Body::Html => None,
    };
    let is_page = match &report {
        Some(report) => is_html(headers) && report.code.is_none() && report.kind.is_none(),
        None => true,
    };
    let is_challenge = headers.contains_key("cf-mitigated");
    if is_challenge || (status == StatusCode::FORBIDDEN && is_page) {
        return UpstreamError::Blocked { status, ray };
    }
    let now = Timestamp::now();
    let texts =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    UpstreamError::Refused(Box::new(ErrorResponse {
        status,
        report: report.unwrap_or_default(),
        head: Head::new(headers),
        ray,
        retry_after: retry_after::read(headers, now),
        reached: reached::read(texts, now.as_second()),
    }))
}

/// The answer, unless it is compressed: compression was not requested, and the size of the
/// decompressed data has no limit.
fn readable(response: Response) -> Result<Response, UpstreamError> {
    match response.headers().get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(UpstreamError::Malformed(
                "it is compressed, but no compression was requested".to_owned(),
            ))
        }
        _ => Ok(response),
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    text(headers, CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
}

/// The decompressed body, as far as it can be read. Compression was not requested, but a proxy in
/// front of the backend may use it anyway.
fn unpacked(headers: &HeaderMap, body: Vec<u8>) -> Vec<u8> {
    let encoding = text(headers, CONTENT_ENCODING.as_str()).unwrap_or_default();
    match encoding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => beginning(GzDecoder::new(&*body)),
        "deflate" => beginning(ZlibDecoder::new(&*body)),
        "zstd" => zstd::Decoder::with_buffer(&*body).map(beginning).unwrap_or_default(),
        _ => body,
    }
}

/// As much as can be read, within the limit for uncompressed bodies: a few bytes can expand to any
/// number.
fn beginning(unpacking: impl std::io::Read) -> Vec<u8> {
    let mut body = Vec::new();
    // The beginning of a damaged body may still contain the error.
    let _ = unpacking.take(MAX_ERROR_BODY as u64).read_to_end(&mut body);
    body
}

/// The body of an error response; empty if it does not arrive completely in time.
async fn refusal_body(response: Response) -> Vec<u8> {
    let deadline = Instant::now() + REFUSAL_TIMEOUT;
    match timeout_at(deadline, read_up_to(response, MAX_ERROR_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// The first `limit` bytes of a body.
pub(super) async fn read_up_to(
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(read) = response.chunk().await? {
        body.extend_from_slice(&read[..read.len().min(limit - body.len())]);
        if body.len() == limit {
            break;
        }
    }
    Ok(body)
}
