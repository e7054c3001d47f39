//! The routing of an account's calls, from `wham/accounts/check`.
//!
//! The Codex CLI requests it since 0.156, before the first turn, and fails without it. Here it is
//! requested in the background, and without an answer the routing stays as it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::credentials::Login;

/// How long an answer is valid.
const TTL: Duration = Duration::from_secs(60 * 60);

/// The cooldown after a failed request.
const RETRY: Duration = Duration::from_secs(10 * 60);

/// The timeout of the request, as in the Codex CLI.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// How long a call of an account that is bound to a region waits for the first answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// How calls of one account are sent. By default as the settings say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Route {
    /// The account.
    pub(super) account: Option<String>,
    /// The value of `x-openai-account-routing-override`.
    pub(super) routing_override: Option<&'static str>,
    /// The service that replaces the one in the settings.
    pub(super) origin: Option<Url>,
}

/// The routing of the account that was checked last. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Routing(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    route: Arc<Route>,
    /// When to request it again; `None` before the first time.
    due: Option<Instant>,
    /// Closed when the request in progress has ended.
    under_way: Option<watch::Receiver<()>>,
}

impl Routing {
    /// The route of the calls of this login. Requests it with `ask` if needed.
    pub(super) async fn of<F>(&self, login: &Login, ask: impl FnOnce() -> F) -> Arc<Route>
    where
        F: Future<Output = Result<Vec<u8>, String>> + Send + 'static,
    {
        let Some(account) = &login.account_id else { return Arc::default() };
        let under_way = {
            let mut state = self.state();
            if state.route.account.as_deref() != Some(account) {
                let route = Route { account: Some(account.clone()), ..Route::default() };
                *state = State { route: Arc::new(route), ..State::default() };
            }
            let is_due = state.due.is_none_or(|due| due <= Instant::now());
            if is_due && state.under_way.is_none() {
                state.under_way = Some(self.begin(account.clone(), ask()));
            }
            // Other calls do not wait for the answer.
            let is_bound = login.residency.is_some() || login.fedramp;
            state.under_way.clone().filter(|_| is_bound && state.due.is_none())
        };
        if let Some(mut under_way) = under_way {
            let _ = timeout(LOOKUP_TIMEOUT, under_way.changed()).await;
        }
        self.known(login)
    }

    /// The known route of this login's calls.
    pub(super) fn known(&self, login: &Login) -> Arc<Route> {
        let route = Arc::clone(&self.state().route);
        let is_its_own = route.account.is_some() && route.account == login.account_id;
        if is_its_own { route } else { Arc::default() }
    }

    /// Sends the request in a separate task, which outlives the call that it was begun for.
    fn begin(
        &self,
        account: String,
        ask: impl Future<Output = Result<Vec<u8>, String>> + Send + 'static,
    ) -> watch::Receiver<()> {
        let (sender, receiver) = watch::channel(());
        let routing = self.clone();
        tokio::spawn(async move {
            let answer = match timeout(TIMEOUT, ask).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
            };
            let route = answer.and_then(|body| {
                read(&body, &account)
                    .ok_or_else(|| "the answer does not contain the account".to_owned())
            });
            let mut state = routing.state();
            if state.route.account.as_ref() == Some(&account) {
                let pause = match route {
                    Ok(route) => {
                        state.route = Arc::new(route);
                        TTL
                    }
                    Err(reason) => {
                        tracing::info!(
                            reason,
                            "cannot determine the routing of the account's calls"
                        );
                        RETRY
                    }
                };
                state.due = Some(Instant::now() + pause);
                state.under_way = None;
            }
            drop(state);
            drop(sender);
        });
        receiver
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the answer: the entry of the account, if there is exactly one.
fn read(body: &[u8], account: &str) -> Option<Route> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let is_it = |key: Option<&str>, entry: &Value| entry["id"].as_str().or(key) == Some(account);
    let mut entries: Vec<&Value> = match &answer["accounts"] {
        Value::Array(entries) => entries.iter().filter(|entry| is_it(None, entry)).collect(),
        Value::Object(entries) => entries
            .iter()
            .filter(|(key, entry)| is_it(Some(key), entry))
            .map(|(_, entry)| entry)
            .collect(),
        _ => return None,
    };
    let entry = entries.pop().filter(|_| entries.is_empty())?;
    Some(Route {
        account: Some(account.to_owned()),
        // The Codex CLI takes this value and `NO_CONSTRAINT`, which means none.
        routing_override: (entry["account_routing_override"] == "us").then_some("us"),
        origin: entry["workspace_backend_origin"].as_str().and_then(origin),
    })
}

/// The origin that an account's calls are to go to. The bearer token goes with them: to OpenAI's
/// own hosts and over TLS only.
fn origin(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let is_origin = url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    (is_origin && is_known(&url)).then_some(url)
}

