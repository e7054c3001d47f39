//! The page at `/`: what the daemon does, and a small chat to try it. Its files are part of the
//! binary and the same for everybody, whoever is signed in; what it shows it asks of the API, like
//! any other client.
//!
//! | file | holds |
//! |---|---|
//! | `index.html`, `style.css`, `icon.svg` | what is there, and how it looks |
//! | `app.js` | what happens when: the start, the key, looking again every two seconds |
//! | `api.js` | asking the daemon, and reading streams |
//! | `dom.js`, `format.js` | elements, and numbers and times as text |
//! | `figures.js`, `plot.js` | limits and requests; the drawing of the tokens |
//! | `snippets.js` | what to put into clients |
//! | `chat.js` | the chat |

use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// All of it.
#[rustfmt::skip]
const FILES: [File; 11] = [
    File { path: "/", kind: HTML, text: include_str!("index.html") },
    File { path: "/ui/style.css", kind: CSS, text: include_str!("style.css") },
    File { path: "/ui/icon.svg", kind: PICTURE, text: include_str!("icon.svg") },
    File { path: "/ui/app.js", kind: SCRIPT, text: include_str!("app.js") },
    File { path: "/ui/api.js", kind: SCRIPT, text: include_str!("api.js") },
    File { path: "/ui/dom.js", kind: SCRIPT, text: include_str!("dom.js") },
    File { path: "/ui/format.js", kind: SCRIPT, text: include_str!("format.js") },
    File { path: "/ui/figures.js", kind: SCRIPT, text: include_str!("figures.js") },
    File { path: "/ui/plot.js", kind: SCRIPT, text: include_str!("plot.js") },
    File { path: "/ui/snippets.js", kind: SCRIPT, text: include_str!("snippets.js") },
    File { path: "/ui/chat.js", kind: SCRIPT, text: include_str!("chat.js") },
];

/// What browsers are told about every file. Nothing is loaded from elsewhere, nothing stands in the
/// files that is not theirs, and no other site may have the page in a frame, read it, or hold on
/// to its window. Text becomes markup or code nowhere.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src \
             'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
        ),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // Kept, but asked about each time: another version may have been started since.
    (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// The files' tags, in their order.
static TAGS: LazyLock<[HeaderValue; FILES.len()]> =
    LazyLock::new(|| FILES.each_ref().map(|file| tag(file.text)));

/// The routes of the page.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().zip(TAGS.iter()).fold(Router::new(), |router, (file, tag)| {
        let answer = async move |headers: HeaderMap| answer(file, tag, &headers);
        router.route(file.path, get(answer))
    })
}

/// Whether a file of the page is there.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

fn answer(file: &'static File, tag: &HeaderValue, request: &HeaderMap) -> Response {
    let mut response = if is_known(request, tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, file.kind)], file.text).into_response()
    };
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    headers.insert(ETAG, tag.clone());
    response
}

/// Whether the client has the file with this tag.
fn is_known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = request.get_all(IF_NONE_MATCH).iter();
    // No tag of ours holds a comma, so that splitting others wrongly does no harm.
    lists.flat_map(|list| list.as_bytes().split(|&byte| byte == b',')).any(|known| {
        let known = known.trim_ascii();
        known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes()
    })
}

#[expect(clippy::expect_used, reason = "quotes, letters, digits, - and _ are allowed in headers")]
fn tag(text: &str) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..15]);
    HeaderValue::try_from(format!("\"{digest}\"")).expect("a header's value")
}

#[cfg(test)]
mod tests;
