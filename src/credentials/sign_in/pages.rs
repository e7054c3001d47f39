//! The pages that the browser ends on.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// The sign-in worked.
pub(super) fn success() -> Response {
    page(StatusCode::OK, "Signed in", "You can close this page and return to the terminal.")
}

/// It did not.
pub(super) fn failure(why: &str) -> Response {
    page(StatusCode::BAD_REQUEST, "Not signed in", why)
}

/// The page is asked for something else.
pub(super) fn not_found() -> Response {
    page(StatusCode::NOT_FOUND, "Nothing here", "This address is only used while signing in.")
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let text = escaped(text);
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - \
         codex-proxy</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;\
         margin:20vh auto;padding:0 1rem}}</style></head><body><h1>{title}</h1><p>{text}</p>\
         </body></html>\n"
    );
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        // A browser that keeps the connection would keep the program.
        (header::CONNECTION, "close"),
    ];
    (status, headers, Html(body)).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("<a b=\"&\">"), "&lt;a b=&quot;&amp;&quot;&gt;");
    }
}
