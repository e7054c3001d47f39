//! The list of models, kept fresh in the background.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};

use super::list::{List, Source};
use crate::upstream::ModelsAnswer;

/// How long a list counts as fresh; the Codex CLI uses the same.
const TTL: Duration = Duration::from_secs(300);

/// How long to leave the backend alone after it has failed to answer.
const RETRY: Duration = Duration::from_secs(30);

/// How long the backend may take; the Codex CLI gives it as much.
const FETCH: Duration = Duration::from_secs(5);

/// How long somebody waits for a newer list who could have an older one of the backend's.
const PATIENCE: Duration = Duration::from_secs(1);

/// The Codex CLI's cache holds long prompts, but is not larger than this.
const CACHE_LIMIT: u64 = 16 << 20;

type Fetch = dyn Fn() -> BoxFuture<'static, Result<ModelsAnswer, String>> + Send + Sync;

/// Who is told that the backend could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// A request, which makes do with an older list. Others leave the backend alone for a while.
    Request,
    /// Nobody waits for the list yet: whoever does asks again.
    Nobody,
}

/// The list of models, kept fresh. Clones share it.
#[derive(Clone)]
pub struct Catalogue {
    shared: Arc<Inner>,
}

struct Inner {
    fetch: Box<Fetch>,
    cache: PathBuf,
    state: Mutex<State>,
}

struct State {
    list: Arc<List>,
    /// The tag of the backend's list, if `list` is that.
    etag: Option<String>,
    /// The last other tag that answers have named. One fetch per tag is enough: the tags of lists
    /// and answers need not be of one kind.
    announced: Option<String>,
    /// When to ask the backend again.
    due: Instant,
    /// The question on its way, if it has not ended.
    flight: Option<Shared<BoxFuture<'static, ()>>>,
}

impl Catalogue {
    /// A catalogue that asks the backend by `fetch`, and falls back to `models_cache.json` in
    /// `codex_home` and then to what it knows by heart.
    pub fn new<F, R, E>(codex_home: &Path, fetch: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<ModelsAnswer, E>> + Send + 'static,
        E: std::fmt::Display,
    {
        let fetch = move || fetch().map(|answer| answer.map_err(|error| error.to_string())).boxed();
        let state = State {
            list: Arc::new(List::bundled()),
            etag: None,
            announced: None,
            due: Instant::now(),
            flight: None,
        };
        let cache = codex_home.join("models_cache.json");
        let inner = Inner { fetch: Box::new(fetch), cache, state: Mutex::new(state) };
        Self { shared: Arc::new(inner) }
    }

    /// The models there are. Never fails; waits for the backend only if the list is not fresh, and
    /// then not long.
    pub async fn list(&self) -> Arc<List> {
        let (flight, patience) = {
            let mut state = self.shared.state();
            if Instant::now() < state.due {
                return Arc::clone(&state.list);
            }
            // Reading the fallbacks comes after the fetch, hence a little more than that takes.
            let patience = match state.list.source() {
                Source::Backend => PATIENCE,
                Source::Cache | Source::Bundled => FETCH + PATIENCE,
            };
            (self.flight(&mut state, Asker::Request), patience)
        };
        // The flight goes on if this wait ends first: the next caller finds the newer list.
        let _ = timeout(patience, flight).await;
        Arc::clone(&self.shared.state().list)
    }

    /// Whether nobody has to ask for the list now.
    pub fn is_fresh(&self) -> bool {
        Instant::now() < self.shared.state().due
    }

    /// Asks for the list ahead of the first request, unless it is fresh, and does not wait for it.
    pub fn prepare(&self) {
        self.begin(Asker::Nobody);
    }

    /// Asks for the list unless it is fresh, on behalf of a request that will want it in a moment.
    pub fn announce(&self) {
        self.begin(Asker::Request);
    }

    fn begin(&self, asker: Asker) {
        let mut state = self.shared.state();
        if state.due <= Instant::now() {
            // It goes on by itself.
            drop(self.flight(&mut state, asker));
        }
    }

    /// Takes note of the tag that an answer of the backend gave its list of models
    /// (`x-models-etag`): an unchanged list stays fresh, a changed one is asked for next time.
    pub fn observe_etag(&self, etag: &str) {
        let mut state = self.shared.state();
        let etag = opaque(etag);
        if state.etag.as_deref() == Some(etag) {
            state.due = Instant::now() + TTL;
        } else if state.announced.as_deref() != Some(etag) {
            state.announced = Some(etag.to_owned());
            state.due = Instant::now();
        }
    }

    /// The question on its way to the backend, a new one if there is none.
    fn flight(&self, state: &mut State, asker: Asker) -> Shared<BoxFuture<'static, ()>> {
        // It has to be looked at: that it has ended need not have been seen by anybody.
        let is_under_way = |flight: &Shared<_>| flight.clone().now_or_never().is_none();
        let on_its_way = state.flight.take().filter(is_under_way);
        let flight = on_its_way.unwrap_or_else(|| {
            let inner = Arc::clone(&self.shared);
            // A task of its own, so that it outlives a caller who goes away.
            let task = tokio::spawn(async move { inner.refresh(asker).await });
            task.map(|_| ()).boxed().shared()
        });
        state.flight = Some(flight.clone());
        flight
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(&self, asker: Asker) {
        let answer = match timeout(FETCH, (self.fetch)()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", FETCH.as_secs())),
        };
        let read = answer.and_then(|ModelsAnswer { body, etag }| {
            let list = List::parse(&body, Source::Backend);
            Ok((list.ok_or("the answer lists no models")?, etag))
        });
        match read {
            Ok((list, etag)) => {
                let mut state = self.state();
                state.list = Arc::new(list);
                state.etag = etag.as_deref().map(opaque).map(str::to_owned);
                state.due = Instant::now() + TTL;
            }
            Err(error) => {
                let fallback = self.fallback().await;
                let mut state = self.state();
                if let Some(list) = fallback {
                    state.list = Arc::new(list);
                }
                if asker == Asker::Nobody {
                    tracing::info!(%error, "cannot get the list of models ahead of requests");
                    return;
                }
                state.due = Instant::now() + RETRY;
                let source = state.list.source();
                tracing::warn!(%error, in_use = ?source, "cannot get the list of models");
            }
        }
    }

    /// The Codex CLI's cache, unless the backend's own list is there.
    async fn fallback(&self) -> Option<List> {
        if self.state().list.source() == Source::Backend {
            return None;
        }
        let path = self.cache.clone();
        let read = move || {
            let is_sane = std::fs::metadata(&path).ok()?.len() <= CACHE_LIMIT;
            // The cache wraps the same array in the same key as the backend.
            List::parse(&std::fs::read(&path).ok().filter(|_| is_sane)?, Source::Cache)
        };
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }
}

/// A tag without what only says how it may be compared.
fn opaque(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue").field("list", &self.shared.state().list).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tempfile::TempDir;
    use tokio::sync::Semaphore;

    use super::*;

    /// A backend that gives these answers, one after the other, and then fails.
    #[derive(Clone, Default)]
    struct Backend {
        answers: Arc<Mutex<VecDeque<(&'static str, &'static str)>>>,
        asked: Arc<Mutex<usize>>,
        gate: Option<Arc<Semaphore>>,
    }

    impl Backend {
        fn answering(answers: &[(&'static str, &'static str)]) -> Self {
            let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
            Self { answers, ..Self::default() }
        }

        async fn answer(self) -> Result<ModelsAnswer, &'static str> {
            *self.asked.lock().unwrap() += 1;
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            let (slug, etag) = self.answers.lock().unwrap().pop_front().ok_or("out of order")?;
            Ok(ModelsAnswer { body: models(slug).into(), etag: Some(etag.to_owned()) })
        }

        fn asked(&self) -> usize {
            *self.asked.lock().unwrap()
        }
    }

