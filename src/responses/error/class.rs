//! What kind of failure a report tells of.

use super::Report;

/// The kinds of failure that are treated differently.
///
/// Codes decide before the status does, because the same failure comes with several statuses: a
/// usage limit with 429 and 404, and every one of them in streams, where the status was 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The plan is used up, or does not include Codex.
    Quota,
    /// Too many requests in a short time.
    RateLimit,
    /// The backend, or the model, has no room now.
    Overloaded,
    /// The login is not accepted.
    Auth,
    /// The login is accepted and the account may not do this.
    Account,
    /// The model does not exist, or not for this account or client version.
    Model,
    /// The conversation is longer than the model can read.
    ContextLength,
    /// A policy forbids the request.
    Policy,
    /// An image cannot be read.
    Image,
    /// The request is wrong in another way.
    Invalid,
    /// The backend failed.
    Server,
    /// Something answered that the backend would not: a redirect, a status of another service.
    Unexpected,
}

impl Report {
    /// What kind of failure this is.
    ///
    /// `status` is that of the HTTP answer whose body this is; `None` for a report in a stream.
    pub fn class(&self, status: Option<u16>) -> Class {
        let names = [self.code.as_deref(), self.kind.as_deref()];
        names
            .into_iter()
            .flatten()
            .find_map(by_name)
            .or_else(|| self.message.as_deref().and_then(by_message))
            .unwrap_or_else(|| match status.or(self.status) {
                Some(status) => by_status(status),
                None if self.kind.as_deref() == Some("invalid_request_error") => Class::Invalid,
                None => Class::Server,
            })
    }
}

fn by_name(name: &str) -> Option<Class> {
    Some(match name {
        "usage_limit_reached" | "usage_not_included" | "insufficient_quota" | "quota_exceeded" => {
            Class::Quota
        }
        "rate_limit_exceeded" | "rate_limit_error" => Class::RateLimit,
        "server_is_overloaded" | "slow_down" => Class::Overloaded,
        "token_expired"
        | "token_invalid"
        | "token_invalidated"
        | "token_revoked"
        | "authentication_error" => Class::Auth,
        "deactivated_workspace" | "payment_required" | "codex_access_restricted" => Class::Account,
        "model_not_found" | "model_not_supported" => Class::Model,
        "context_length_exceeded" => Class::ContextLength,
        "invalid_prompt" | "content_policy_violation" => Class::Policy,
        policy if policy.ends_with("_policy") => Class::Policy,
        "invalid_image_url" | "image_parse_error" => Class::Image,
        "invalid_encrypted_content" | "previous_response_not_found" => Class::Invalid,
        _ => return None,
    })
}

/// The texts of failures that come without a code of their own.
fn by_message(message: &str) -> Option<Class> {
    let has = |part| message.contains(part);
    if has("usage limit has been reached") || has("exceeded your current quota") {
        Some(Class::Quota)
    } else if has("at capacity") || has("servers are currently overloaded") {
        Some(Class::Overloaded)
    } else if (has("model is not supported") || has("model requires a newer version"))
        || message.starts_with("Model not found")
        || (message.starts_with("The model ") && has("does not exist"))
    {
        Some(Class::Model)
    } else if has("context window of this model") || has("maximum context length") {
        Some(Class::ContextLength)
    } else if has("does not represent a valid image") || has("Expected a valid URL") {
        Some(Class::Image)
    } else {
        None
    }
}

fn by_status(status: u16) -> Class {
    match status {
        401 => Class::Auth,
        402 | 403 => Class::Account,
        429 => Class::RateLimit,
        400 | 404 | 413 | 422 => Class::Invalid,
        408 | 500.. => Class::Server,
        _ => Class::Unexpected,
    }
}
