//! What the backend says to the login: its models, the plan's limits and, if asked for, an answer.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use super::super::facts::{Asked, Backend, Call, Window};
use crate::cli::exit::{Exit, Failure};
use crate::cli::serve::{keeping_renewals, store};
use crate::cli::sign::{self, Signed};
use crate::config::{CodexConfig, Config};
use crate::credentials::{Location, Store};
use crate::limits;
use crate::models::{List, Source};
use crate::platform::Platform;
use crate::responses::event::Event;
use crate::upstream::{self, Client};

/// How long the tiny call may take.
const CALL: Duration = Duration::from_secs(90);

pub(super) async fn look(config: &Config, with_call: bool) -> Backend {
    let no_answer = |failure| Backend { models: Err(told(failure)), limits: None, call: None };
    let store = match store(config, Location::of(&config.auth)) {
        Ok(store) => store,
        Err(failure) => return no_answer(failure),
    };
    match client(config, store.clone()).await {
        Ok((client, platform)) => {
            let asked = ask(config, &client, platform, with_call);
            keeping_renewals(&store, asked).await.unwrap_or_else(no_answer)
        }
        Err(failure) => no_answer(failure),
    }
}

async fn ask(config: &Config, client: &Client, platform: Platform, with_call: bool) -> Backend {
    let list = match client.models().await {
        // A list that offers nothing is a finding.
        Ok(answer) => Ok(List::parse(&answer.body, Source::Backend)),
        Err(failure) => Err(told(failure)),
    };
    let models = list.as_ref().map_err(Clone::clone);
    let models = models.map(|list| list.as_ref().map_or(0, |list| list.listed().count()));
    if models.is_err() {
        return Backend { models, limits: None, call: None };
    }
    let limits = match platform {
        Platform::Codex => Some(limits(client).await),
        Platform::OpenAiApi => None,
    };
    let call = match list {
        Ok(Some(list)) if with_call => Some(call(client, config, &list).await),
        _ => None,
    };
    Backend { models, limits, call }
}

async fn client(config: &Config, store: Store) -> Result<(Client, Platform), Failure> {
    let Signed { logins, platform } = sign::logins(config, store).await?;
    let client =
        Client::new(&config.upstream, logins).map_err(|error| Failure::new(Exit::Config, error))?;
    Ok((client, platform))
}

/// How a command would end, and what it would say.
fn told(failure: impl Into<Failure>) -> (Exit, String) {
    let failure = failure.into();
    (failure.exit, failure.to_string())
}

async fn limits(client: &Client) -> Asked<Vec<Window>> {
    let limits = client.usage().await.map_err(told)?;
    Ok(limits.windows.iter().filter_map(|known| window(&known.told.window)).collect())
}

/// A window whose length is known: without it, it has no name.
fn window(window: &limits::Window) -> Option<Window> {
    Some(Window {
        used_percent: window.used_percent,
        length: Duration::from_secs(window.minutes?.checked_mul(60)?),
        begins_anew: window.resets_at.and_then(|at| Timestamp::from_second(at).ok()),
    })
}

/// A call that is as small as one can be.
async fn call(client: &Client, config: &Config, list: &List) -> Asked<Call> {
    let wanted = CodexConfig::read(&config.auth.codex_home).model;
    let info = wanted.as_deref().and_then(|name| list.find(name)).or_else(|| list.first());
    let Some(info) = info else {
        return Err((Exit::Unavailable, "there is no model to call".to_owned()));
    };
    let mut request = json!({
        "model": info.slug,
        "instructions": "Answer with the one word: ok",
        "input": [{"type": "message", "role": "user",
                   "content": [{"type": "input_text", "text": "ok?"}]}],
        "store": false,
        "stream": true,
    });
    if let Some(least) = info.efforts.known().iter().min() {
        request["reasoning"] = json!({"effort": least.as_str()});
    }
    let begun = Instant::now();
    match timeout(CALL, answer(client, request.to_string())).await {
        Ok(Ok(())) => Ok(Call { model: info.slug.clone(), took: begun.elapsed() }),
        Ok(Err(failure)) => Err(told(failure)),
        Err(_) => {
            let message = format!("no answer from {} within {} s", info.slug, CALL.as_secs());
            Err((Exit::Unavailable, message))
        }
    }
}

/// Waits for the end of the answer.
async fn answer(client: &Client, request: String) -> Result<(), upstream::UpstreamError> {
    let mut events = pin!(client.respond(request.into(), Uuid::new_v4(), None).await?);
    while let Some(data) = events.next().await {
        match Event::parse(&data?) {
            Some(Event::Ended(..)) => return Ok(()),
            Some(Event::Failed(report)) => return Err(upstream::UpstreamError::Reported(report)),
            _ => {}
        }
    }
    Err(upstream::UpstreamError::Disconnected { cause: "the stream ended".to_owned() })
}
