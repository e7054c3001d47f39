//! A circuit breaker for connecting.
//!
//! After several failures in a row to connect, the circuit is open for a while: requests fail at
//! once instead of waiting for a timeout each. Then a single probe decides. Calls over open
//! connections are not affected.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error_chain::error_chain;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};
use tower::{BoxError, Layer, Service};

/// So many failures in a row open the circuit.
const FAILURE_THRESHOLD: u32 = 5;

/// How long the circuit stays open.
const OPEN_FOR: Duration = Duration::from_secs(3);

/// The state of the circuit. Pure: outcomes and times come from outside.
#[derive(Debug)]
struct Circuit {
    state: State,
    /// How many attempts failed in a row.
    failures: u32,
    /// The last error.
    cause: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Closed: all attempts are allowed.
    Closed,
    /// Open: no attempt before that time.
    Open(Instant),
    /// Half-open: one probe is in progress, and decides.
    Trial,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Trial,
}

/// The circuit is open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the last {failures} attempts to connect failed; last error: {cause}")]
pub(super) struct CircuitOpen {
    pub(super) failures: u32,
    pub(super) cause: String,
    /// How long until the next attempt; `None` if it is in progress.
    pub(super) wait: Option<Duration>,
}

impl Circuit {
    fn new() -> Self {
        Self { state: State::Closed, failures: 0, cause: String::new() }
    }

    /// Whether an attempt is allowed now.
    fn attempt(&mut self, now: Instant) -> Result<Kind, CircuitOpen> {
        let wait = match self.state {
            State::Closed => return Ok(Kind::Ordinary),
            State::Open(until) if until <= now => {
                self.state = State::Trial;
                return Ok(Kind::Trial);
            }
            State::Open(until) => Some(until - now),
            State::Trial => None,
        };
        Err(CircuitOpen { failures: self.failures, cause: self.cause.clone(), wait })
    }

    /// Any new connection closes the circuit.
    fn connected(&mut self) {
        *self = Self::new();
    }

    fn failed(&mut self, kind: Kind, cause: String, now: Instant) {
        let counts = match self.state {
            State::Closed => true,
            State::Trial => kind == Kind::Trial,
            // An attempt that began before the circuit opened.
            State::Open(_) => false,
        };
        if counts {
            self.failures = self.failures.saturating_add(1);
            self.cause = cause;
            if self.failures >= FAILURE_THRESHOLD {
                self.state = State::Open(now + OPEN_FOR);
            }
        }
    }

    /// An attempt was cancelled: the next one decides instead.
    fn abandoned(&mut self, kind: Kind, now: Instant) {
        if kind == Kind::Trial && self.state == State::Trial {
            self.state = State::Open(now);
        }
    }
}

/// The circuit that all connectors of a client share, and the connect timeout.
#[derive(Debug, Clone)]
pub(super) struct CircuitBreakerLayer {
    circuit: Arc<Mutex<Circuit>>,
    limit: Duration,
}

impl CircuitBreakerLayer {
    pub(super) fn new(limit: Duration) -> Self {
        Self { circuit: Arc::new(Mutex::new(Circuit::new())), limit }
    }

    /// The state is consistent after every step, so a poisoned lock does not matter.
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self) -> Result<Permit, CircuitOpen> {
        let kind = self.circuit().attempt(Instant::now())?;
        Ok(Permit { breaker: self.clone(), kind, is_over: false })
    }
}

/// One attempt to connect. Dropping it without an outcome cancels it.
#[derive(Debug)]
struct Permit {
    breaker: CircuitBreakerLayer,
    kind: Kind,
    is_over: bool,
}

