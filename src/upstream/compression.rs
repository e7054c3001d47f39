//! Compression of request bodies, if it pays and the backend supports it.
//!
//! The Codex CLI compresses requests for plans with zstd at level 3, and so does this module. For
//! other backends it must be enabled in the settings. After the first error of a backend without
//! support, compression is off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::StatusCode;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::{ErrorResponse, UpstreamError};
use crate::config::{self, Compression};
use crate::credentials::Login;
use crate::platform::Platform;

/// The encoding's name in headers.
pub(super) const ZSTD: &str = "zstd";

/// As in the Codex CLI.
const ZSTD_LEVEL: i32 = 3;

/// Smaller bodies fit into one round trip: a new connection sends about as much before it waits for
/// the other side.
const MIN_COMPRESSED: usize = 16 << 10;

/// Compressing more than this takes a millisecond or more, and would block other answers.
const OFFLOAD_AT: usize = 256 << 10;

/// The JSON of a request. It is compressed at most once for all the calls that send it: clones
/// share the result.
#[derive(Debug, Clone)]
pub struct RequestBody {
    json: Bytes,
    compressed: Arc<OnceCell<Option<Bytes>>>,
}

impl From<Bytes> for RequestBody {
    fn from(json: Bytes) -> Self {
        Self { json, compressed: Arc::default() }
    }
}

/// The JSON.
impl std::ops::Deref for RequestBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.json
    }
}

/// Whether the JSON is the same.
impl PartialEq for RequestBody {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl RequestBody {
    pub(super) fn json(&self) -> &Bytes {
        &self.json
    }

    /// The compressed form; `None` if it is not smaller, or compression fails.
    async fn zstd(&self) -> Option<Bytes> {
        let pack = || async {
            if self.json.len() <= OFFLOAD_AT {
                return compress(&self.json);
            }
            let json = self.json.clone();
            spawn_blocking(move || compress(&json)).await.ok().flatten()
        };
        self.compressed.get_or_init(pack).await.clone()
    }
}

/// Deterministic: the same input gives the same bytes.
fn compress(json: &[u8]) -> Option<Bytes> {
    let compressed = zstd::bulk::compress(json, ZSTD_LEVEL).ok()?;
    // The buffer was allocated for the worst case, and a call may last for minutes.
    (compressed.len() < json.len()).then(|| compressed.into_boxed_slice().into())
}

/// Whether requests are compressed.
#[derive(Debug)]
pub(super) struct Compressor {
    is_taken: AtomicBool,
}

impl Compressor {
    pub(super) fn new(settings: &config::Upstream) -> Self {
        let base = &settings.base_url;
        let is_wanted = match settings.compression {
            Compression::Auto => base.host_str() == Some("chatgpt.com"),
            Compression::On => true,
            Compression::Off => false,
        };
        // Plain HTTP stays on this machine, where compression saves nothing.
        Self { is_taken: (is_wanted && base.scheme() == "https").into() }
    }

    /// The compressed body to send for this login; `None` to send the JSON.
    pub(super) async fn pack(&self, payload: &RequestBody, login: &Login) -> Option<Bytes> {
        let pays = payload.json.len() >= MIN_COMPRESSED && login.platform == Platform::Codex;
        if pays && self.is_taken.load(Ordering::Relaxed) { payload.zstd().await } else { None }
    }