    fn models(slug: &str) -> String {
        format!(r#"{{"models": [{{"slug": "{slug}", "visibility": "list"}}]}}"#)
    }

    fn catalogue(backend: &Backend) -> (Catalogue, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let backend = backend.clone();
        (Catalogue::new(folder.path(), move || backend.clone().answer()), folder)
    }

    async fn first(catalogue: &Catalogue) -> String {
        catalogue.list().await.first().unwrap().slug.clone()
    }

    fn expire(catalogue: &Catalogue) {
        catalogue.shared.state().due = Instant::now();
    }

    #[tokio::test]
    async fn a_fresh_list_is_not_asked_for_again() {
        let backend = Backend::answering(&[("one", "1"), ("two", "2")]);
        let (catalogue, _folder) = catalogue(&backend);
        assert_eq!(first(&catalogue).await, "one");
        assert_eq!(first(&catalogue.clone()).await, "one");
        assert_eq!(backend.asked(), 1);
        let left = catalogue.shared.state().due - Instant::now();
        assert!(left > TTL / 2 && left <= TTL, "{left:?}");
        expire(&catalogue);
        assert_eq!(first(&catalogue).await, "two");
    }

    #[tokio::test]
    async fn a_changed_tag_asks_again_and_the_same_one_renews() {
        let backend = Backend::answering(&[("one", "W/\"1\""), ("two", "2"), ("three", "3")]);
        let (catalogue, _folder) = catalogue(&backend);
        assert_eq!(first(&catalogue).await, "one");
        catalogue.observe_etag("2");
        assert_eq!(first(&catalogue).await, "two");

        expire(&catalogue);
        catalogue.observe_etag("\"2\"");
        assert_eq!(first(&catalogue).await, "two");
        assert_eq!(backend.asked(), 2);
    }

    #[tokio::test]
    async fn a_tag_that_never_matches_asks_only_once() {
        let backend = Backend::answering(&[("one", "1"), ("two", "1"), ("three", "1")]);
        let (catalogue, _folder) = catalogue(&backend);
        first(&catalogue).await;
        for _ in 0..5 {
            catalogue.observe_etag("of another kind");
            first(&catalogue).await;
        }
        assert_eq!(backend.asked(), 2);
    }

    #[tokio::test]
    async fn many_callers_make_one_question() {
        let backend = Backend {
            gate: Some(Arc::new(Semaphore::new(0))),
            ..Backend::answering(&[("one", "1"), ("two", "2")])
        };
        let (catalogue, _folder) = catalogue(&backend);
        let callers = futures_util::future::join_all((0..20).map(|_| first(&catalogue)));
        let open = async { backend.gate.as_ref().unwrap().add_permits(20) };
        let (slugs, ()) = tokio::join!(callers, open);
        assert!(slugs.iter().all(|slug| slug == "one"), "{slugs:?}");
        assert_eq!(backend.asked(), 1);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_does_not_stop_the_question() {
        let gate = Arc::new(Semaphore::new(0));
        let backend =
            Backend { gate: Some(Arc::clone(&gate)), ..Backend::answering(&[("one", "1")]) };
        let (catalogue, _folder) = catalogue(&backend);
        assert!(catalogue.list().now_or_never().is_none());
        gate.add_permits(1);
        assert_eq!(first(&catalogue).await, "one");
        assert_eq!(backend.asked(), 1);
    }

    #[tokio::test]
    async fn the_last_good_list_outlives_failures_which_are_not_repeated_at_once() {
        let backend = Backend::answering(&[("one", "1")]);
        let (catalogue, folder) = catalogue(&backend);
        std::fs::write(folder.path().join("models_cache.json"), models("cached")).unwrap();
        first(&catalogue).await;
        expire(&catalogue);
        for _ in 0..3 {
            assert_eq!(first(&catalogue).await, "one");
        }
        assert_eq!(backend.asked(), 2);
    }

    #[tokio::test]
    async fn without_a_good_list_the_codex_cli_s_cache_serves_and_then_the_bundled_list() {
        let cases = [
            (
                Some(
                    r#"{"fetched_at": "2026-08-11T07:03:00Z", "etag": "x", "client_version": "1",
                         "models": [{"slug": "cached", "visibility": "list"}, 3]}"#,
                ),
                Source::Cache,
            ),
            (Some("{\"models\": []}"), Source::Bundled),
            (Some("half"), Source::Bundled),
            (None, Source::Bundled),
        ];
        for (cache, expected) in cases {
            let (catalogue, folder) = catalogue(&Backend::default());
            if let Some(cache) = cache {
                std::fs::write(folder.path().join("models_cache.json"), cache).unwrap();
            }
            let list = catalogue.list().await;
            assert_eq!(list.source(), expected, "{cache:?}");
            assert!(list.first().is_some());
        }
    }

    #[tokio::test]
    async fn a_list_that_was_asked_for_ahead_is_not_asked_for_again() {
        let gate = Arc::new(Semaphore::new(0));
        let backend = Backend {
            gate: Some(Arc::clone(&gate)),
            ..Backend::answering(&[("one", "1"), ("two", "2")])
        };
        let (catalogue, _folder) = catalogue(&backend);
        for _ in 0..2 {
            catalogue.prepare();
            catalogue.announce();
        }
        gate.add_permits(2);
        assert_eq!(first(&catalogue).await, "one");
        catalogue.prepare();
        catalogue.announce();
        assert_eq!(first(&catalogue).await, "one");
        assert_eq!(backend.asked(), 1);
    }

    #[tokio::test]
    async fn a_question_whose_end_nobody_has_seen_does_not_stand_for_the_next() {
        let backend = Backend::answering(&[("one", "1"), ("two", "2")]);
        let (catalogue, _folder) = catalogue(&backend);
        catalogue.prepare();
        while catalogue.shared.state().list.source() != Source::Backend {
            tokio::task::yield_now().await;
        }
        expire(&catalogue);
        assert_eq!(first(&catalogue).await, "two");
    }

    #[tokio::test]
    async fn a_failure_ahead_of_requests_leaves_them_to_ask_and_one_on_their_behalf_does_not() {
        for (is_ahead, asked) in [(true, 2), (false, 1)] {
            let backend = Backend::default();
            let (catalogue, _folder) = catalogue(&backend);
            if is_ahead {
                catalogue.prepare();
            } else {
                catalogue.announce();
            }
            let flight = catalogue.shared.state().flight.clone().unwrap();
            flight.await;
            for _ in 0..2 {
                assert_eq!(catalogue.list().await.source(), Source::Bundled);
            }
            assert_eq!(backend.asked(), asked);
        }
    }

    #[tokio::test]
    async fn an_answer_without_models_counts_as_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let fetch = || async {
            Ok::<_, String>(ModelsAnswer { body: "{\"models\": []}".into(), etag: None })
        };
        let catalogue = Catalogue::new(folder.path(), fetch);
        assert_eq!(catalogue.list().await.source(), Source::Bundled);
    }

    #[tokio::test]
    async fn a_question_that_panics_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let asked = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&asked);
        let catalogue = Catalogue::new(folder.path(), move || {
            *counter.lock().unwrap() += 1;
            async { Err::<ModelsAnswer, _>(String::from_utf8(vec![255]).unwrap()) }
        });
        for _ in 0..2 {
            assert_eq!(catalogue.list().await.source(), Source::Bundled);
        }
        assert_eq!(*asked.lock().unwrap(), 2);
    }
}
