//! The list of models, kept fresh in the background.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};

use super::list::{List, Source};
use crate::plain_file;
use crate::single_flight::{Flight, SingleFlight};
use crate::upstream::ModelsAnswer;

/// How long a list counts as fresh; the Codex CLI uses the same.
const TTL: Duration = Duration::from_secs(300);

/// How long to leave the backend alone after it has failed to answer.
const RETRY: Duration = Duration::from_secs(30);

/// How long the backend may take; the Codex CLI gives it as much.
const FETCH: Duration = Duration::from_secs(5);

/// How long somebody waits who asks for the list itself, or for the first model of it, where the one
/// at hand is not the backend's.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long after a question another one waits that is asked because of a new tag: machines of the
/// backend that disagree name one tag after another.
const TAG_PAUSE: Duration = Duration::from_secs(60);

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
    flights: SingleFlight<()>,
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
    /// Until when the list is the backend's own and a fresh one; nothing if it is not.
    current: Option<Instant>,
    /// When the backend was asked last.
    asked: Option<Instant>,
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
        let cache = codex_home.join("models_cache.json");
        let state = State {
            list: Arc::new(read_cache(&cache).unwrap_or_else(List::bundled)),
            etag: None,
            announced: None,
            due: Instant::now(),
            current: None,
            asked: None,
        };
        let inner = Inner {
            fetch: Box::new(fetch),
            cache,
            flights: SingleFlight::default(),
            state: Mutex::new(state),
        };
        Self { shared: Arc::new(inner) }
    }

    /// The models there are, for somebody who asks for the list or for its first model. Never fails, and waits only as long
    /// as there is nothing of the backend's, and then not long.
    pub async fn list(&self) -> Arc<List> {
        let flight = {
            let mut state = self.shared.state();
            let flight = self.flight_if_due(&mut state);
            match flight {
                Some(flight) if state.list.source() != Source::Backend => flight,
                _ => return Arc::clone(&state.list),
            }
        };
        // The flight goes on if this wait ends first: the next caller finds the newer list.
        let _ = timeout(FETCH_TIMEOUT, flight).await;
        Arc::clone(&self.shared.state().list)
    }

    /// The list at hand, whichever that is. If it is not fresh, the backend is asked meanwhile.
    pub fn at_hand(&self) -> Arc<List> {
        let mut state = self.shared.state();
        drop(self.flight_if_due(&mut state));
        Arc::clone(&state.list)
    }

    /// The newest list that can be had, for somebody who looks for what the one at hand lacks; and
    /// whether it is current, the backend's own and a fresh one. Waits for the backend if it is to
    /// be asked.
    pub async fn newest(&self) -> (Arc<List>, bool) {
        let flight = self.flight_if_due(&mut self.shared.state());
        if let Some(flight) = flight {
            // Reading the fallbacks comes after the fetch, hence a little more than that takes.
            let _ = timeout(FETCH + FETCH_TIMEOUT, flight).await;
        }
        let state = self.shared.state();
        let is_current = state.current.is_some_and(|until| Instant::now() < until);
        (Arc::clone(&state.list), is_current)
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
    /// (`x-models-etag`): an unchanged list stays fresh, a changed one is asked for, but not
    /// more than once a minute.
    pub fn observe_etag(&self, etag: &str) {
        let mut state = self.shared.state();
        let etag = opaque(etag);
        if state.etag.as_deref() == Some(etag) {
            let until = Instant::now() + TTL;
            state.due = until;
            state.current = Some(until);
        } else if state.announced.as_deref() != Some(etag) {
            state.announced = Some(etag.to_owned());
            let now = Instant::now();
            let earliest = state.asked.map_or(now, |asked| now.max(asked + TAG_PAUSE));
            state.due = state.due.min(earliest);
        }
    }

    /// The question to the backend, if it is to be asked now.
    fn flight_if_due(&self, state: &mut State) -> Option<Flight<()>> {
        (state.due <= Instant::now()).then(|| self.flight(state, Asker::Request))
    }

    /// The question on its way to the backend, a new one if there is none.
    fn flight(&self, state: &mut State, asker: Asker) -> Flight<()> {
        let inner = Arc::clone(&self.shared);
        let refresh = || async move { inner.refresh(asker).await };
        let (flight, is_new) = self.shared.flights.join_or_start(refresh);
        if is_new {
            state.asked = Some(Instant::now());
        }
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
                let until = Instant::now() + TTL;
                state.due = until;
                state.current = Some(until);
            }
            Err(error) => {
                let fallback = self.fallback().await;
                let mut state = self.state();
                if let Some(list) = fallback {
                    state.list = Arc::new(list);
                }
                if asker == Asker::Nobody {
                    tracing::info!(%error, "cannot get the list of models in advance");
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
        tokio::task::spawn_blocking(move || read_cache(&path)).await.ok().flatten()
    }
}

/// The list in the Codex CLI's cache, which wraps the same array in the same key as the backend.
fn read_cache(path: &Path) -> Option<List> {
    List::parse(&plain_file::read(path, CACHE_LIMIT).ok()?, Source::Cache)
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
    use tokio::time::advance;

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

    /// The first model of the newest list.
    async fn first(catalogue: &Catalogue) -> String {
        catalogue.newest().await.0.first().unwrap().slug.clone()
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

    #[tokio::test(start_paused = true)]
    async fn a_changed_tag_asks_again_after_a_while_and_the_same_one_renews() {
        let backend = Backend::answering(&[("one", "W/\"1\""), ("two", "2"), ("three", "3")]);
        let (catalogue, _folder) = catalogue(&backend);
        assert_eq!(first(&catalogue).await, "one");
        catalogue.observe_etag("2");
        assert_eq!(first(&catalogue).await, "one");
        advance(TAG_PAUSE).await;
        assert_eq!(first(&catalogue).await, "two");

        expire(&catalogue);
        catalogue.observe_etag("\"2\"");
        assert_eq!(first(&catalogue).await, "two");
        assert_eq!(backend.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_that_never_matches_asks_only_once() {
        let backend = Backend::answering(&[("one", "1"), ("two", "1"), ("three", "1")]);
        let (catalogue, _folder) = catalogue(&backend);
        first(&catalogue).await;
        for _ in 0..5 {
            catalogue.observe_etag("of another kind");
            advance(TAG_PAUSE / 4).await;
            first(&catalogue).await;
        }
        assert_eq!(backend.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn tags_that_change_all_the_time_ask_once_a_minute_and_nobody_waits() {
        let answers: Vec<_> = (0..100).map(|_| ("one", "1")).collect();
        let backend = Backend::answering(&answers);
        let (catalogue, _folder) = catalogue(&backend);
        first(&catalogue).await;
        let begin = Instant::now();
        for second in 1..=600 {
            advance(Duration::from_secs(1)).await;
            catalogue.observe_etag(["2", "3"][second % 2]);
            let before = Instant::now();
            catalogue.at_hand();
            assert_eq!(before, Instant::now());
            tokio::task::yield_now().await;
        }
        assert_eq!(begin.elapsed(), Duration::from_secs(600));
        assert_eq!(backend.asked(), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_hangs_is_waited_for_only_by_who_lacks_a_model() {
        let hanging = Backend { gate: Some(Arc::new(Semaphore::new(0))), ..Backend::default() };
        let hanging = || hanging.clone();
        for cache in [None, Some(models("cached"))] {
            let folder = tempfile::tempdir().unwrap();
            if let Some(cache) = &cache {
                std::fs::write(folder.path().join("models_cache.json"), cache).unwrap();
            }
            let backend = Backend { asked: Arc::default(), ..hanging() };
            let asking = backend.clone();
            let catalogue = Catalogue::new(folder.path(), move || asking.clone().answer());
            let begin = Instant::now();
            let expected = if cache.is_some() { Source::Cache } else { Source::Bundled };
            for _ in 0..3 {
                assert_eq!(catalogue.at_hand().source(), expected);
            }
            assert_eq!(begin.elapsed(), Duration::ZERO);
            let (list, is_current) = catalogue.newest().await;
            assert_eq!((list.source(), is_current), (expected, false));
            assert_eq!(begin.elapsed(), FETCH);
            // It is left alone for a while, and nobody waits then.
            for _ in 0..3 {
                catalogue.newest().await;
                catalogue.list().await;
            }
            assert_eq!((begin.elapsed(), backend.asked()), (FETCH, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_list_serves_while_a_new_one_is_fetched_and_is_not_current() {
        let gate = Arc::new(Semaphore::new(1));
        let backend = Backend {
            gate: Some(Arc::clone(&gate)),
            ..Backend::answering(&[("one", "1"), ("two", "2")])
        };
        let (catalogue, _folder) = catalogue(&backend);
        assert!(catalogue.newest().await.1);
        advance(TTL).await;
        let begin = Instant::now();
        assert_eq!(catalogue.list().await.first().unwrap().slug, "one");
        assert_eq!(catalogue.at_hand().first().unwrap().slug, "one");
        assert_eq!(begin.elapsed(), Duration::ZERO);
        // The backend does not answer: a name that the list lacks may be a newer one.
        assert!(!catalogue.newest().await.1);
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
        assert!(catalogue.newest().now_or_never().is_none());
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
            let flight = catalogue.shared.flights.under_way().unwrap();
            flight.await.unwrap();
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
