//! Everything at once, for a while; then it has to be as if nothing had been.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Client, Tally, connections};
use crate::daemon::Daemon;
use crate::figures::{Figures, Mib, forget_peak};
use crate::ledger::Ledger;
use crate::sign_in::SignIn;
use crate::upstream::Upstream;
use crate::{alone, number};

/// The backend's silences end soon, and the memory of turns is full after the warm-up: what grows
/// later is no memory of turns.
const SETTINGS: &str = "idle_timeout_secs = 4\n[continuity]\nmax_bytes = 1048576\n";

/// The daemon's pools of connections: one to the sign-in service, and to the backend one for every
/// 90 calls. Once in use, each has a task that looks for connections that were idle for too long.
const POOLS: usize = 1 + 5;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_and_nothing_is_mixed_up() {
    let _alone = alone().await;
    let load = Duration::from_secs(number("CODEX_PROXY_TEST_SOAK_SECS", 8));
    // Long enough for every kind of call to have happened, and every buffer to have grown.
    let warm_up = (load / 4).clamp(Duration::from_secs(4), Duration::from_secs(120));
    let seed = number("CODEX_PROXY_TEST_SEED", 1);
    let sign_in = Arc::new(SignIn::start().await);
    let upstream = Upstream::start(Arc::clone(&sign_in), seed).await;
    let mut daemon = Daemon::start(&upstream, &sign_in, SETTINGS);
    let service = Arc::clone(&sign_in);
    let trouble = tokio::spawn(async move { service.trouble().await });
    let fresh = daemon.at_rest(&upstream, &sign_in, None).await;

    let mut clients = Clients::new(&daemon, &upstream, seed);
    clients.load(warm_up).await;
    let warm = daemon.at_rest(&upstream, &sign_in, None).await;
    forget_peak(daemon.pid());
    let (renewals, calls) = (sign_in.renewals(), upstream.calls());
    let tally = clients.load(load).await;
    let end = daemon.at_rest(&upstream, &sign_in, Some(warm)).await;
    trouble.abort();

    let mut table = format!("{}\n", report(&tally, load));
    let _ = write!(
        table,
        "calls to the backend {}, with remembered turns {} (since the start), renewals of the \
         login {}\nfresh:  {fresh}\nwarm:   {warm}\nloaded: {end}",
        upstream.calls() - calls,
        upstream.recalled(),
        sign_in.renewals() - renewals,
    );
    eprintln!("{table}");

    let mut wrong = upstream.ledger.wrongs();
    wrong.extend(daemon.alarms());
    wrong.extend(sign_in.misuses());
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), first(&wrong));
    assert_eq!(upstream.open(), 0, "calls that nobody waits for go on");
    for (name, figures) in [("warm-up", warm), ("load", end)] {
        let details = daemon.details();
        assert_eq!(figures.open(), fresh.open(), "what is open after the {name}; {details}");
        let most = fresh.tasks + POOLS;
        assert!(figures.tasks <= most, "{} tasks after the {name}; {details}", figures.tasks);
    }
    is_no_larger(warm, end);
    assert!(tally.complete > tally.requests / 3, "there was something to check");
    assert!(tally.left > 0 && tally.errors.len() > 5 && upstream.recalled() > 0);
}

/// Memory may not have grown by more than a tenth, and what threads that are about to end keep.
fn is_no_larger(warm: Figures, end: Figures) {
    const KEPT: u64 = 2 << 20;

    let most = warm.rss + warm.rss / 10 + KEPT;
    assert!(end.rss <= most, "{} are resident, more than {}", Mib(end.rss), Mib(most));
}

/// The first few of many lines.
fn first(lines: &[String]) -> String {
    lines.iter().take(20).map(|line| format!("  {line}\n")).collect()
}

/// All clients, from phase to phase.
struct Clients {
    url: String,
    ledger: Arc<Ledger>,
    seed: u64,
    /// The number of the next conversation of each.
    next: BTreeMap<u32, u32>,
}

impl Clients {
    fn new(daemon: &Daemon, upstream: &Upstream, seed: u64) -> Self {
        let count = u32::try_from(number("CODEX_PROXY_TEST_CLIENTS", 200)).unwrap();
        let next = (0..count).map(|number| (number, 0)).collect();
        Self { url: daemon.url.clone(), ledger: Arc::clone(&upstream.ledger), seed, next }
    }

    /// Lets all of them talk for a while; then all of them have their answers and are gone.
    async fn load(&mut self, time: Duration) -> Tally {
        let until = Instant::now() + time;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut all = JoinSet::new();
        let http = connections();
        for (&number, &next) in &self.next {
            let (ledger, tally) = (Arc::clone(&self.ledger), Arc::clone(&tally));
            let client = Client::new(http.clone(), &self.url, number, ledger, tally);
            let seed = self.seed;
            all.spawn(async move { (number, client.talk(next, seed, until).await) });
        }
        self.next = all.join_all().await.into_iter().collect();
        Arc::into_inner(tally).unwrap().into_inner().unwrap()
    }
}

/// What became of the requests, as a table.
fn report(tally: &Tally, time: Duration) -> String {
    let Tally { requests, complete, left, errors, longest } = tally;
    let mut table = format!(
        "{requests} requests in {} s: {complete} complete, {left} left by their clients, {} \
         errors; the longest took {:.1} s",
        time.as_secs(),
        errors.values().sum::<u64>(),
        longest.as_secs_f32()
    );
    for (name, count) in errors {
        let _ = write!(table, "\n{count:>8}  {name}");
    }
    table
}
