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
//! | `snippets.js`, `clients.js` | what to put into clients; the settings, made from [`crate::clients`] |
//! | `chat.js` | the chat |

use std::borrow::Cow;
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
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::clients;

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    text: Cow<'static, str>,
    tag: HeaderValue,
}

impl File {
    fn new(path: &'static str, kind: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        let tag = tag(&text);
        Self { path, kind, text, tag }
    }
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// All of it.
static FILES: LazyLock<[File; 12]> = LazyLock::new(|| {
    [
        File::new("/", HTML, include_str!("index.html")),
        File::new("/ui/style.css", CSS, include_str!("style.css")),
        File::new("/ui/icon.svg", PICTURE, include_str!("icon.svg")),
        File::new("/ui/app.js", SCRIPT, include_str!("app.js")),
        File::new("/ui/api.js", SCRIPT, include_str!("api.js")),
        File::new("/ui/dom.js", SCRIPT, include_str!("dom.js")),
        File::new("/ui/format.js", SCRIPT, include_str!("format.js")),
        File::new("/ui/figures.js", SCRIPT, include_str!("figures.js")),
        File::new("/ui/plot.js", SCRIPT, include_str!("plot.js")),
        File::new("/ui/snippets.js", SCRIPT, include_str!("snippets.js")),
        File::new("/ui/clients.js", SCRIPT, settings()),
        File::new("/ui/chat.js", SCRIPT, include_str!("chat.js")),
    ]
});

/// The settings of clients, as a script: it comes with the others or not at all, so that the page
/// need not wait for it. JSON is JavaScript, and whatever is in its texts stays text.
fn settings() -> String {
    let table = json!({
        "any": clients::ANY,
        "placeholder": clients::PLACEHOLDER,
        "groups": clients::GROUPS,
    });
    format!("export const CLIENTS = {table};\n")
}

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

/// The routes of the page.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, file| {
        let answer = async move |headers: HeaderMap| answer(file, &headers);
        router.route(file.path, get(answer))
    })
}

/// Whether a file of the page is there.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

fn answer(file: &'static File, request: &HeaderMap) -> Response {
    let mut response = if is_known(request, &file.tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, file.kind)], &*file.text).into_response()
    };
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    headers.insert(ETAG, file.tag.clone());
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
