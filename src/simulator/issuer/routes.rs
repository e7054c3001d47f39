//! The service's addresses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::state::{Asked, State};
use super::tokens::secret;
use super::{Call, Consent, Failure};
use crate::simulator::failure;
use crate::simulator::refusal::{Content, Refusal};

/// The only client that the service knows.
const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// Where personal access tokens are asked about.
const WHOAMI: &str = "/api/accounts/v1/user-auth-credential/whoami";

type Fields = HashMap<String, String>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/oauth/authorize", get(authorize))
        .route("/oauth/token", post(token))
        .route("/oauth/revoke", post(revoke))
        .route("/api/accounts/deviceauth/usercode", post(user_code))
        .route("/api/accounts/deviceauth/token", post(device_token))
        .route("/codex/device", get(device_page))
        .route(WHOAMI, get(whoami))
        .route("/simulator/issuer", get(show_calls).post(control))
        .with_state(state)
}

async fn authorize(
    Shared(state): Shared<Arc<State>>,
    Query(query): Query<Fields>,
) -> Result<Response, Refusal> {
    let field = |name: &str| query.get(name).map_or("", String::as_str);
    let wrong = |name: &str| {
        Refusal::error(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            &format!("Invalid {name}"),
            None,
            Some("invalid_request"),
        )
    };
    for (name, value) in
        [("response_type", "code"), ("client_id", CLIENT_ID), ("code_challenge_method", "S256")]
    {
        if field(name) != value {
            return Err(wrong(name));
        }
    }
    for name in ["state", "code_challenge", "scope"] {
        if field(name).is_empty() {
            return Err(wrong(name));
        }
    }
    let mut back: Url = field("redirect_uri").parse().map_err(|_| wrong("redirect_uri"))?;
    let ports = state.change(|inner| inner.settings.ports.clone());
    let is_known = back.scheme() == "http"
        && back.host_str() == Some("localhost")
        && back.path() == "/auth/callback"
        && back.port().is_some_and(|port| ports.is_empty() || ports.contains(&port));
    if !is_known {
        return Err(wrong("redirect_uri"));
    }
    let consent = state.change(|inner| inner.consent);
    let outcome = match consent {
        Consent::Ignore => return Ok(Html("<!DOCTYPE html><p>Log in?</p>").into_response()),
        Consent::Deny => Err("The resource owner denied the request."),
        Consent::NoEntitlement => Err("missing_codex_entitlement"),
        Consent::Grant | Consent::WrongState | Consent::ExtendedState => {
            Ok(state.change(|inner| inner.code(field("code_challenge"), field("redirect_uri"))))
        }
    };
    let sent_state = match consent {
        Consent::WrongState => "another-state".to_owned(),
        Consent::ExtendedState => {
            format!("{}.onboarding_entrypoint=life_sciences", field("state"))
        }
        _ => field("state").to_owned(),
    };
    let mut pairs = back.query_pairs_mut();
    match &outcome {
        Ok(code) => pairs.append_pair("code", code),
        Err(why) => {
            pairs.append_pair("error", "access_denied").append_pair("error_description", why)
        }
    };
    pairs.append_pair("state", &sent_state);
    drop(pairs);
    Ok(Redirect::to(back.as_str()).into_response())
}