impl Permit {
    /// Waits for the connection, up to the connect timeout.
    async fn make<T>(
        mut self,
        connecting: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<T, BoxError> {
        let outcome = timeout(self.breaker.limit, connecting).await.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "connecting timed out").into())
        });
        self.is_over = true;
        match &outcome {
            Ok(_) => self.breaker.circuit().connected(),
            Err(error) => {
                let cause = error_chain(&**error);
                self.breaker.circuit().failed(self.kind, cause, Instant::now());
            }
        }
        outcome
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_over {
            self.breaker.circuit().abandoned(self.kind, Instant::now());
        }
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, connector: S) -> CircuitBreaker<S> {
        CircuitBreaker { connector, breaker: self.clone() }
    }
}

/// A connector that fails at once while the circuit is open.
#[derive(Debug, Clone)]
pub(super) struct CircuitBreaker<S> {
    connector: S,
    breaker: CircuitBreakerLayer,
}

impl<S, R> Service<R> for CircuitBreaker<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let attempt = match self.breaker.attempt() {
            Ok(attempt) => attempt,
            Err(resting) => return std::future::ready(Err(resting.into())).boxed(),
        };
        let kind = attempt.kind;
        let attempt = attempt.make(self.connector.call(target));
        match kind {
            Kind::Ordinary => attempt.boxed(),
            // The attempt outlives the call that began it: a request for several choices fails with
            // the first choice that is not allowed to connect, and would cancel the attempt every
            // time.
            Kind::Trial => {
                let attempt = tokio::spawn(attempt);
                async { attempt.await.unwrap_or_else(|error| Err(error.into())) }.boxed()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// What happens, and what a request that comes then is told.
    enum Step {
        /// So much time passes.
        Pass(u64),
        Connected,
        Failed(Kind),
        Abandoned(Kind),
        /// May try.
        Tries(Kind),
        /// May not, and is told the milliseconds to wait.
        Rests(Option<u64>),
    }
    use Kind::{Ordinary, Trial};
    use Step::{Abandoned, Connected, Failed, Pass, Rests, Tries};

    /// The circuit after five failures.
    fn opened() -> Vec<Step> {
        (0..5).map(|_| Failed(Ordinary)).collect()
    }

    #[test]
    fn the_circuit_goes_through_its_states() {
        let table: [(&str, Vec<Step>); 10] = [
            ("a new one lets everybody try", vec![Tries(Ordinary), Tries(Ordinary)]),
            ("four failures are too few", {
                let mut steps = opened();
                steps.truncate(4);
                steps.push(Tries(Ordinary));
                steps
            }),
            ("any connection starts the count again", {
                let mut steps = opened();
                steps.insert(4, Connected);
                steps.push(Tries(Ordinary));
                steps
            }),
            ("five open it, for three seconds", {
                let mut steps = opened();
                steps.extend([Rests(Some(3000)), Pass(2999), Rests(Some(1)), Pass(1)]);
                steps.extend([Tries(Trial), Rests(None), Rests(None)]);
                steps
            }),
            ("the trial closes it", {
                let mut steps = opened();
                steps.extend([Pass(5000), Tries(Trial), Connected, Tries(Ordinary)]);
                steps.extend([Failed(Ordinary), Tries(Ordinary)]);
                steps
            }),
            ("the trial opens it again", {
                let mut steps = opened();
                steps.extend([Pass(3000), Tries(Trial), Pass(1000), Failed(Trial)]);
                steps.extend([Rests(Some(3000)), Pass(3000), Tries(Trial)]);
                steps
            }),
            ("a trial that is given up leaves its place to the next", {
                let mut steps = opened();
                steps.extend([Pass(3000), Tries(Trial), Abandoned(Trial), Tries(Trial)]);
                steps.push(Rests(None));
                steps
            }),
            ("attempts from before do not prolong the rest", {
                let mut steps = opened();
                steps.extend([Pass(2000), Failed(Ordinary), Abandoned(Ordinary)]);
                steps.extend([Rests(Some(1000)), Pass(1000), Tries(Trial)]);
                steps
            }),
            ("attempts from before do not decide in the place of the trial", {
                let mut steps = opened();
                steps.extend([Pass(3000), Tries(Trial), Failed(Ordinary), Abandoned(Ordinary)]);
                steps.push(Rests(None));
                steps
            }),
            ("a connection from before closes it", {
                let mut steps = opened();
                steps.extend([Rests(Some(3000)), Connected, Tries(Ordinary)]);
                steps
            }),
        ];
        let start = Instant::now();
        for (name, steps) in table {
            let (mut circuit, mut now) = (Circuit::new(), start);
            for (number, step) in steps.into_iter().enumerate() {
                let told = || format!("{name}, step {number}");
                match step {
                    Pass(millis) => now += Duration::from_millis(millis),
                    Connected => circuit.connected(),
                    Failed(kind) => circuit.failed(kind, "refused".to_owned(), now),
                    Abandoned(kind) => circuit.abandoned(kind, now),
                    Tries(kind) => assert_eq!(circuit.attempt(now), Ok(kind), "{}", told()),
                    Rests(millis) => {
                        let resting = circuit.attempt(now).unwrap_err();
                        assert_eq!(resting.wait, millis.map(Duration::from_millis), "{}", told());
                        assert!(resting.failures >= 5 && resting.cause == "refused");
                    }
                }
            }
        }
    }

    /// A connector whose attempts end as they are told to.
    fn connector(
        breaker: &CircuitBreakerLayer,
    ) -> impl Service<oneshot::Receiver<bool>, Response = (), Error = BoxError> {
        breaker.layer(tower::service_fn(|told: oneshot::Receiver<bool>| async {
            if told.await? { Ok(()) } else { Err("refused".into()) }
        }))
    }

    async fn open(breaker: &CircuitBreakerLayer) {
        for _ in 0..FAILURE_THRESHOLD {
            let (tell, told) = oneshot::channel();
            tell.send(false).unwrap();
            connector(breaker).call(told).await.unwrap_err();
        }
        let (_tell, told) = oneshot::channel();
        let error = connector(breaker).call(told).await.unwrap_err();
        assert!(error.is::<CircuitOpen>(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_does_not_take_the_trial_with_it() {
        let breaker = CircuitBreakerLayer::new(Duration::from_secs(15));
        open(&breaker).await;
        tokio::time::sleep(OPEN_FOR).await;
        let (tell, told) = oneshot::channel();
        drop(connector(&breaker).call(told));
        tell.send(true).unwrap();
        while breaker.circuit().state == State::Trial {
            tokio::task::yield_now().await;
        }
        assert_eq!(breaker.circuit().state, State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_takes_too_long_has_failed() {
        let breaker = CircuitBreakerLayer::new(Duration::from_secs(15));
        open(&breaker).await;
        tokio::time::sleep(OPEN_FOR).await;
        let (_tell, told) = oneshot::channel();
        let error = connector(&breaker).call(told).await.unwrap_err();
        let error = error.downcast::<io::Error>().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(matches!(breaker.circuit().state, State::Open(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_panics_leaves_its_place_to_the_next() {
        let breaker = CircuitBreakerLayer::new(Duration::from_secs(15));
        open(&breaker).await;
        tokio::time::sleep(OPEN_FOR).await;
        let connect = |panics: bool| async move {
            assert!(!panics, "on purpose");
            Ok::<(), BoxError>(())
        };
        let mut broken = breaker.layer(tower::service_fn(connect));
        broken.call(true).await.unwrap_err();
        assert_eq!(breaker.attempt().unwrap().kind, Kind::Trial);
    }

    #[tokio::test]
    async fn ordinary_attempts_that_are_given_up_count_for_nothing() {
        let breaker = CircuitBreakerLayer::new(Duration::from_secs(15));
        for _ in 0..10 {
            let (_tell, told) = oneshot::channel();
            drop(connector(&breaker).call(told));
        }
        assert_eq!(breaker.circuit().failures, 0);
    }
}