/// Whether this is ChatGPT's host or one below it, such as `gov.chatgpt.com`.
pub(super) fn is_known(url: &Url) -> bool {
    url.scheme() == "https"
        && url
            .host_str()
            .is_some_and(|host| host == "chatgpt.com" || host.ends_with(".chatgpt.com"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use tokio::sync::Semaphore;
    use tokio::time::advance;

    use super::*;

    #[test]
    fn what_is_said_of_the_account_is_read() {
        let entry = |id: &str, routing: Value, origin: Value| {
            json!({"id": id, "structure": "workspace", "account_routing_override": routing,
                "workspace_backend_origin": origin})
        };
        for (accounts, expected) in [
            (json!([entry("a", json!("us"), Value::Null)]), Some((Some("us"), None))),
            (json!([entry("a", json!("NO_CONSTRAINT"), Value::Null)]), Some((None, None))),
            (
                json!([entry("a", Value::Null, Value::Null), entry("b", json!("us"), Value::Null)]),
                Some((None, None)),
            ),
            (json!([{"id": "a"}]), Some((None, None))),
            // Values that the Codex CLI refuses.
            (json!([entry("a", json!("eu"), Value::Null)]), Some((None, None))),
            (json!([entry("a", json!("us\\r\\nx: y"), json!(7))]), Some((None, None))),
            (
                json!([entry("a", Value::Null, json!("https://gov.chatgpt.com"))]),
                Some((None, Some("https://gov.chatgpt.com/"))),
            ),
            // An object in place of the list.
            (json!({"x": entry("a", json!("us"), Value::Null)}), Some((Some("us"), None))),
            (json!({"a": {"account_routing_override": "us"}}), Some((Some("us"), None))),
            // Not in it, or twice.
            (json!([entry("b", json!("us"), Value::Null)]), None),
            (
                json!([entry("a", json!("us"), Value::Null), entry("a", Value::Null, Value::Null)]),
                None,
            ),
            (json!(null), None),
            (json!("a"), None),
        ] {
            let body = json!({"account_ordering": ["a"], "accounts": accounts}).to_string();
            let route = read(body.as_bytes(), "a");
            let found = route
                .as_ref()
                .map(|route| (route.routing_override, route.origin.as_ref().map(Url::as_str)));
            assert_eq!(found, expected, "{body}");
        }
        for body in ["", "[]", "<html>", "{}"] {
            assert_eq!(read(body.as_bytes(), "a"), None, "{body}");
        }
    }

    #[test]
    fn the_bearer_goes_to_chatgpt_only() {
        for (text, is_taken) in [
            ("https://gov.chatgpt.com", true),
            ("https://chatgpt.com/", true),
            ("http://gov.chatgpt.com", false),
            ("https://gov.chatgpt.com/path", false),
            ("https://gov.chatgpt.com?x", false),
            ("https://gov.chatgpt.com:8443", false),
            ("https://user@gov.chatgpt.com", false),
            ("https://chatgpt.com.example.org", false),
            ("https://evilchatgpt.com", false),
            ("https://example.org", false),
            ("gov.chatgpt.com", false),
            ("", false),
        ] {
            assert_eq!(origin(text).is_some(), is_taken, "{text}");
        }
    }

    fn login(account: &str, residency: Option<&str>) -> Login {
        Login {
            account_id: Some(account.to_owned()),
            residency: residency.map(str::to_owned),
            ..Login::api_key("t".into())
        }
    }

    fn us(account: &str) -> Vec<u8> {
        json!({"accounts": [{"id": account, "account_routing_override": "us"}]})
            .to_string()
            .into_bytes()
    }

    #[tokio::test(start_paused = true)]
    async fn the_backend_is_asked_once_and_again_when_the_answer_is_old() {
        let (routing, asked) = (Routing::default(), Arc::new(AtomicUsize::new(0)));
        let ask = |account: &'static str, fails: bool| {
            let asked = Arc::clone(&asked);
            move || async move {
                asked.fetch_add(1, Ordering::Relaxed);
                if fails { Err("HTTP 500".to_owned()) } else { Ok(us(account)) }
            }
        };
        let bound = login("a", Some("us"));
        for _ in 0..3 {
            let route = routing.of(&bound, ask("a", false)).await;
            assert_eq!(route.routing_override, Some("us"));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        advance(TTL).await;
        // An answer that fails leaves what was known.
        for _ in 0..3 {
            let route = routing.of(&bound, ask("a", true)).await;
            assert_eq!(route.routing_override, Some("us"));
            tokio::task::yield_now().await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        advance(RETRY).await;
        routing.of(&bound, ask("a", false)).await;
        tokio::task::yield_now().await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        // What is known of one account is not that of another.
        let other = login("b", None);
        assert_eq!(*routing.known(&other), Route::default());
        assert_eq!(routing.of(&other, ask("b", false)).await.routing_override, None);
        tokio::task::yield_now().await;
        assert_eq!(routing.known(&other).routing_override, Some("us"));
        assert_eq!(*routing.known(&bound), Route::default());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_stops_no_call() {
        for (residency, waits) in [(None, Duration::ZERO), (Some("us"), LOOKUP_TIMEOUT)] {
            let (routing, gate) = (Routing::default(), Arc::new(Semaphore::new(0)));
            let ask = || {
                let gate = Arc::clone(&gate);
                move || async move {
                    let _permit = gate.acquire().await;
                    Ok(us("a"))
                }
            };
            let begin = Instant::now();
            let login = login("a", residency);
            assert_eq!(routing.of(&login, ask()).await.routing_override, None);
            assert_eq!(begin.elapsed(), waits);
            gate.add_permits(1);
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(routing.of(&login, ask()).await.routing_override, Some("us"));
        }
    }
}
