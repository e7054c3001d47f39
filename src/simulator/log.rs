//! What has been asked so far, for tests to look into.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

/// How an exchange ended, or that it has not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The answer is being written.
    Running,
    /// The answer was written to its end: `response.completed` or `response.incomplete`.
    Completed,
    /// The answer failed because a directive or the prompt asked for it.
    Failed,
    /// The client went away before the end.
    Cancelled,
    /// The request was not valid.
    Refused,
}

/// One `POST …/responses` and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exchange {
    /// 1 for the first request of the process; not set back by a reset.
    pub number: u64,
    /// The model of the request, if it named one.
    pub model: Option<String>,
    /// Where the exchange stands.
    pub outcome: Outcome,
    /// The HTTP status of the answer.
    pub status: u16,
    /// How many events were handed to the connection.
    pub events: usize,
    /// The request's body; null if it was not JSON.
    pub request: Value,
    /// The request's headers without `authorization`.
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    exchanges: VecDeque<Exchange>,
    models_requests: u64,
}

/// The exchanges of a [`Simulator`](super::Simulator). Clones share one log.
#[derive(Debug, Clone)]
pub struct Log {
    state: Arc<watch::Sender<State>>,
    kept: usize,
}

impl Log {
    pub(super) fn new(kept: usize) -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())), kept: kept.max(1) }
    }

    /// The exchanges so far, oldest first. Only the latest are kept
    /// ([`Settings::kept_exchanges`](super::Settings::kept_exchanges)).
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.state.borrow().exchanges.iter().cloned().collect()
    }

    /// How often `/models` was read.
    pub fn models_requests(&self) -> u64 {
        self.state.borrow().models_requests
    }

    /// Waits for an exchange that is as wanted; returns at once if there is one already.
    pub async fn wait_for(&self, wanted: impl Fn(&Exchange) -> bool) -> Exchange {
        let mut changes = self.state.subscribe();
        loop {
            let found = changes.borrow_and_update().exchanges.iter().find(|x| wanted(x)).cloned();
            if let Some(found) = found {
                return found;
            }
            // This handle holds the sender, so the channel cannot close while we wait.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The log as `GET /simulator/log` shows it.
    pub(super) fn to_json(&self) -> Value {
        let state = self.state.borrow();
        json!({ "exchanges": state.exchanges, "models_requests": state.models_requests })
    }

    pub(super) fn clear(&self) {
        self.state.send_modify(|state| {
            state.exchanges.clear();
            state.models_requests = 0;
        });
    }

    pub(super) fn models_were_read(&self) {
        self.state.send_modify(|state| state.models_requests += 1);
    }

    /// Opens an exchange. It counts as cancelled unless it is closed otherwise.
    pub(super) fn open(&self, request: Value, headers: BTreeMap<String, String>) -> Running {
        let model = request["model"].as_str().map(str::to_owned);
        let mut number = 0;
        self.state.send_modify(|state| {
            state.last_number += 1;
            number = state.last_number;
            state.exchanges.push_back(Exchange {
                number,
                model,
                outcome: Outcome::Running,
                status: 200,
                events: 0,
                request,
                headers,
            });
            if state.exchanges.len() > self.kept {
                state.exchanges.pop_front();
            }
        });
        Running { log: self.clone(), number, open: true }
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut Exchange)) {
        self.state.send_modify(|state| {
            // The exchange may have left the log since it began.
            if let Some(x) = state.exchanges.iter_mut().rev().find(|x| x.number == number) {
                change(x);
            }
        });
    }
}

/// An exchange in progress. Dropping it, as hyper does with a body whose client left, is how a
/// cancel is noticed.
#[derive(Debug)]
pub(super) struct Running {
    log: Log,
    number: u64,
    open: bool,
}

impl Running {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes that events were written.
    pub(super) fn wrote(&self, events: usize) {
        if events > 0 {
            self.log.update(self.number, |exchange| exchange.events += events);
        }
    }

    /// Ends the exchange.
    pub(super) fn close(&mut self, outcome: Outcome, status: u16) {
        self.open = false;
        self.log.update(self.number, |exchange| {
            exchange.outcome = outcome;
            exchange.status = status;
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.open {
            self.close(Outcome::Cancelled, 200);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(log: &Log) -> Running {
        log.open(json!({ "model": "gpt-5.5" }), BTreeMap::new())
    }

    #[tokio::test]
    async fn a_dropped_exchange_was_cancelled() {
        let log = Log::new(8);
        let running = open(&log);
        let waiting = tokio::spawn({
            let log = log.clone();
            async move { log.wait_for(|x| x.outcome == Outcome::Cancelled).await }
        });
        running.wrote(2);
        drop(running);
        let exchange = waiting.await.unwrap();
        assert_eq!((exchange.number, exchange.events), (1, 2));
    }

    #[test]
    fn only_the_latest_exchanges_are_kept() {
        let log = Log::new(2);
        for _ in 0..3 {
            open(&log).close(Outcome::Completed, 200);
        }
        let numbers: Vec<u64> = log.exchanges().iter().map(|x| x.number).collect();
        assert_eq!(numbers, [2, 3]);
        log.clear();
        assert!(log.exchanges().is_empty());
        assert_eq!(open(&log).number(), 4);
    }
}
