//! The failures that can be asked for: answers with an error status, and errors in a stream.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::limits;
use super::refusal::{Content, Refusal};

const OVERLOADED: &str = "Our servers are currently overloaded. Please try again later.";
const CONTEXT: &str = "Your input exceeds the context window of this model. Please adjust your \
                       input and try again.";
const CHALLENGE: &str = "<!DOCTYPE html><html lang=\"en-US\"><head><title>Just a moment...</title>\
                         </head><body>Enable JavaScript and cookies to continue</body></html>";

/// The page that a 200 may carry in place of a stream.
pub(super) const PAGE: &str = "<!DOCTYPE html><html><head><title>Maintenance</title></head>\
                               <body>Something went wrong.</body></html>";

/// An answer with an error status; without a code, what that status most often carries.
pub(super) fn http(status: StatusCode, code: Option<&str>) -> Refusal {
    let gateway = |detail: &str| Refusal::gateway(status, detail);
    let error = |kind: &str, message: &str| Refusal::error(status, kind, message, None, code);
    match (status.as_u16(), code) {
        (_, Some("usage_limit_reached")) => usage_limit(status),
        (_, Some("usage_not_included")) => Refusal::json(
            status,
            json!({ "error": {
                "type": "usage_not_included",
                "message": "To use Codex with your ChatGPT plan, upgrade to Plus.",
                "plan_type": "free",
            } }),
        ),
        (401, Some("unauthorized")) => gateway("Unauthorized"),
        (401, Some("token_invalidated" | "token_revoked")) => {
            gateway("Your authentication token has been invalidated.")
                .with_header("x-error-json", error_header(code))
        }
        (401, Some("region")) => gateway(message("region")),
        (401, Some("unparseable")) => {
            gateway("Could not parse your authentication token. Please try signing in again.")
        }
        (401, _) => {
            let error = json!({
                "message": "Provided authentication token is expired. Please try signing in again.",
                "type": "invalid_request_error",
                "param": null,
                "code": "token_expired",
            });
            Refusal::json(status, json!({ "error": error, "status": 401 }))
                .with_header("x-error-json", error_header(Some("token_expired")))
        }
        (402, _) => Refusal::gateway(status, json!({ "code": "deactivated_workspace" })),
        (403, None | Some("html")) => Refusal {
            status,
            headers: vec![
                ("cf-mitigated", "challenge".to_owned()),
                ("server", "cloudflare".to_owned()),
                ("cf-ray", "0000000000000000-SIM".to_owned()),
            ],
            content: Content::Html(CHALLENGE),
        },
        (403, Some(code)) => Refusal::gateway(
            status,
            json!({ "code": code, "message": "Access to Codex is restricted for this account." }),
        ),
        (404, None) | (_, Some("empty")) => {
            Refusal { status, headers: Vec::new(), content: Content::Empty }
        }
        (404, Some("model")) => {
            Refusal::error(status, "invalid_request_error", "Model not found gpt-5.5", None, None)
        }
        (429, None) => gateway("Too Many Requests"),
        (503, None) => Refusal::error(
            status,
            "service_unavailable_error",
            OVERLOADED,
            None,
            Some("server_is_overloaded"),
        ),
        (503, Some("server_is_overloaded" | "slow_down")) => {
            error("service_unavailable_error", OVERLOADED)
        }
        (_, Some("html")) => Refusal { status, headers: Vec::new(), content: Content::Html(PAGE) },
        (400..500, Some(code)) => error("invalid_request_error", message(code)),
        (400..500, None) => error("invalid_request_error", "The request was refused."),
        (_, Some(code)) => error("server_error", message(code)),
        (_, None) => error("server_error", message("server_error")),
    }
}

/// 429 with the limits used up.
fn usage_limit(status: StatusCode) -> Refusal {
    let (resets_at, seconds) = limits::reset();
    let body = json!({ "error": {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": limits::PLAN,
        "resets_at": resets_at,
        "eligible_promo": null,
        "resets_in_seconds": seconds,
    } });
    let mut refusal = Refusal::json(status, body);
    refusal.headers = limits::headers(100);
    refusal
}

/// The base64 JSON of `x-error-json`.
fn error_header(code: Option<&str>) -> String {
    use base64::Engine as _;
    let text = json!({ "error": { "code": code } }).to_string();
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// What the backend says with a code.
pub(super) fn message(code: &str) -> &'static str {
    match code {
        "server_is_overloaded" | "slow_down" => OVERLOADED,
        "context_length_exceeded" => CONTEXT,
        "cyber_policy" | "bio_policy" => {
            "This request has been flagged for possible cybersecurity risk."
        }
        "invalid_prompt" | "content_policy_violation" | "misalignment_policy_violation" => {
            "Request blocked."
        }
        "policy_capacity_unavailable" => "There is no capacity for this request right now.",
        "region" => "Workspace is not authorized in this region.",
        "invalid_encrypted_content" => "The encrypted content gAAA...GDc= could not be verified.",
        "rate_limit_exceeded" => {
            "Rate limit reached for gpt-5.5 on tokens per min (TPM): Limit 30000, Used 22999, \
             Requested 12528. Please try again in 0.5s."
        }
        "usage_limit_reached" => "The usage limit has been reached",
        "usage_not_included" => "To use Codex with your ChatGPT plan, upgrade to Plus.",
        "insufficient_quota" => {
            "You exceeded your current quota, please check your plan and billing details."
        }
        _ => "An error occurred while processing your request. You can retry your request.",
    }
}

/// The `type` of the error object that goes with a code.
pub(super) fn kind(code: &str) -> &'static str {
    match code {
        "server_is_overloaded" | "slow_down" => "service_unavailable_error",
        "usage_limit_reached" => "usage_limit_reached",
        "usage_not_included" => "usage_not_included",
        "insufficient_quota" => "insufficient_quota",
        "rate_limit_exceeded" => "tokens",
        "context_length_exceeded"
        | "cyber_policy"
        | "bio_policy"
        | "content_policy_violation"
        | "misalignment_policy_violation"
        | "invalid_prompt"
        | "invalid_encrypted_content" => "invalid_request_error",
        _ => "server_error",
    }
}

/// An `error` event with an error object.
pub(super) fn nested(code: &str) -> Value {
    let error =
        json!({ "type": kind(code), "code": code, "message": message(code), "param": null });
    json!({ "type": "error", "error": error })
}

/// An `error` event with the fields at its top.
pub(super) fn flat(code: &str) -> Value {
    json!({ "type": "error", "code": code, "message": message(code), "param": null })
}
