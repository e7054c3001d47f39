//! The sign-in service as this program asks it.
//!
//! [`Issuer`] knows the addresses and forms; what is done with the answers is for its callers. No
//! error holds a token, and nothing is sent twice: the tokens and codes that are sent can be
//! redeemed only once.

mod answer;
mod error;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::retry_after;

pub use self::answer::Tokens;
pub(super) use self::answer::{Approval, DeviceCode, Whoami};
pub use self::error::{Ended, Error};

/// The Codex CLI's id at the sign-in service, which knows no other for these plans.
pub(super) const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// Long, because an answer that nobody waits for is a login lost.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// What the Codex CLI gives revoking.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long asking whose token it is may take.
const WHOAMI_TIMEOUT: Duration = Duration::from_secs(15);

/// The most of an answer that is read.
const MAX_ANSWER: usize = 1 << 20;

/// A client of the sign-in service. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Issuer {
    http: reqwest::Client,
    base: Url,
    /// How this program names itself.
    identity: HeaderMap,
    /// The `originator` in the address of the sign-in page.
    originator: String,
}

/// How the device flow stands.
#[derive(Debug)]
pub(super) enum Poll {
    /// The code has not been entered yet.
    Pending,
    /// It has been.
    Approved(Approval),
}

impl Issuer {
    /// A client of the service at `base`, which names itself `originator` and `user_agent`. Text
    /// that cannot be in a header is left out.
    pub fn new(http: reqwest::Client, base: &Url, originator: &str, user_agent: &str) -> Self {
        let headers =
            [(HeaderName::from_static("originator"), originator), (USER_AGENT, user_agent)];
        let identity = headers
            .into_iter()
            .filter_map(|(name, text)| Some((name, HeaderValue::from_str(text).ok()?)))
            .collect();
        Self { http, base: base.clone(), identity, originator: originator.to_owned() }
    }

    /// An address of the service.
    pub(super) fn address(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }

    /// The name of this program for the service.
    pub(super) fn originator(&self) -> &str {
        &self.originator
    }

    /// Redeems a refresh token, which is spent as soon as the service has read the request.
    pub(super) async fn refresh(&self, token: &SecretString) -> Result<Tokens, Error> {
        let body = json!({
            "client_id": CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": token.expose_secret(),
        });
        let request = self.post("/oauth/token").timeout(TIMEOUT).json(&body);
        let tokens = Tokens::read(&success(request).await?)?;
        tokens.access_token.is_some().then_some(tokens).ok_or(Error::Malformed)
    }

    /// Redeems the code that a sign-in ended with.
    pub(super) async fn exchange(
        &self,
        code: &SecretString,
        verifier: &SecretString,
        redirect_uri: &str,
    ) -> Result<Tokens, Error> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", redirect_uri),
            ("client_id", CLIENT_ID),
            ("code_verifier", verifier.expose_secret()),
        ];
        let request = self.post("/oauth/token").timeout(TIMEOUT).form(&form);
        let tokens = Tokens::read(&success(request).await?)?;
        let whole = tokens.access_token.is_some() && tokens.refresh_token.is_some();
        whole.then_some(tokens).ok_or(Error::Malformed)
    }

    /// Asks for an API key of the account, which not every account can have.
    pub(super) async fn api_key(&self, id_token: &SecretString) -> Result<SecretString, Error> {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("client_id", CLIENT_ID),
            ("requested_token", "openai-api-key"),
            ("subject_token", id_token.expose_secret()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ];
        let request = self.post("/oauth/token").timeout(TIMEOUT).form(&form);
        Tokens::read(&success(request).await?)?.access_token.ok_or(Error::Malformed)
    }

    /// Begins the device flow; `None` if the service has it switched off.
    pub(super) async fn device_code(&self) -> Result<Option<DeviceCode>, Error> {
        let body = json!({ "client_id": CLIENT_ID });
        let request = self.post("/api/accounts/deviceauth/usercode").timeout(TIMEOUT).json(&body);
        match success(request).await {
            Ok(body) => DeviceCode::read(&body).map(Some),
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks whether the code of the device flow has been entered. 403 and 404 mean not yet, unless
    /// they come from something in front of the service.
    pub(super) async fn poll(&self, code: &DeviceCode) -> Result<Poll, Error> {
        let body = json!({
            "device_auth_id": code.id.expose_secret(),
            "user_code": code.user_code,
        });
        let request = self.post("/api/accounts/deviceauth/token").timeout(TIMEOUT).json(&body);
        match success(request).await {
            Ok(body) => Approval::read(&body).map(Poll::Approved),
            Err(Error::Refused {
                status: StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, ..
            }) => Ok(Poll::Pending),
            Err(error) => Err(error),
        }
    }

    /// Ends a login at the service.
    pub(super) async fn revoke(&self, refresh_token: &SecretString) -> Result<(), Error> {
        let body = json!({
            "token": refresh_token.expose_secret(),
            "token_type_hint": "refresh_token",
            "client_id": CLIENT_ID,
        });
        let request = self.post("/oauth/revoke").timeout(REVOKE_TIMEOUT).json(&body);
        success(request).await.map(|_| ())
    }

    /// Asks whose personal access token this is. It is not spent by that.
    pub(super) async fn whoami(&self, token: &SecretString) -> Result<Whoami, Error> {
        let request = self
            .http
            .get(self.address("/api/accounts/v1/user-auth-credential/whoami"))
            .headers(self.identity.clone())
            .timeout(WHOAMI_TIMEOUT)
            .bearer_auth(token.expose_secret());
        Whoami::read(&success(request).await?)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.address(path)).headers(self.identity.clone())
    }
}

/// The body of a successful answer.
async fn success(request: RequestBuilder) -> Result<SecretString, Error> {
    let response = request.send().await.map_err(Error::of_transport)?;
    let status = response.status();
    let is_page = answer::is_page(response.headers());
    let ray = response.headers().get("cf-ray").and_then(|ray| ray.to_str().ok()).map(str::to_owned);
    let retry_after = retry_after::read(response.headers(), Timestamp::now());
    let body = read(response).await;
    if is_page {
        return Err(Error::Blocked { status, ray, retry_after });
    }
    if status.is_success() { body } else { Err(Error::refused(status, &body?, retry_after)) }
}

async fn read(mut response: Response) -> Result<SecretString, Error> {
    let mut body = secrecy::zeroize::Zeroizing::new(Vec::with_capacity(16 << 10));
    while let Some(part) = response.chunk().await.map_err(Error::of_transport)? {
        body.extend_from_slice(&part);
        if body.len() > MAX_ANSWER {
            return Err(Error::Malformed);
        }
    }
    std::str::from_utf8(&body).map(SecretString::from).map_err(|_| Error::Malformed)
}
