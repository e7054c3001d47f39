//! The backend: checks what it is asked, and says what is drawn.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fastrand::Rng;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::events;
use crate::ledger::{Attempt, Ledger, Mode};
use crate::mark::{Mark, Turn, marks, shortened};
use crate::millis;
use crate::script::{Script, Step};
use crate::sign_in::SignIn;
use crate::site::{Answer, Site, whole};

/// The backend.
pub(crate) struct Upstream {
    /// What the daemon is to call.
    pub(crate) base: String,
    /// What was asked and said.
    pub(crate) ledger: Arc<Ledger>,
    state: Arc<State>,
    site: Site,
}

struct State {
    sign_in: Arc<SignIn>,
    ledger: Arc<Ledger>,
    seed: u64,
    /// Whether slow answers are to come to their ends.
    finish: watch::Sender<bool>,
    calls: AtomicUsize,
    open: Arc<AtomicUsize>,
    recalled: AtomicUsize,
    flooded: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) async fn start(sign_in: Arc<SignIn>, seed: u64) -> Self {
        let ledger = Arc::new(Ledger::default());
        let state = Arc::new(State {
            sign_in,
            ledger: Arc::clone(&ledger),
            seed,
            finish: watch::channel(false).0,
            calls: AtomicUsize::default(),
            open: Arc::default(),
            recalled: AtomicUsize::default(),
            flooded: Arc::default(),
        });
        let answering = Arc::clone(&state);
        let site = Site::start(move |request| Arc::clone(&answering).answer(request)).await;
        Self { base: format!("{}/backend-api/codex", site.base), ledger, state, site }
    }

    /// Closes the connections that nobody uses.
    pub(crate) fn hang_up(&self) {
        self.site.hang_up();
    }

    /// Lets slow answers come to their ends, or not.
    pub(crate) fn finish(&self, finish: bool) {
        self.state.finish.send_replace(finish);
    }

    /// How many calls have come.
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// How many answers are under way.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::Relaxed)
    }

    /// How many calls held something of an earlier answer that only the daemon can know.
    pub(crate) fn recalled(&self) -> usize {
        self.state.recalled.load(Ordering::Relaxed)
    }

    /// How many bytes of floods were taken.
    pub(crate) fn flooded(&self) -> usize {
        self.state.flooded.load(Ordering::Relaxed)
    }
}

impl State {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Answer> {
        let (head, body) = request.into_parts();
        let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
        let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !bearer.is_some_and(|bearer| self.sign_in.accepts(bearer)) {
            return Ok(refused(401, "{\"detail\":\"Unauthorized\"}"));
        }
        if head.method == hyper::Method::GET {
            return Ok(catalogue());
        }
        let Ok(body) = body.collect().await else {
            return Err(io::Error::other("the caller has left"));
        };
        let body = body.to_bytes();
        self.calls.fetch_add(1, Ordering::Relaxed);
        let text = std::str::from_utf8(&body).unwrap();
        let turn = match self.checked(text, header("session-id"), header("x-codex-turn-state")) {
            Ok(turn) => turn,
            Err(wrong) => {
                self.ledger.wrong(format!("{wrong} in {}", shortened(text)));
                return Ok(refused(400, "{\"error\":{\"message\":\"see the report\"}}"));
            }
        };
        // Whoever asked may have left meanwhile: then nobody reads what is said.
        let (mode, attempt) = self.ledger.call(turn).unwrap_or((Mode::Prompt, 0));
        let mark = turn.answered(attempt);
        let saying = Saying { mark, attempt, ledger: Arc::clone(&self.ledger) };
        match mode {
            Mode::Chance => {
                let value: Value = serde_json::from_str(text).unwrap();
                let has_tools = value["tools"].as_array().is_some_and(|tools| !tools.is_empty());
                let mut rng = self.rng(mark);
                self.by_chance(&saying, Script::drawn(&mut rng, mark, has_tools))
            }
            Mode::Slow => Ok(self.streamed(mark, {
                let (finish, rng) = (self.finish.subscribe(), self.rng(mark));
                move |wire| slowly(wire, saying, finish, rng)
            })),
            Mode::Flood(bytes) => Ok(self.streamed(mark, {
                let flooded = Arc::clone(&self.flooded);
                move |wire| flood(wire, saying, bytes, flooded)
            })),
            Mode::Prompt => Ok(self.streamed(mark, |wire| promptly(wire, saying))),
        }
    }