async fn token(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    let fields = fields(&headers, &body);
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let grant = field("grant_type");
    if grant == "refresh_token" {
        let delay = state.change(|inner| inner.delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
    let answer = state.change(|inner| {
        if let Some(failure) = inner.failures.pop_front() {
            return Err(failure);
        }
        if field("client_id") != CLIENT_ID {
            return Err(Failure::InvalidGrant);
        }
        let life = inner.settings.token_life.as_secs();
        let tokens = match grant {
            "refresh_token" => inner.redeem(field("refresh_token"))?,
            "authorization_code" => {
                inner.exchange(field("code"), field("code_verifier"), field("redirect_uri"))?
            }
            "urn:ietf:params:oauth:grant-type:token-exchange"
                if field("requested_token") == "openai-api-key" =>
            {
                return Ok(json!({ "access_token": secret("sk-simulated") }));
            }
            _ => return Err(Failure::InvalidGrant),
        };
        Ok(json!({
            "id_token": tokens.id_token,
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_in": life,
            "token_type": "Bearer",
        }))
    });
    let (response, code) = match answer {
        Ok(body) => (Json(body).into_response(), None),
        Err(failure) => {
            let (refusal, code) = refusal(failure);
            (refusal.into_response(), code)
        }
    };
    log(&state, "/oauth/token", Some(grant), response.status(), code);
    response
}

/// The service's way to fail, and its code.
fn refusal(failure: Failure) -> (Refusal, Option<&'static str>) {
    let error = |status: StatusCode, code: &'static str, message: &str| {
        (Refusal::error(status, "invalid_request_error", message, None, Some(code)), Some(code))
    };
    match failure {
        Failure::Expired => error(
            StatusCode::UNAUTHORIZED,
            "refresh_token_expired",
            "Your refresh token has expired. Please try signing in again.",
        ),
        Failure::Reused => error(
            StatusCode::UNAUTHORIZED,
            "refresh_token_reused",
            "Your refresh token has already been used to generate a new access token. Please try \
             signing in again.",
        ),
        Failure::Invalidated => error(
            StatusCode::UNAUTHORIZED,
            "refresh_token_invalidated",
            "Your refresh token has been revoked. Please try signing in again.",
        ),
        Failure::InvalidGrant => {
            let body = json!({ "error": "invalid_grant", "error_description": "Invalid grant." });
            (Refusal::json(StatusCode::BAD_REQUEST, body), Some("invalid_grant"))
        }
        Failure::Unauthorized => (Refusal::json(StatusCode::UNAUTHORIZED, json!({})), None),
        Failure::RateLimited => error(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "Too many requests. Please try again later.",
        ),
        Failure::RateLimitedFor90s => {
            let (refusal, code) = error(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_exceeded",
                "Too many requests. Please try again later.",
            );
            (refusal.with_header("retry-after", "90"), code)
        }
        Failure::Country => error(
            StatusCode::FORBIDDEN,
            "unsupported_country_region_territory",
            "Country, region, or territory not supported",
        ),
        Failure::ServerError => {
            (Refusal::gateway(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"), None)
        }
        Failure::Cloudflare => (challenge(), None),
        Failure::Unparseable => {
            let content = Content::Json(Value::String("maintenance".to_owned()));
            (Refusal { status: StatusCode::OK, headers: Vec::new(), content }, Some("unparseable"))
        }
    }
}

/// Cloudflare in front of the service.
fn challenge() -> Refusal {
    failure::http(StatusCode::FORBIDDEN, None)
}

async fn revoke(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let fields = fields(&headers, &body);
    state.change(|inner| inner.revoke(fields.get("token").map_or("", String::as_str)));
    log(&state, "/oauth/revoke", None, StatusCode::OK, None);
    Json(json!({}))
}

async fn user_code(Shared(state): Shared<Arc<State>>) -> Response {
    let answer = state.change(|inner| {
        inner.settings.device_flow.then(|| {
            let interval = inner.settings.device_interval.clone();
            let device = inner.new_device();
            json!({
                "device_auth_id": device.id,
                "user_code": device.user_code,
                "interval": interval,
            })
        })
    });
    let response = match answer {
        Some(body) => Json(body).into_response(),
        None => Refusal::gateway(StatusCode::NOT_FOUND, "Not Found").into_response(),
    };
    log(&state, "/api/accounts/deviceauth/usercode", None, response.status(), None);
    response
}

async fn device_token(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = fields(&headers, &body);
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let back = format!("http://{host}/deviceauth/callback");
    let asked = state.change(|inner| {
        if inner.failures.pop_front().is_some() {
            return None;
        }
        Some(inner.poll(field("device_auth_id"), field("user_code"), &back))
    });
    let pending = |status| Refusal::gateway(status, "pending").into_response();
    let response = match asked {
        None => challenge().into_response(),
        Some(Asked::Unknown) => {
            Refusal::gateway(StatusCode::BAD_REQUEST, "unknown").into_response()
        }
        // Both are seen in the wild.
        Some(Asked::Pending(before)) if before % 2 == 0 => pending(StatusCode::FORBIDDEN),
        Some(Asked::Pending(_)) => pending(StatusCode::NOT_FOUND),
        Some(Asked::Entered { code, verifier, challenge }) => Json(json!({
            "authorization_code": code,
            "code_challenge": challenge,
            "code_verifier": verifier,
        }))
        .into_response(),
    };
    log(&state, "/api/accounts/deviceauth/token", None, response.status(), None);
    response
}

async fn device_page(
    Shared(state): Shared<Arc<State>>,
    Query(query): Query<Fields>,
) -> Html<&'static str> {
    let entered = query
        .get("user_code")
        .is_some_and(|code| state.change(|inner| inner.enter_device_code(code)));
    Html(if entered {
        "<!DOCTYPE html><p>The device is signed in.</p>"
    } else {
        "<!DOCTYPE html><form><input name=user_code><button>Continue</button></form>"
    })
}

async fn whoami(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
    let answer = state.change(|inner| match inner.failures.pop_front() {
        Some(failure) => Err(failure),
        None => inner.whoami(token).cloned().ok_or(Failure::Unauthorized),
    });
    let (response, code) = match answer {
        Ok(account) => {
            let body = json!({
                "email": account.email,
                "chatgpt_user_id": format!("user-of-{}", account.id),
                "chatgpt_account_id": account.id,
                "chatgpt_plan_type": account.plan,
                "chatgpt_account_is_fedramp": false,
            });
            (Json(body).into_response(), None)
        }
        Err(failure) => {
            let (refusal, code) = refusal(failure);
            (refusal.into_response(), code)
        }
    };
    log(&state, WHOAMI, None, response.status(), code);
    response
}

async fn show_calls(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!({ "calls": state.change(|inner| inner.calls.clone()) }))
}

/// Refuses a bearer that the service gave out and that has ended; what it does not know is for
/// others to judge.
pub(super) async fn refuse_ended(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|text| text.strip_prefix("Bearer "));
    if token.is_some_and(|token| state.change(|inner| inner.is_ended(token))) {
        return failure::http(StatusCode::UNAUTHORIZED, Some("token_expired")).into_response();
    }
    next.run(request).await
}

