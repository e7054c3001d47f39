//! The shutdown signal for requests.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::watch;

/// The stage of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Running.
    Open,
    /// Nothing more is accepted; requests in progress continue.
    Draining,
    /// Requests in progress must end now.
    Cut,
}

/// Sets the stage.
#[derive(Debug)]
pub(super) struct ShutdownStages(watch::Sender<Stage>);

impl ShutdownStages {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Stage::Open))
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.send_replace(stage);
    }

    pub(super) fn closing(&self) -> Shutdown {
        Shutdown(self.0.subscribe())
    }
}

/// Signals a request when it must end for the shutdown. Handlers take it as an argument.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(watch::Receiver<Stage>);

impl Shutdown {
    /// For requests that do not come through a connection of the daemon.
    fn never() -> Self {
        ShutdownStages::new().closing()
    }

    /// Whether requests must end.
    pub(crate) fn is_cut(&self) -> bool {
        *self.0.borrow() == Stage::Cut
    }

    /// Ready once requests must end.
    pub(crate) fn cut(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Stage::Cut)
    }

    /// Ready once the shutdown has begun.
    pub(super) fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Stage::Draining)
    }

    fn reached(&self, stage: Stage) -> impl Future<Output = ()> + Send + 'static {
        let mut stages = self.0.clone();
        async move {
            // Without a sender the stage does not change any more.
            if stages.wait_for(|current| *current >= stage).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Shutdown {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(Self::never))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn stages_are_reached_in_their_order() {
        let stages = ShutdownStages::new();
        let closing = stages.closing();
        let reached = |closing: &Shutdown| {
            (closing.draining().now_or_never().is_some(), closing.cut().now_or_never().is_some())
        };
        assert_eq!((reached(&closing), closing.is_cut()), ((false, false), false));
        stages.enter(Stage::Draining);
        assert_eq!((reached(&closing), closing.is_cut()), ((true, false), false));
        stages.enter(Stage::Cut);
        assert_eq!((reached(&closing), closing.is_cut()), ((true, true), true));
    }

    #[test]
    fn without_a_daemon_nothing_has_to_end() {
        let closing = Shutdown::never();
        assert!(closing.cut().now_or_never().is_none());
        assert!(!closing.is_cut());
    }
}