    /// The turn that a request asks for. All that is in it has to be of one conversation.
    fn checked(
        &self,
        text: &str,
        session: Option<&str>,
        turn_state: Option<&str>,
    ) -> Result<Turn, String> {
        let found = marks(text)?;
        let pinned = marks(turn_state.unwrap_or_default())?;
        let asked = found.iter().filter(|mark| mark.attempt.is_none());
        let turn = asked.map(|mark| mark.turn).max_by_key(|turn| turn.turn);
        let turn = turn.ok_or("nothing is asked")?;
        if let Some(strange) = found.iter().chain(&pinned).find(|mark| mark.turn.talk != turn.talk)
        {
            return Err(format!("MIXED: {strange} in the request of {}", turn.asked()));
        }
        self.ledger.session(session.ok_or("no session")?, turn.talk);
        if text.contains("\"encrypted_content\":\"gAAAAA") {
            self.recalled.fetch_add(1, Ordering::Relaxed);
        }
        Ok(turn)
    }

    /// What is drawn for a call: the same for the same seed.
    fn rng(&self, mark: Mark) -> Rng {
        let Mark { turn, attempt } = mark;
        let attempt = attempt.unwrap_or_default() as u64;
        let [client, talk, turn] = [turn.talk.client, turn.talk.number, turn.turn].map(u64::from);
        let mix = |seed, part| Rng::with_seed(seed ^ part).u64(..);
        Rng::with_seed([client, talk, turn, attempt].into_iter().fold(self.seed, mix))
    }

    fn by_chance(&self, saying: &Saying, script: Script) -> io::Result<Answer> {
        let Script { refusal, steps, said } = script;
        saying.say(|attempt| *attempt = said);
        if let Some((status, body)) = refusal {
            return Ok(refused(status, &body));
        }
        if steps == [Step::Cut] {
            return Err(io::Error::other("cut before the head"));
        }
        Ok(self.streamed(saying.mark, |wire| perform(wire, steps)))
    }

