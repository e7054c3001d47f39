//! URLs and headers of requests.

use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::config;
use crate::credentials::Login;
use crate::platform::Platform;

use super::routing::{self, Route};
use super::{BuildError, UpstreamError};

/// The parts of requests that the settings decide, checked once.
#[derive(Debug)]
pub(super) struct RequestHeaders {
    codex: Endpoints,
    public: Endpoints,
    /// Where the plan's limits are.
    pub(super) usage: Url,
    /// The endpoint for the routing of an account's calls; `None` if there is none.
    pub(super) accounts: Option<Url>,
    /// Whether calls may go to another host of ChatGPT's than the one in the settings.
    may_move: bool,
    /// The user agent.
    identity: HeaderMap,
    /// The headers that carry the conversation's id.
    session: Vec<HeaderName>,
    /// The headers of the settings, which override all others.
    overrides: HeaderMap,
}

/// Where an API is.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) responses: Url,
    pub(super) models: Url,
}

impl Endpoints {
    fn new(base: &Url) -> Result<Self, BuildError> {
        Ok(Self { responses: below(base, "responses")?, models: below(base, "models")? })
    }
}

impl RequestHeaders {
    pub(super) fn new(settings: &config::Upstream) -> Result<Self, BuildError> {
        let mut codex = Endpoints::new(&settings.base_url)?;
        let version = settings.client_version.in_force().version;
        codex.models.query_pairs_mut().append_pair("client_version", &version);

        let mut identity = HeaderMap::new();
        for (key, name, text) in [
            ("originator", HeaderName::from_static("originator"), &settings.originator),
            ("user_agent", USER_AGENT, &settings.user_agent),
            ("client_version", HeaderName::from_static("version"), &version),
        ] {
            identity.insert(name, value(key, text)?);
        }
        Ok(Self {
            codex,
            public: Endpoints::new(&settings.public_url)?,
            usage: usage(&settings.base_url)?,
            accounts: wham(&settings.base_url, "accounts/check"),
            may_move: routing::is_known(&settings.base_url),
            identity,
            session: settings.session_headers.clone(),
            overrides: settings.headers.clone(),
        })
    }

    /// The endpoint for the login's calls: a bearer token is sent only to its own API.
    pub(super) fn responses(&self, login: &Login, route: &Route) -> Url {
        self.routed(&self.addresses(login).responses, login, route)
    }

    /// The endpoint for the login's list of models.
    pub(super) fn models(&self, login: &Login, route: &Route) -> Url {
        self.routed(&self.addresses(login).models, login, route)
    }

    fn addresses(&self, login: &Login) -> &Endpoints {
        match login.platform {
            Platform::Codex => &self.codex,
            Platform::OpenAiApi => &self.public,
        }
    }

    /// The same address where the account's calls are to go. If the settings name another service
    /// than ChatGPT, they stay there.
    fn routed(&self, address: &Url, login: &Login, route: &Route) -> Url {
        let origin = route.origin.as_ref().filter(|_| {
            self.may_move && login.platform == Platform::Codex && route.account == login.account_id
        });
        let Some(mut url) = origin.cloned() else { return address.clone() };
        url.set_path(address.path());
        url.set_query(address.query());
        url
    }

    /// The headers of a call.
    pub(super) fn call(
        &self,
        login: &Login,
        route: &Route,
        conversation: Uuid,
        turn_state: Option<&str>,
    ) -> Result<HeaderMap, UpstreamError> {
        let mut headers = self.signed(login)?;
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if login.platform == Platform::Codex {
            let conversation = secret(&conversation.to_string())?;
            for name in &self.session {
                headers.insert(name, conversation.clone());
            }
            bind(&mut headers, login)?;
            if let Some(value) = route.routing_override
                && route.account == login.account_id
            {
                headers
                    .insert("x-openai-account-routing-override", HeaderValue::from_static(value));
            }
        }
        if let Some(turn_state) = turn_state {
            headers.insert("x-codex-turn-state", secret(turn_state)?);
        }
        Ok(self.overridden(headers))
    }

    /// The headers of a request for the catalogue.
    pub(super) fn catalogue(&self, login: &Login) -> Result<HeaderMap, UpstreamError> {
        let mut headers = self.signed(login)?;
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        bind(&mut headers, login)?;
        Ok(self.overridden(headers))
    }

    /// The headers of a request for the plan's limits.
    pub(super) fn plan(&self, login: &Login) -> Result<HeaderMap, UpstreamError> {
        let mut headers = self.signed(login)?;
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(self.overridden(headers))
    }

    /// The headers of the routing request: those of the Codex CLI.
    pub(super) fn account(&self, login: &Login) -> Result<HeaderMap, UpstreamError> {
        let mut headers = self.plan(login)?;
        headers.remove("originator");
        headers.remove("version");
        Ok(headers)
    }