/// What scripts may change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Control {
    token_life_ms: Option<u64>,
    consent: Option<Consent>,
    #[serde(default)]
    fail: Vec<Failure>,
}

async fn control(Shared(state): Shared<Arc<State>>, Json(control): Json<Control>) -> StatusCode {
    state.change(|inner| {
        if let Some(life) = control.token_life_ms {
            inner.settings.token_life = Duration::from_millis(life);
        }
        inner.consent = control.consent.unwrap_or(inner.consent);
        inner.failures.extend(control.fail);
    });
    StatusCode::NO_CONTENT
}

fn log(state: &State, path: &str, grant: Option<&str>, status: StatusCode, code: Option<&str>) {
    let call = Call {
        path: path.to_owned(),
        grant: grant.map(str::to_owned),
        status: status.as_u16(),
        code: code.map(str::to_owned),
    };
    state.change(|inner| inner.calls.push(call));
}

/// The strings of a JSON object or a form.
fn fields(headers: &HeaderMap, body: &[u8]) -> Fields {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        let object: HashMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let strings = object.into_iter();
        return strings.filter_map(|(k, v)| Some((k, v.as_str()?.to_owned()))).collect();
    }
    let Ok(mut url) = Url::parse("http://form") else { return Fields::new() };
    url.set_query(std::str::from_utf8(body).ok());
    url.query_pairs().into_owned().collect()
}
