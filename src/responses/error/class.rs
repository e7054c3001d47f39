//! What kind of failure a report tells of.

use super::BackendError;
use super::text::names_a_mistake;

/// The kinds of failure that are treated differently.
///
/// Codes decide before the status does, since the same failure comes with several statuses: a
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
    /// The login is accepted and its workspace is bound to another region than the call came from.
    Region,
    /// There is no room now for requests that a policy restricts. The Codex CLI does not repeat it.
    PolicyCapacity,
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

impl BackendError {
    /// What kind of failure this is.
    ///
    /// `status` is that of the HTTP answer whose body this is; `None` for a report in a stream.
    ///
    /// The code decides, then the status. The words of the message decide only where these two
    /// leave something open: messages quote what the client has sent.
    pub fn class(&self, status: Option<u16>) -> Class {
        let status = status.or(self.status);
        let message = self.message.as_deref().unwrap_or_default();
        if is_of_another_region(message) {
            return Class::Region;
        }
        if let Some(class) = self.names().find_map(by_name) {
            return class;
        }
        let by_words = by_message(message).filter(|class| self.leaves_open(status, *class));
        by_words.unwrap_or_else(|| match status {
            Some(status) => by_status(status),
            None if self.is_of_a_wrong_request() || names_a_mistake(message) => Class::Invalid,
            None => Class::Server,
        })
    }

    /// The code and the type.
    fn names(&self) -> impl Iterator<Item = &str> {
        [self.code.as_deref(), self.kind.as_deref()].into_iter().flatten()
    }

    fn is_of_a_wrong_request(&self) -> bool {
        self.kind.as_deref() == Some("invalid_request_error")
    }

    /// Whether it can be of the class that its message names, by its status and by a code or type
    /// that has no class of its own.
    fn leaves_open(&self, status: Option<u16>, named: Class) -> bool {
        match (status, named) {
            // It stays a request that is wrong.
            (None | Some(400 | 404), Class::ContextLength | Class::Image) => true,
            (None, _) => !self.is_of_a_wrong_request(),
            // The layer that knows models and plans gives neither code nor type.
            (Some(400 | 404), _) => self.code.is_none() && !self.is_of_a_wrong_request(),
            (Some(429), _) => matches!(named, Class::Quota | Class::Overloaded),
            (Some(500..), _) => named == Class::Overloaded,
            (Some(_), _) => false,
        }
    }
}

fn by_name(name: &str) -> Option<Class> {
    Some(match name {
        "usage_limit_reached"
        | "usage_not_included"
        | "insufficient_quota"
        | "quota_exceeded"
        | "organization_spend_limit_exceeded"
        | "organization_usage_limit_exceeded" => Class::Quota,
        "rate_limit_exceeded" | "rate_limit_error" => Class::RateLimit,
        "server_is_overloaded" | "slow_down" => Class::Overloaded,
        "token_expired"
        | "token_invalid"
        | "token_invalidated"
        | "token_revoked"
        | "authentication_error" => Class::Auth,
        "deactivated_workspace"
        | "invalid_workspace_selected"
        | "payment_required"
        | "codex_access_restricted" => Class::Account,
        "model_not_found" | "model_not_supported" => Class::Model,
        "context_length_exceeded" => Class::ContextLength,
        "policy_capacity_unavailable" => Class::PolicyCapacity,
        "invalid_prompt" => Class::Policy,
        policy if policy.ends_with("_policy") || policy.ends_with("_policy_violation") => {
            Class::Policy
        }
        "invalid_image_url" | "image_parse_error" => Class::Image,
        "invalid_encrypted_content" | "previous_response_not_found" => Class::Invalid,
        _ => return None,
    })
}

/// What the backend says to calls from outside the region that a workspace is bound to. It comes
/// with status 401, and is not about the token.
fn is_of_another_region(message: &str) -> bool {
    message.starts_with("Workspace is not authorized in this region")
}

/// The texts of failures that come without a code of their own, each by its beginning.
fn by_message(message: &str) -> Option<Class> {
    let starts = |starts: &[&str]| starts.iter().any(|start| message.starts_with(start));
    if starts(&["The usage limit has been reached", "You exceeded your current quota"]) {
        Some(Class::Quota)
    } else if starts(&["Selected model is at capacity", "Our servers are currently overloaded"]) {
        Some(Class::Overloaded)
    } else if starts(&["Model not found"]) || names_a_model_that_cannot_be_had(message) {
        Some(Class::Model)
    } else if starts(&[
        "Your input exceeds the context window of this model",
        "This model's maximum context length",
    ]) {
        Some(Class::ContextLength)
    } else if starts(&["The image data you provided does not represent a valid image"])
        || names_an_image(message)
    {
        Some(Class::Image)
    } else {
        None
    }
}

/// "The 'm' model is not supported …", "The 'm' model requires a newer version …", "The model `m`
/// does not exist …".
fn names_a_model_that_cannot_be_had(message: &str) -> bool {
    let after = |start, quote| {
        let (name, rest) = message.strip_prefix(start)?.split_once(quote)?;
        (!name.contains(char::is_whitespace)).then_some(rest)
    };
    after("The '", '\'').is_some_and(|rest| {
        [" model is not supported", " model requires a newer version"]
            .iter()
            .any(|verdict| rest.starts_with(verdict))
    }) || after("The model `", '`').is_some_and(|rest| rest.starts_with(" does not exist"))
}

/// `Invalid 'input[0].content[0].image_url'. Expected a valid URL …`
fn names_an_image(message: &str) -> bool {
    message.strip_prefix("Invalid '").and_then(|rest| rest.split_once('\'')).is_some_and(
        |(field, rest)| field.ends_with("image_url") && rest.contains("Expected a valid URL"),
    )
}

fn by_status(status: u16) -> Class {
    match status {
        401 => Class::Auth,
        402 | 403 => Class::Account,
        429 => Class::RateLimit,
        400 | 404 | 413 | 422 => Class::Invalid,
        // Those that SDKs, too, take for passing.
        408 | 409 | 425 | 500.. => Class::Server,
        _ => Class::Unexpected,
    }
}
