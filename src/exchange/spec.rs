//! What is needed to make a call, and to make it again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::capture::Recording;
use crate::conversation::{Key, Scope, TurnMemory};
use crate::credentials::Login;
use crate::metrics::Metrics;
use crate::upstream::{Client, Events, RequestBody, UpstreamError};

/// How a request is sent.
#[derive(Debug)]
pub(crate) struct CallSpec {
    pub(crate) client: Client,
    /// The login that the request was made for.
    pub(crate) login: Arc<Login>,
    pub(crate) metrics: Metrics,
    /// The size of the request that is sent.
    pub(crate) prompt_bytes: usize,
    pub(crate) conversation: Uuid,
    /// The token that pins a tool loop to a machine of the backend.
    pub(crate) turn_state: Option<String>,
    /// How the answer is remembered; `None` if it is not.
    pub(crate) replay: Option<ReplayContext>,
    /// `None` unless exchanges are captured.
    pub(crate) recording: Option<Recording>,
}

impl CallSpec {
    /// Makes the call with this body, after a pause.
    pub(super) fn send(
        self: &Arc<Self>,
        body: RequestBody,
        pause: Duration,
    ) -> BoxFuture<'static, Result<Events, UpstreamError>> {
        let spec = Arc::clone(self);
        async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let (turn_state, recording) = (spec.turn_state.as_deref(), spec.recording.as_ref());
            let CallSpec { client, login, conversation, .. } = &*spec;
            client.respond_recorded(login, &body, *conversation, turn_state, recording).await
        }
        .boxed()
    }
}

/// The request body, kept for as long as it may be retried.
#[derive(Clone)]
pub(crate) struct RetryableBody {
    pub(crate) body: RequestBody,
    /// Rebuilds it without remembered turns; `None` if it has none.
    pub(crate) without_replay: Option<WithoutReplay>,
}

/// Builds a request without remembered turns, if possible. Long work is done on another thread.
pub(crate) type WithoutReplay = Arc<dyn Fn() -> BoxFuture<'static, Option<Bytes>> + Send + Sync>;

/// How an answer is remembered.
#[derive(Debug)]
pub(crate) struct ReplayContext {
    pub(crate) memory: TurnMemory,
    pub(crate) scope: Scope,
    /// The conversation that the answer continues.
    pub(crate) history: u128,
    /// The remembered turns in the request.
    pub(crate) recalled: Vec<Key>,
}
