//! Very many slow streams at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::answer::Arrived;
use crate::client::connections;
use crate::daemon::Daemon;
use crate::figures::{Mib, forget_peak};
use crate::judge::{Verdict, judge};
use crate::ledger::Mode;
use crate::mark::{Talk, Turn};
use crate::request::Conversation;
use crate::sign_in::SignIn;
use crate::upstream::Upstream;
use crate::{alone, millis, number};

/// What a stream may take up in the daemon. With few streams what the allocator takes in advance
/// is a part of it.
const MOST_EACH: u64 = 48 << 10;

/// What the daemon may take up as a whole, with 5000 of them.
const MOST: u64 = 250 << 20;

/// How many streams are opened at a time.
const AT_A_TIME: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_slow_streams_are_held_at_once() {
    let _alone = alone().await;
    let count = usize::try_from(number("CODEX_PROXY_TEST_STREAMS", 200)).unwrap();
    // A stream has two connections, and this process and the daemon hold two ends each.
    let needed = 2 * count as u64 + 200;
    let allowed = rlimit::increase_nofile_limit(needed).unwrap();
    if allowed < needed {
        eprintln!("SKIPPED: {count} streams need {needed} descriptors, and {allowed} are allowed");
        return;
    }
    let sign_in = Arc::new(SignIn::start().await);
    let upstream = Upstream::start(Arc::clone(&sign_in), 1).await;
    let mut daemon = Daemon::start(&upstream, &sign_in, "");
    // What happens once has happened before anything is measured.
    let few = Streams::open(&daemon, &upstream, 0, 10).await;
    few.end(&upstream).await;
    let before = daemon.at_rest(&upstream, &sign_in, None).await;
    forget_peak(daemon.pid());

    let many = Streams::open(&daemon, &upstream, 1, count).await;
    assert_eq!(upstream.open(), count, "{}", daemon.details());
    let held = daemon.figures();
    many.end(&upstream).await;
    let after = daemon.at_rest(&upstream, &sign_in, Some(before)).await;

    let each = held.rss.saturating_sub(before.rss) / count as u64;
    eprintln!(
        "{count} streams: {each} bytes each\nbefore: {before}\nheld:   {held}\nafter:  {after}"
    );
    let wrong = [upstream.ledger.wrongs(), daemon.alarms()].concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(after.open(), before.open(), "{}", daemon.details());
    // One for each of the pools that so many calls take.
    assert!(after.tasks <= before.tasks + count.div_ceil(90), "{}", daemon.details());
    assert!(each <= MOST_EACH, "{each} bytes for each stream");
    assert!(held.rss < MOST, "{} are resident", Mib(held.rss));
}

/// Streams that have begun and go on.
struct Streams(JoinSet<Result<Verdict, String>>);

impl Streams {
    /// Opens so many and waits until each has had two deltas.
    async fn open(daemon: &Daemon, upstream: &Upstream, talk: u32, count: usize) -> Self {
        upstream.finish(false);
        let http = connections();
        let alive = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(AT_A_TIME));
        let mut streams = JoinSet::new();
        for client in 0..u32::try_from(count).unwrap() {
            let turn = Turn { talk: Talk { client, number: talk }, turn: 0 };
            let mut conversation = Conversation::plain();
            conversation.ask(turn, &mut Rng::with_seed(0));
            upstream.ledger.ask(turn, Mode::Slow);
            let request =
                http.post(format!("{}/chat/completions", daemon.url)).body(conversation.body(true));
            let (gate, alive) = (Arc::clone(&gate), Arc::clone(&alive));
            let ledger = Arc::clone(&upstream.ledger);
            streams.spawn(async move {
                let permit = gate.acquire().await.unwrap();
                let mut response = request.send().await.map_err(|error| format!("{error:?}"))?;
                drop(permit);
                let mut arrived = Arrived::default();
                let mut was_alive = false;
                while let Some(piece) =
                    response.chunk().await.map_err(|error| format!("{error:?}"))?
                {
                    arrived.push(&piece)?;
                    let text = arrived.choices.get(&0).map_or("", |choice| &choice.text);
                    if !was_alive && text.contains("piece 1 ") {
                        was_alive = true;
                        alive.fetch_add(1, Ordering::Relaxed);
                    }
                }
                let attempts = ledger.close(turn);
                judge(&arrived, turn, 1, &attempts)
            });
        }
        let start = Instant::now();
        while alive.load(Ordering::Relaxed) < count {
            if let Some(ended) = streams.try_join_next() {
                panic!("a stream has ended: {ended:?}; {}", daemon.details());
            }
            let alive = alive.load(Ordering::Relaxed);
            assert!(start.elapsed() < Duration::from_secs(180), "only {alive} are alive");
            sleep(millis(20)).await;
        }
        Self(streams)
    }

    /// Lets all of them come to their ends, which have to be proper.
    async fn end(self, upstream: &Upstream) {
        upstream.finish(true);
        for verdict in self.0.join_all().await {
            assert_eq!(verdict, Ok(Verdict::Complete));
        }
    }
}