    /// Whether the call failed because it was compressed. If so, compression is turned off.
    pub(super) fn disable_if_unsupported(&self, failure: &UpstreamError) -> bool {
        let is_to_blame =
            matches!(failure, UpstreamError::Refused(refusal) if refuses_the_encoding(refusal));
        if is_to_blame && self.is_taken.swap(false, Ordering::Relaxed) {
            let reason = failure.log_reason();
            tracing::info!(
                reason,
                "the backend does not accept compressed requests; compression is now off"
            );
        }
        is_to_blame
    }
}

fn refuses_the_encoding(refusal: &ErrorResponse) -> bool {
    let message = refusal.report.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    match refusal.status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => true,
        StatusCode::BAD_REQUEST => ["content-encoding", "content encoding", ZSTD, "decompress"]
            .iter()
            .any(|name| message.contains(name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::limits::reached::Reached;
    use crate::responses::error::BackendError;
    use crate::upstream::Head;

    fn settings(base_url: &str, compression: &str) -> config::Upstream {
        let text = format!(
            "[upstream]\nbase_url = \"{base_url}\"\ncompression = \"{compression}\"\nmode = \"chatgpt\""
        );
        Config::from_toml(&text).unwrap().upstream
    }

    fn plan() -> Login {
        Login { platform: Platform::Codex, ..Login::api_key("t".into()) }
    }

    fn payload(size: usize) -> RequestBody {
        Bytes::from("a conversation ".repeat(size / 15 + 1)).slice(..size).into()
    }

    #[tokio::test]
    async fn it_is_compressed_where_that_pays_and_is_taken() {
        let codex = "https://chatgpt.com/backend-api/codex";
        for (base_url, compression, login, size, expected) in [
            (codex, "auto", plan(), MIN_COMPRESSED, true),
            ("", "auto", plan(), MIN_COMPRESSED, true),
            (codex, "auto", plan(), MIN_COMPRESSED - 1, false),
            (codex, "auto", plan(), OFFLOAD_AT + 1, true),
            (codex, "on", plan(), MIN_COMPRESSED, true),
            (codex, "off", plan(), MIN_COMPRESSED, false),
            (codex, "auto", Login::api_key("k".into()), MIN_COMPRESSED, false),
            (codex, "on", Login::api_key("k".into()), MIN_COMPRESSED, false),
            ("https://gateway.example/codex", "auto", plan(), MIN_COMPRESSED, false),
            ("https://chatgpt.com.example/codex", "auto", plan(), MIN_COMPRESSED, false),
            ("https://gateway.example/codex", "on", plan(), MIN_COMPRESSED, true),
            ("http://127.0.0.1:1/codex", "auto", plan(), MIN_COMPRESSED, false),
            ("http://127.0.0.1:1/codex", "on", plan(), MIN_COMPRESSED, false),
        ] {
            let compressor = Compressor::new(&settings(base_url, compression));
            let compressed = compressor.pack(&payload(size), &login).await;
            assert_eq!(compressed.is_some(), expected, "{base_url} {compression} {size}");
        }
    }

    #[tokio::test]
    async fn it_is_compressed_once_and_to_the_same_bytes() {
        for size in [MIN_COMPRESSED, OFFLOAD_AT + 1] {
            let payload = payload(size);
            let first = payload.zstd().await.unwrap();
            assert!(first.len() * 10 < size);
            assert_eq!(zstd::decode_all(&first[..]).unwrap(), payload.json);
            assert_eq!(payload.clone().zstd().await.unwrap().as_ptr(), first.as_ptr());
            assert_eq!(RequestBody::from(payload.json).zstd().await.unwrap(), first);
        }
    }

    #[tokio::test]
    async fn what_gets_no_smaller_is_sent_as_it_is() {
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        let payload = RequestBody::from(noise.take(MIN_COMPRESSED).collect::<Bytes>());
        assert_eq!(payload.zstd().await, None);
    }

    #[tokio::test]
    async fn a_refusal_that_is_about_the_encoding_ends_it() {
        for (status, message, expected) in [
            (415, None, true),
            (400, Some("Unsupported Content-Encoding"), true),
            (400, Some("zstd is not supported"), true),
            (400, Some("Failed to decompress the body"), true),
            (400, Some("Invalid value: 'x'."), false),
            (400, None, false),
            (500, Some("zstd"), false),
        ] {
            let compressor = Compressor::new(&settings("", "auto"));
            let failure = UpstreamError::Refused(Box::new(ErrorResponse {
                status: StatusCode::from_u16(status).unwrap(),
                report: BackendError {
                    message: message.map(str::to_owned),
                    ..BackendError::default()
                },
                head: Head::default(),
                ray: None,
                retry_after: None,
                reached: Reached::default(),
            }));
            assert_eq!(
                compressor.disable_if_unsupported(&failure),
                expected,
                "{status} {message:?}"
            );
            let compressed = compressor.pack(&payload(MIN_COMPRESSED), &plan()).await;
            assert_eq!(compressed.is_none(), expected, "{status} {message:?}");
        }
    }
}
