//! What every request carries: addresses and headers.

use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::config;
use crate::credentials::Login;
use crate::platform::Platform;

use super::{BuildError, Failure};

/// The parts of requests that the settings decide, checked once.
#[derive(Debug)]
pub(super) struct Requests {
    codex: Addresses,
    public: Addresses,
    /// Where the plan's limits are.
    pub(super) usage: Url,
    /// How this program names itself.
    identity: HeaderMap,
    /// The headers that carry the conversation's id.
    session: Vec<HeaderName>,
    /// The user's own headers, which replace any other.
    overrides: HeaderMap,
}

/// Where an API is.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) responses: Url,
    pub(super) models: Url,
}

impl Addresses {
    fn new(base: &Url) -> Result<Self, BuildError> {
        Ok(Self { responses: below(base, "responses")?, models: below(base, "models")? })
    }
}

impl Requests {
    pub(super) fn new(settings: &config::Upstream) -> Result<Self, BuildError> {
        let mut codex = Addresses::new(&settings.base_url)?;
        codex.models.query_pairs_mut().append_pair("client_version", &settings.client_version);

        let mut identity = HeaderMap::new();
        for (key, name, text) in [
            ("originator", HeaderName::from_static("originator"), &settings.originator),
            ("user_agent", USER_AGENT, &settings.user_agent),
            ("client_version", HeaderName::from_static("version"), &settings.client_version),
        ] {
            identity.insert(name, value(key, text)?);
        }
        Ok(Self {
            codex,
            public: Addresses::new(&settings.public_url)?,
            usage: usage(&settings.base_url)?,
            identity,
            session: settings.session_headers.clone(),
            overrides: settings.headers.clone(),
        })
    }

    /// Where the API is that the login is for: no bearer goes to the other one.
    pub(super) fn addresses(&self, login: &Login) -> &Addresses {
        match login.platform {
            Platform::Codex => &self.codex,
            Platform::Public => &self.public,
        }
    }

    /// The headers of a call.
    pub(super) fn call(
        &self,
        login: &Login,
        conversation: Uuid,
        turn_state: Option<&str>,
    ) -> Result<HeaderMap, Failure> {
        let mut headers = self.signed(login)?;
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if login.platform == Platform::Codex {
            let conversation = secret(&conversation.to_string())?;
            for name in &self.session {
                headers.insert(name, conversation.clone());
            }
        }
        if let Some(turn_state) = turn_state {
            headers.insert("x-codex-turn-state", secret(turn_state)?);
        }
        Ok(self.overridden(headers))
    }

    /// The headers of a request for the catalogue.
    pub(super) fn catalogue(&self, login: &Login) -> Result<HeaderMap, Failure> {
        let mut headers = self.signed(login)?;
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(self.overridden(headers))
    }

    fn signed(&self, login: &Login) -> Result<HeaderMap, Failure> {
        let mut headers = self.identity.clone();
        if login.platform == Platform::Public {
            // They mean something to the Codex backend only.
            headers.remove("originator");
            headers.remove("version");
        }
        let bearer = format!("Bearer {}", login.access_token.expose_secret());
        headers.insert(AUTHORIZATION, secret(&bearer)?);
        if let Some(account) = &login.account_id {
            headers.insert("chatgpt-account-id", secret(account)?);
        }
        if login.fedramp {
            headers.insert("x-openai-fedramp", HeaderValue::from_static("true"));
        }
        Ok(headers)
    }

    fn overridden(&self, mut headers: HeaderMap) -> HeaderMap {
        for (name, value) in &self.overrides {
            headers.insert(name, value.clone());
        }
        headers
    }
}

/// Where the plan's limits are: beside the API under `/backend-api`, as the Codex CLI has it.
fn usage(base: &Url) -> Result<Url, BuildError> {
    let marker = "/backend-api";
    let Some(at) = base.path().find(marker) else {
        return below(&below(&below(base, "api")?, "codex")?, "usage");
    };
    let mut url = base.clone();
    url.set_path(&format!("{}/wham/usage", &base.path()[..at + marker.len()]));
    Ok(url)
}

/// The base address with one more segment.
fn below(base: &Url, segment: &str) -> Result<Url, BuildError> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().push(segment),
        Err(()) => return Err(BuildError::BaseUrl(base.clone())),
    };
    Ok(url)
}

fn value(key: &'static str, text: &str) -> Result<HeaderValue, BuildError> {
    text.parse().map_err(|_| BuildError::Header { key, value: text.to_owned() })
}

/// A value from the login; its text stays out of errors and debug output.
fn secret(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Failure::UnusableLogin)?;
    value.set_sensitive(true);
    Ok(value)
}