    fn signed(&self, login: &Login) -> Result<HeaderMap, UpstreamError> {
        let mut headers = self.identity.clone();
        if login.platform == Platform::OpenAiApi {
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

/// Declares the region that the account is bound to. Calls without it are rejected as coming from
/// another region.
fn bind(headers: &mut HeaderMap, login: &Login) -> Result<(), UpstreamError> {
    if let Some(region) = login.residency.as_deref().filter(|_| login.platform == Platform::Codex) {
        headers.insert("x-openai-internal-codex-residency", secret(region)?);
    }
    Ok(())
}

/// Where the plan's limits are: beside the API under `/backend-api`, as the Codex CLI has it.
fn usage(base: &Url) -> Result<Url, BuildError> {
    match wham(base, "usage") {
        Some(url) => Ok(url),
        None => below(&below(&below(base, "api")?, "codex")?, "usage"),
    }
}

/// An address of what ChatGPT says of accounts; nothing where the base is not of such a service.
fn wham(base: &Url, name: &str) -> Option<Url> {
    let marker = "/backend-api";
    let at = base.path().find(marker)?;
    let mut url = base.clone();
    url.set_path(&format!("{}/wham/{name}", &base.path()[..at + marker.len()]));
    Some(url)
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
fn secret(text: &str) -> Result<HeaderValue, UpstreamError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| UpstreamError::UnusableLogin)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn requests(base: &str) -> RequestHeaders {
        let settings = format!("[upstream]\nbase_url = \"{base}\"\nclient_version = \"0.150.0\"");
        RequestHeaders::new(&Config::from_toml(&settings).unwrap().upstream).unwrap()
    }

    fn plan(residency: Option<&str>) -> Login {
        Login {
            platform: Platform::Codex,
            account_id: Some("a".to_owned()),
            residency: residency.map(str::to_owned),
            ..Login::api_key("t".into())
        }
    }

    #[test]
    fn calls_go_to_another_host_of_chatgpt_only_from_chatgpt() {
        let gov = Route {
            account: Some("a".to_owned()),
            origin: Some("https://gov.chatgpt.com".parse().unwrap()),
            ..Route::default()
        };
        let moved = "https://gov.chatgpt.com/backend-api/codex/responses";
        let usual = "https://chatgpt.com/backend-api/codex/responses";
        let key = Login::api_key("t".into());
        let other = Login { account_id: Some("b".to_owned()), ..plan(None) };
        for (base, login, expected) in [
            ("https://chatgpt.com/backend-api/codex", plan(None), moved),
            ("https://chatgpt.com/backend-api/codex", other, usual),
            (
                "https://example.org/backend-api/codex",
                plan(None),
                "https://example.org/backend-api/codex/responses",
            ),
            ("https://chatgpt.com/backend-api/codex", key, "https://api.openai.com/v1/responses"),
        ] {
            assert_eq!(requests(base).responses(&login, &gov).as_str(), expected);
        }
        let models = requests("https://chatgpt.com/backend-api/codex").models(&plan(None), &gov);
        let expected = "https://gov.chatgpt.com/backend-api/codex/models?client_version=0.150.0";
        assert_eq!(models.as_str(), expected);
    }

    #[test]
    fn the_region_is_declared_to_those_who_ask_for_it() {
        const REGION: &str = "x-openai-internal-codex-residency";
        const OVERRIDE: &str = "x-openai-account-routing-override";
        let requests = requests("https://chatgpt.com/backend-api/codex");
        let route = Route {
            account: Some("a".to_owned()),
            routing_override: Some("us"),
            ..Route::default()
        };
        for (login, region, routing) in [
            (plan(Some("eu")), Some("eu"), Some("us")),
            (plan(None), None, Some("us")),
            (Login { account_id: Some("b".to_owned()), ..plan(Some("eu")) }, Some("eu"), None),
            (Login { residency: Some("eu".to_owned()), ..Login::api_key("t".into()) }, None, None),
        ] {
            let text = |headers: &HeaderMap, name: &str| {
                headers.get(name).map(|value| value.to_str().unwrap().to_owned())
            };
            let call = requests.call(&login, &route, Uuid::nil(), None).unwrap();
            assert_eq!(text(&call, REGION).as_deref(), region);
            assert_eq!(text(&call, OVERRIDE).as_deref(), routing);
            let models = requests.catalogue(&login).unwrap();
            assert_eq!(text(&models, REGION).as_deref(), region);
            assert_eq!(text(&models, OVERRIDE), None);
            for headers in [requests.plan(&login).unwrap(), requests.account(&login).unwrap()] {
                assert_eq!((text(&headers, REGION), text(&headers, OVERRIDE)), (None, None));
            }
            assert_eq!(text(&requests.account(&login).unwrap(), "originator"), None);
        }
    }
}