    /// An answer that `say` writes for as long as anybody reads it.
    fn streamed<R>(&self, mark: Mark, say: impl FnOnce(Wire) -> R) -> Answer
    where
        R: Future<Output = Option<()>> + Send + 'static,
    {
        let (send, receive) = mpsc::channel(1);
        self.open.fetch_add(1, Ordering::Relaxed);
        let open = Arc::clone(&self.open);
        let saying = say(Wire(send));
        tokio::spawn(async move {
            saying.await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
        let frames = stream::unfold(receive, async |mut receive: mpsc::Receiver<_>| {
            Some((receive.recv().await?, receive))
        });
        let frames =
            StreamBody::new(futures_util::StreamExt::map(frames, |said| said.map(Frame::data)));
        Response::builder()
            .header("x-oai-request-id", format!("req_{mark}"))
            .header("x-codex-turn-state", format!("state_{mark}"))
            .header("openai-model", "gpt-5.5")
            .body(BoxBody::new(frames))
            .unwrap()
    }
}

fn refused(status: u16, body: &str) -> Answer {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(whole(body.to_owned())).unwrap()
}

fn catalogue() -> Answer {
    let efforts = ["low", "medium", "high"].map(|effort| json!({ "effort": effort }));
    let models = json!({"models": [{"slug": "gpt-5.5", "visibility": "list",
        "supported_reasoning_levels": efforts}]});
    Response::new(whole(models.to_string()))
}

/// Where the answer to one call is written down.
struct Saying {
    mark: Mark,
    attempt: usize,
    ledger: Arc<Ledger>,
}

impl Saying {
    fn say(&self, change: impl FnOnce(&mut Attempt)) {
        self.ledger.say(self.mark.turn, self.attempt, change);
    }
}

/// The answer's body. Its methods give nothing once nobody reads any more.
struct Wire(mpsc::Sender<io::Result<Bytes>>);

impl Wire {
    async fn send(&self, bytes: Bytes) -> Option<()> {
        self.0.send(Ok(bytes)).await.ok()
    }

    async fn events(&self, events: &[Value]) -> Option<()> {
        self.send(events.iter().map(events::wire).collect::<Vec<_>>().concat().into()).await
    }

    async fn wait(&self, time: std::time::Duration) -> Option<()> {
        tokio::select! {
            () = tokio::time::sleep(time) => Some(()),
            () = self.0.closed() => None,
        }
    }

    async fn cut(&self) -> Option<()> {
        self.0.send(Err(io::Error::other("cut"))).await.ok()
    }
}

async fn perform(wire: Wire, steps: Vec<Step>) -> Option<()> {
    for step in steps {
        match step {
            Step::Send(bytes) => wire.send(bytes).await?,
            Step::Wait(time) => wire.wait(time).await?,
            Step::Cut => wire.cut().await?,
            Step::Silence => wire.0.closed().await,
        }
    }
    Some(())
}

/// A delta now and then, at least one in three seconds.
async fn slowly(
    wire: Wire,
    saying: Saying,
    mut finish: watch::Receiver<bool>,
    mut rng: Rng,
) -> Option<()> {
    let mark = saying.mark;
    let mut events = events::beginning(mark);
    events.extend(events::message(mark, 0));
    wire.events(&events).await?;
    let mut text = String::new();
    for number in 0.. {
        let piece = events::piece(mark, number, 60);
        text.push_str(&piece);
        saying.say(|attempt| attempt.text.push_str(&piece));
        wire.events(&[events::delta(mark, 0, &piece)]).await?;
        tokio::select! {
            waited = wire.wait(millis(rng.u64(0..3000))) => waited?,
            _ = finish.wait_for(|finish| *finish) => break,
        }
    }
    saying.say(|attempt| attempt.finish = Some("stop"));
    let mut events = events::message_done(mark, 0, &text);
    events.push(events::end(mark, None));
    wire.events(&events).await
}

/// The length of a piece of a flood.
pub(crate) const FLOOD_PIECE: usize = 4 << 10;

/// As much as is taken. What is said is not written down: it can be told from the mark alone.
async fn flood(wire: Wire, saying: Saying, bytes: usize, flooded: Arc<AtomicUsize>) -> Option<()> {
    let mark = saying.mark;
    saying.say(|attempt| attempt.finish = Some("stop"));
    let mut events = events::beginning(mark);
    events.extend(events::message(mark, 0));
    wire.events(&events).await?;
    for number in 0..bytes.div_ceil(FLOOD_PIECE) {
        let piece = events::piece(mark, number, FLOOD_PIECE);
        wire.events(&[events::delta(mark, 0, &piece)]).await?;
        flooded.fetch_add(piece.len(), Ordering::Relaxed);
    }
    wire.events(&[events::end(mark, None)]).await
}

async fn promptly(wire: Wire, saying: Saying) -> Option<()> {
    let mark = saying.mark;
    let text = mark.to_string();
    saying.say(|attempt| {
        attempt.text.clone_from(&text);
        attempt.finish = Some("stop");
    });
    let mut events = events::beginning(mark);
    events.extend(events::message(mark, 0));
    events.push(events::delta(mark, 0, &text));
    events.extend(events::message_done(mark, 0, &text));
    events.push(events::end(mark, None));
    wire.events(&events).await
}
