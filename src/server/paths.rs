//! Normalization of request paths, which clients join from a base URL and an endpoint.
//!
//! Clients join the two in different ways, and users set base URLs that are too long or too short:
//! `//v1/chat/completions`, `/api/v1/chat/completions`, Azure's
//! `/openai/deployments/NAME/chat/completions`, or the endpoint twice. Such a path is served if
//! every segment before the endpoint is known to be irrelevant here.

use std::borrow::Cow;

/// The endpoints of the API that are served behind `/v1`; below `models` there are more.
const ENDPOINTS: [&[&str]; 4] = [CHAT, MODELS, &["usage"], &["activity"]];
const CHAT: &[&str] = &["chat", "completions"];
const MODELS: &[&str] = &["models"];

/// Segments before an endpoint that are ignored.
const PREFIXES: [&[&str]; 4] = [&["v1"], &["api"], &["openai"], CHAT];

/// The meaning of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'p> {
    /// This path, which has a route.
    Path(Cow<'p, str>),
    /// An endpoint of the API after unknown segments.
    Misplaced,
}

/// Resolves the path of a request.
pub(super) fn target(path: &str) -> Target<'_> {
    // `OPTIONS *` names no path.
    if is_plain(path) || !path.starts_with('/') {
        return Target::Path(path.into());
    }
    let segments = segments(path);
    let rest = without_prefixes(&segments);
    let is_model = rest.starts_with(MODELS) && !rest.ends_with(CHAT);
    if is_model || ENDPOINTS.contains(&rest) {
        return Target::Path(format!("/v1/{}", rest.join("/")).into());
    }
    if rest.ends_with(CHAT) || (rest.ends_with(MODELS) && rest.len() > 1) {
        return Target::Misplaced;
    }
    let path = format!("/{}", segments.join("/"));
    Target::Path(path.into())
}

/// The endpoint without ignored segments: `/embeddings`.
pub(super) fn endpoint(path: &str) -> String {
    format!("/{}", without_prefixes(&segments(path)).join("/"))
}

/// The fast path: whether the path is already in normal form.
fn is_plain(path: &str) -> bool {
    matches!(path, "/v1/chat/completions" | "/v1/models" | "/health" | "/")
}

/// The segments of a path; empty ones come from a redundant slash.
fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// The rest after all ignored segments before an endpoint.
fn without_prefixes<'s>(mut segments: &'s [&'s str]) -> &'s [&'s str] {
    loop {
        let known = PREFIXES.iter().find_map(|prefix| segments.strip_prefix(*prefix));
        // Azure's deployments: the model is also in the body.
        let deployment = || match segments {
            ["deployments", _, rest @ ..] => Some(rest),
            _ => None,
        };
        match known.or_else(deployment) {
            Some(rest) if !rest.is_empty() => segments = rest,
            _ => return segments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_its_endpoint_where_nothing_else_can_be_meant() {
        let chat = "/v1/chat/completions";
        for (path, expected) in [
            ("/v1/chat/completions", chat),
            ("/chat/completions", chat),
            ("/v1/chat/completions/", chat),
            ("/v1/v1/chat/completions", chat),
            ("/v1/v1/v1/chat/completions", chat),
            ("//v1/chat/completions", chat),
            ("/v1//chat/completions", chat),
            ("/v1/chat//completions//", chat),
            ("///chat/completions", chat),
            ("/api/v1/chat/completions", chat),
            ("/api/chat/completions", chat),
            ("/openai/v1/chat/completions", chat),
            ("/v1/openai/chat/completions", chat),
            ("/api/openai/v1/chat/completions", chat),
            ("/openai/deployments/gpt-5.5/chat/completions", chat),
            ("/openai/deployments/chat/chat/completions", chat),
            ("/deployments/gpt-5.5/chat/completions", chat),
            ("/v1/chat/completions/chat/completions", chat),
            ("/v1/chat/completions/v1/chat/completions", chat),
            ("/models", "/v1/models"),
            ("/models/", "/v1/models"),
            ("//v1/models", "/v1/models"),
            ("/api/v1/models", "/v1/models"),
            ("/openai/models", "/v1/models"),
            ("/v1/chat/completions/models", "/v1/models"),
            ("/v1/models/openai/gpt-5.5", "/v1/models/openai/gpt-5.5"),
            ("/v1/models/openai%2Fgpt-5.5", "/v1/models/openai%2Fgpt-5.5"),
            ("/models/v1", "/v1/models/v1"),
            ("/models/models", "/v1/models/models"),
            ("/api/v1/usage", "/v1/usage"),
            ("/activity", "/v1/activity"),
            // No endpoint of the API: as they came, but for slashes.
            ("/", "/"),
            ("//", "/"),
            ("/health", "/health"),
            ("/health/", "/health"),
            ("//health", "/health"),
            ("/ui/app.js", "/ui/app.js"),
            ("/v1", "/v1"),
            ("/v1/capture", "/v1/capture"),
            ("/api/v1/capture", "/api/v1/capture"),
            ("/v1/embeddings", "/v1/embeddings"),
            ("/v1/chat/completions/chatcmpl-1", "/v1/chat/completions/chatcmpl-1"),
            ("/chat", "/chat"),
            ("*", "*"),
        ] {
            assert_eq!(target(path), Target::Path(expected.into()), "{path}");
        }
        for path in [
            "/foo/chat/completions",
            "/v2/chat/completions",
            "/v1beta/openai/chat/completions",
            "/api/paas/v4/chat/completions",
            "/openai/deployments/a/b/chat/completions",
            "/v1/models/chat/completions",
            "/v1/embeddings/chat/completions",
            "/foo/v1/models",
        ] {
            assert_eq!(target(path), Target::Misplaced, "{path}");
        }
    }

    #[test]
    fn an_endpoint_is_found_behind_its_prefixes() {
        for (path, expected) in [
            ("/v1/embeddings", "/embeddings"),
            ("/embeddings", "/embeddings"),
            ("//api/v1//audio/speech", "/audio/speech"),
            ("/openai/deployments/gpt-5.5/completions", "/completions"),
            ("/v1", "/v1"),
            ("/", "/"),
        ] {
            assert_eq!(endpoint(path), expected, "{path}");
        }
    }
}
