//! Clients that stop reading, with very much still to come.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use reqwest::Response;
use tokio::time::{Instant, sleep};

use crate::answer::Arrived;
use crate::client::connections;
use crate::daemon::Daemon;
use crate::events;
use crate::figures::forget_peak;
use crate::judge::{Verdict, judge};
use crate::ledger::Mode;
use crate::mark::{Talk, Turn};
use crate::request::Conversation;
use crate::sign_in::SignIn;
use crate::upstream::{FLOOD_PIECE, Upstream};
use crate::{alone, millis, number};

/// What each of them would have to read: more than the system's buffers take on the way.
const PENDING: usize = 40 << 20;

/// What each of them may take up in the daemon for buffers.
const MOST_BUFFERED: u64 = 1 << 20;

/// How often the daemon holds the text of an answer until the answer ends: to tell what is missing
/// when the whole of it comes, and to remember the turn.
const COPIES: u64 = 2;

/// Every so many of them reads on in the end; the others leave.
const READS_ON: usize = 50;

/// How many calls are timed.
const CALLS: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stop_reading_cost_little_and_hurt_nobody() {
    let _alone = alone().await;
    let count = usize::try_from(number("CODEX_PROXY_TEST_PAUSED", 20)).unwrap();
    let sign_in = Arc::new(SignIn::start().await);
    let upstream = Upstream::start(Arc::clone(&sign_in), 1).await;
    let mut daemon = Daemon::start(&upstream, &sign_in, "");
    let test = Test { url: format!("{}/chat/completions", daemon.url), upstream };
    test.first_bytes(0).await;
    let before = daemon.at_rest(&test.upstream, &sign_in, None).await;
    let alone = test.first_bytes(1).await;
    forget_peak(daemon.pid());

    let paused = test.pause(count).await;
    let held = daemon.figures();
    let beside = test.first_bytes(2).await;
    assert_eq!(test.upstream.open(), count, "{}", daemon.details());
    let taken = test.upstream.flooded() / count;
    for (client, response) in paused {
        if client % READS_ON == 0 {
            test.read_on(client, response).await;
        }
    }
    let after = daemon.at_rest(&test.upstream, &sign_in, Some(before)).await;

    let each = held.rss.saturating_sub(before.rss) / count as u64;
    eprintln!(
        "{count} clients that do not read {PENDING} bytes: {each} bytes each in the daemon, {taken} \
         taken from the backend for each (the rest is in the system's buffers); first bytes of \
         another call after {alone:?} before and {beside:?} meanwhile\n\
         before: {before}\nheld:   {held}\nafter:  {after}"
    );
    let wrong = [test.upstream.ledger.wrongs(), daemon.alarms()].concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(after.open(), before.open(), "{}", daemon.details());
    // One for each of the pools that so many calls take.
    assert!(after.tasks <= before.tasks + count.div_ceil(90), "{}", daemon.details());
    // What the system has buffered towards the client went through the daemon.
    let most = MOST_BUFFERED + COPIES * largest_send_buffer();
    assert!(each <= most, "{each} bytes for each client, more than {most}");
    // Between two so short times the machine's other work decides.
    let limit = 3 * alone.max(millis(10));
    assert!(beside <= limit, "first bytes after {beside:?}, with nobody else after {alone:?}");
}

/// How much the system buffers of what a process sends over one connection, at most.
fn largest_send_buffer() -> u64 {
    let sizes = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").unwrap();
    sizes.split_whitespace().last().unwrap().parse().unwrap()
}

struct Test {
    url: String,
    upstream: Upstream,
}

impl Test {
    /// Asks for a stream and gives the answer's head.
    async fn ask(&self, http: &reqwest::Client, turn: Turn, mode: Mode) -> Response {
        let mut conversation = Conversation::plain();
        conversation.ask(turn, &mut Rng::with_seed(0));
        self.upstream.ledger.ask(turn, mode);
        let response = http.post(&self.url).body(conversation.body(true)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response
    }

    /// How long short calls take until the first bytes of their answers have come: the median.
    async fn first_bytes(&self, talk: u32) -> Duration {
        let http = connections();
        let mut times = Vec::new();
        for turn in 0..CALLS {
            let turn = Turn { talk: Talk { client: u32::MAX, number: talk }, turn };
            let start = Instant::now();
            let mut response = self.ask(&http, turn, Mode::Prompt).await;
            let mut arrived = Arrived::default();
            let first = response.chunk().await.unwrap().unwrap();
            times.push(start.elapsed());
            arrived.push(&first).unwrap();
            while let Some(piece) = response.chunk().await.unwrap() {
                arrived.push(&piece).unwrap();
            }
            let attempts = self.upstream.ledger.close(turn);
            assert_eq!(judge(&arrived, turn, 1, &attempts), Ok(Verdict::Complete));
        }
        times.sort();
        times[times.len() / 2]
    }

    /// So many clients with the heads of their answers, when nothing more is taken for them.
    async fn pause(&self, count: usize) -> Vec<(usize, Response)> {
        let http = connections();
        let mut paused = Vec::new();
        for client in 0..count {
            paused.push((client, self.ask(&http, flood(client), Mode::Flood(PENDING)).await));
        }
        let (mut last, mut calm) = (0, 0);
        while calm < 20 {
            sleep(millis(50)).await;
            let taken = self.upstream.flooded();
            calm = if taken == last { calm + 1 } else { 0 };
            last = taken;
        }
        paused
    }

    /// Reads an answer to its end. Nothing of it may be missing.
    async fn read_on(&self, client: usize, mut response: Response) {
        let turn = flood(client);
        let mark = turn.answered(0);
        let mut arrived = Arrived::default();
        let mut number = 0;
        while let Some(piece) = response.chunk().await.unwrap() {
            arrived.push(&piece).unwrap();
            let Some(choice) = arrived.choices.get_mut(&0) else { continue };
            // What was compared is not kept.
            while choice.text.len() >= FLOOD_PIECE {
                let expected = events::piece(mark, number, FLOOD_PIECE);
                assert!(choice.text.starts_with(&expected), "piece {number} of {mark}");
                choice.text.drain(..expected.len());
                number += 1;
            }
        }
        let rest = arrived.choices[&0].text.clone();
        assert_eq!(rest, events::piece(mark, number, FLOOD_PIECE)[..rest.len()]);
        let read_up = number + usize::from(!rest.is_empty());
        assert_eq!(read_up, PENDING / FLOOD_PIECE);
        assert!(arrived.is_over && arrived.error.is_none());
        assert_eq!(arrived.choices[&0].finish.as_deref(), Some("stop"));
    }
}

fn flood(client: usize) -> Turn {
    let client = u32::try_from(client).unwrap();
    Turn { talk: Talk { client, number: 0 }, turn: 0 }
}
