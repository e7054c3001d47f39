//! A client: asks, reads fast or slowly or not at all, and sometimes leaves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use reqwest::Response;
use tokio::time::{Instant, sleep, timeout};

use crate::answer::{Arrived, Choice};
use crate::judge::{Verdict, judge, own_so_far};
use crate::ledger::{Ledger, Mode};
use crate::mark::{Talk, Turn, marks};
use crate::millis;
use crate::request::Conversation;

/// Longer than any answer takes that comes to an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of all requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) complete: u64,
    pub(crate) left: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    /// The longest time that somebody who stayed had to wait for an answer's end.
    pub(crate) longest: Duration,
}

/// A client of the daemon.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    number: u32,
    ledger: Arc<Ledger>,
    tally: Arc<Mutex<Tally>>,
}

/// When a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    Never,
    /// So long after it has asked, whatever has come by then.
    After(Duration),
    /// After so many pieces of the body.
    Pieces(usize),
}

/// How a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// What it waits after each piece.
    each: Duration,
    /// What it waits once, in the middle.
    once: Duration,
}

impl Client {
    pub(crate) fn new(
        http: reqwest::Client,
        base: &str,
        number: u32,
        ledger: Arc<Ledger>,
        tally: Arc<Mutex<Tally>>,
    ) -> Self {
        Self { http, url: format!("{base}/chat/completions"), number, ledger, tally }
    }

    /// Has one conversation after another, numbered from `first` on, until it is time. Gives the
    /// number of the next.
    pub(crate) async fn talk(&self, first: u32, seed: u64, until: Instant) -> u32 {
        for number in first.. {
            if Instant::now() >= until {
                return number;
            }
            let talk = Talk { client: self.number, number };
            let mut rng = Rng::with_seed(seed ^ (u64::from(self.number) << 32) ^ u64::from(number));
            self.converse(talk, &mut rng).await;
            self.ledger.forget(talk);
            sleep(millis(rng.u64(0..150))).await;
        }
        unreachable!("so many conversations")
    }

    async fn converse(&self, talk: Talk, rng: &mut Rng) {
        let mut conversation = Conversation::drawn(rng);
        let turns = rng.u32(1..=4);
        let mut is_tool_loop = false;
        for number in 0..turns {
            let turn = Turn { talk, turn: number };
            if !is_tool_loop {
                conversation.ask(turn, rng);
            }
            let Some(choice) = self.turn(turn, &conversation, rng).await else { return };
            is_tool_loop = conversation.take(&choice, Turn { talk, turn: number + 1 });
        }
    }

    /// Asks once. Gives the answer if the conversation can go on with it.
    async fn turn(&self, turn: Turn, conversation: &Conversation, rng: &mut Rng) -> Option<Choice> {
        let stream = rng.u8(0..10) < 7;
        let leave = match rng.u8(0..100) {
            0..6 => Leave::After(millis(rng.u64(0..20))),
            6..11 => Leave::After(millis(rng.u64(0..500))),
            11..14 => Leave::Pieces(0),
            14..20 => Leave::Pieces(rng.usize(1..10)),
            _ => Leave::Never,
        };
        let pace = match rng.u8(0..100) {
            0..10 => Pace { each: millis(rng.u64(1..40)), once: Duration::ZERO },
            10..13 => Pace { each: Duration::ZERO, once: millis(rng.u64(500..2500)) },
            _ => Pace { each: Duration::ZERO, once: Duration::ZERO },
        };
        self.ledger.ask(turn, Mode::Chance);
        let start = Instant::now();
        let mut arrived = Arrived::default();
        let asking = self.ask(turn, conversation.body(stream), leave, pace, &mut arrived);
        let limit = if let Leave::After(time) = leave { time } else { PATIENCE };
        let outcome = timeout(limit, asking).await;
        let attempts = self.ledger.close(turn);
        let choices = conversation.choices();
        let verdict = match outcome {
            Ok(Ok(true)) => judge(&arrived, turn, choices, &attempts).map(Some),
            Ok(Ok(false)) => own_so_far(&arrived, turn, &attempts).map(|()| None),
            Ok(Err(wrong)) => Err(wrong),
            Err(_) if leave == Leave::Never => Err("NO END within 60 s".to_owned()),
            Err(_) => own_so_far(&arrived, turn, &attempts).map(|()| None),
        };
        let mut tally = self.tally.lock().unwrap();
        tally.requests += 1;
        match verdict {
            Ok(Some(Verdict::Complete)) => {
                tally.complete += 1;
                tally.longest = tally.longest.max(start.elapsed());
                (choices == 1).then(|| arrived.choices.remove(&0)).flatten()
            }
            Ok(Some(Verdict::Error(code))) => {
                let began = if arrived.choices.is_empty() { "" } else { ", in the middle" };
                *tally.errors.entry(format!("{code}{began}")).or_default() += 1;
                tally.longest = tally.longest.max(start.elapsed());
                None
            }
            Ok(None) => {
                tally.left += 1;
                None
            }
            Err(wrong) => {
                let fates: Vec<_> = attempts.iter().map(|attempt| attempt.fate).collect();
                self.ledger.wrong(format!("{}, {fates:?}, {leave:?}: {wrong}", turn.asked()));
                None
            }
        }
    }

    /// Sends a request and reads the answer, to its end unless the client leaves. Whether it is
    /// one is for others to judge.
    async fn ask(
        &self,
        turn: Turn,
        body: String,
        leave: Leave,
        pace: Pace,
        arrived: &mut Arrived,
    ) -> Result<bool, String> {
        let stream = body.contains("\"stream\":true");
        let mut response = self.send(body).await?;
        is_own(&response, turn)?;
        let is_stream = response.headers().get("content-type").is_some_and(|kind| {
            kind.to_str().is_ok_and(|kind| kind.starts_with("text/event-stream"))
        });
        let status = response.status().as_u16();
        if is_stream != (stream && status == 200) {
            return Err(format!("the answer is of another kind: {status}"));
        }
        if leave == Leave::Pieces(0) {
            return Ok(false);
        }
        let mut whole = Vec::new();
        for pieces in 1.. {
            let piece = response.chunk().await.map_err(|error| cut(&error))?;
            let Some(piece) = piece else { break };
            if is_stream {
                arrived.push(&piece)?;
            } else {
                whole.extend_from_slice(&piece);
            }
            if leave == Leave::Pieces(pieces) {
                return Ok(false);
            }
            if !pace.each.is_zero() {
                sleep(pace.each).await;
            }
            if pieces == 3 && !pace.once.is_zero() {
                sleep(pace.once).await;
            }
        }
        if !is_stream {
            let body = String::from_utf8(whole).map_err(|error| error.to_string())?;
            *arrived = Arrived::whole(status, &body)?;
        }
        Ok(true)
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&self, body: String) -> Result<Response, String> {
        self.http.post(&self.url).body(body).send().await.map_err(|error| cut(&error))
    }
}

/// Checks what the headers say of the backend's answer.
fn is_own(response: &Response, turn: Turn) -> Result<(), String> {
    for (name, value) in response.headers() {
        for mark in marks(value.to_str().unwrap_or_default())? {
            if mark.turn != turn {
                return Err(format!("MIXED: {mark} in the header {name} of {}", turn.asked()));
            }
        }
    }
    Ok(())
}

/// An answer that ends with its connection: that is told by nothing that clients understand.
fn cut(error: &reqwest::Error) -> String {
    format!("SILENT END: {error:?}")
}

/// The clients' connections; closed when this and its clones are dropped.
pub(crate) fn connections() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap()
}
