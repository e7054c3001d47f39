//! `codex-proxy chat`: one answer, as it comes.
//!
//! Ctrl-C ends this process and with it the connection, by which the daemon knows that nobody
//! waits any longer.

use std::io::{self, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use anstyle::Style;
use bytes::Bytes;
use clap::Args;
use eventsource_stream::{EventStreamError, Eventsource as _};
use futures_util::{Stream, StreamExt as _};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::daemon::{Daemon, Error, Refused};
use super::exit::{Exit, Failure};
use super::serve::runtime;
use crate::config::Config;
use crate::printable::{printable, printable_line};

/// How long the daemon may be silent. It sends comments while the model thinks, and lets requests
/// wait for a minute at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(150);
/// The largest question that is read, and the largest piece of an answer.
const MAX_INPUT: usize = 64 << 20;

/// What to ask.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The question; `-` is standard input, which is also read if there is no question
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// The model
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    model: String,
    /// The reasoning effort, such as low or high
    #[arg(long, short, value_name = "EFFORT")]
    effort: Option<String>,
    /// The system message
    #[arg(long, short, value_name = "TEXT")]
    system: Option<String>,
    /// Show the reasoning on standard error, if that is a terminal
    #[arg(long, short)]
    reasoning: bool,
}

/// Asks, and prints the answer.
pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let daemon = Daemon::of(&config.server)?;
    let request = request(arguments, &question(&arguments.texts)?);
    let shows_reasoning = arguments.reasoning && io::stderr().is_terminal();
    runtime()?.block_on(async {
        let silent = |_| {
            let cause = format!("no data for {} s", ANSWER_TIMEOUT.as_secs());
            Error::Silent { place: daemon.place().clone(), cause }
        };
        let answer = timeout(ANSWER_TIMEOUT, daemon.post("/v1/chat/completions", &request));
        let answer = answer.await.map_err(silent)??;
        show(&daemon, answer, &mut Screen::new(shows_reasoning)).await
    })
}

fn request(arguments: &Arguments, question: &str) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = &arguments.system {
        messages.push(json!({"role": "system", "content": system}));
    }
    messages.push(json!({"role": "user", "content": question}));
    let mut request = json!({"model": arguments.model, "stream": true, "messages": messages});
    if let Some(effort) = &arguments.effort {
        request["reasoning_effort"] = effort.as_str().into();
    }
    request
}

/// The texts, with a blank line between them, and standard input in the place of `-`.
fn question(texts: &[String]) -> Result<String, Failure> {
    let stdin = || {
        let stdin = io::stdin();
        if stdin.is_terminal() && texts.is_empty() {
            let message = "no question given; try: codex-proxy chat \"Hello!\"";
            return Err(Failure::new(Exit::Usage, message));
        }
        let mut text = String::new();
        let limit = u64::try_from(MAX_INPUT).unwrap_or(u64::MAX);
        stdin.lock().take(limit).read_to_string(&mut text).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot read standard input: {error}"))
        })?;
        Ok(text.trim().to_owned())
    };
    let parts = match texts {
        [] => vec![stdin()?],
        texts => texts
            .iter()
            .map(|text| if text == "-" { stdin() } else { Ok(text.clone()) })
            .collect::<Result<_, _>>()?,
    };
    let question = parts.join("\n\n");
    if question.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "the question is empty"));
    }
    Ok(question)
}

async fn show(daemon: &Daemon, answer: Response, screen: &mut Screen) -> Result<(), Failure> {
    let mut events = pin!(pieces(answer).eventsource());
    let cut = |cause: String| Error::Silent { place: daemon.place().clone(), cause };
    loop {
        let Some(event) = events.next().await else {
            screen.end();
            return Err(cut("the answer ended before it was complete".to_owned()).into());
        };
        let read = event.map_err(|error| Failure::from(cut(described(error)))).and_then(|event| {
            let data = event.data;
            if data == "[DONE]" {
                return Ok(None);
            }
            read(&data).map(Some)
        });
        match read {
            Ok(Some(chunk)) => match screen.show(&chunk) {
                Ok(()) => {}
                // Whoever reads has enough; leaving ends the call.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => {
                    let message = format!("cannot write the answer: {error}");
                    return Err(Failure::new(Exit::Internal, message));
                }
            },
            Ok(None) => {
                screen.end();
                return Ok(());
            }
            Err(failure) => {
                screen.end();
                return Err(failure);
            }
        }
    }
}

/// Why the events end early.
fn described(error: EventStreamError<String>) -> String {
    match error {
        EventStreamError::Transport(cause) => cause,
        EventStreamError::Utf8(_) | EventStreamError::Parser(_) => {
            "the answer is not a stream of events".to_owned()
        }
    }
}

/// The body as it comes, and an error if it does not.
fn pieces(answer: Response) -> impl Stream<Item = Result<Bytes, String>> {
    futures_util::stream::unfold(Some(answer), |answer| async {
        let mut answer = answer?;
        match timeout(ANSWER_TIMEOUT, answer.chunk()).await {
            Ok(Ok(Some(piece))) => Some((Ok(piece), Some(answer))),
            Ok(Ok(None)) => None,
            Ok(Err(_)) => Some((Err("the connection was lost".to_owned()), None)),
            Err(_) => Some((Err(format!("no data for {} s", ANSWER_TIMEOUT.as_secs())), None)),
        }
    })
}

/// What a person sees of one event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chunk {
    reasoning: String,
    text: String,
    /// Why there is no more, if that is not because all is said.
    finish: Option<String>,
}

/// Reads the data of an event.
fn read(data: &str) -> Result<Chunk, Failure> {
    let chunk: Value = serde_json::from_str(data)
        .map_err(|_| Failure::new(Exit::Unavailable, "the daemon sent invalid data"))?;
    if let Some(refused) = Refused::read(200, &chunk) {
        return Err(Error::Refused(refused).into());
    }
    let choice = &chunk["choices"][0];
    let text = |names: [&str; 2]| {
        let parts = names.into_iter().filter_map(|name| choice["delta"][name].as_str());
        parts.collect::<String>()
    };
    let finish = choice["finish_reason"].as_str().filter(|reason| *reason != "stop");
    Ok(Chunk {
        reasoning: text(["reasoning_content", "reasoning"]),
        text: text(["content", "refusal"]),
        finish: finish.map(str::to_owned),
    })
}

/// Where the answer goes.
struct Screen {
    shows_reasoning: bool,
    /// Whether thoughts stand on the line that the answer is to begin on.
    thinks: bool,
    /// Whether the answer so far ends in the middle of a line.
    is_open: bool,
}

impl Screen {
    fn new(shows_reasoning: bool) -> Self {
        Self { shows_reasoning, thinks: false, is_open: false }
    }

    fn show(&mut self, chunk: &Chunk) -> io::Result<()> {
        if self.shows_reasoning && !chunk.reasoning.is_empty() {
            let dim = Style::new().dimmed();
            // Styled piece by piece: however this ends, the terminal is left as it was.
            write!(anstream::stderr(), "{dim}{}{dim:#}", printable(&chunk.reasoning))?;
            self.thinks = true;
        }
        if !chunk.text.is_empty() {
            if std::mem::take(&mut self.thinks) {
                writeln!(anstream::stderr(), "\n")?;
            }
            let mut stdout = io::stdout().lock();
            // A file gets what the model wrote; a terminal must not do what it says.
            let is_seen = stdout.is_terminal();
            let text = if is_seen { printable(&chunk.text) } else { chunk.text.as_str().into() };
            stdout.write_all(text.as_bytes())?;
            stdout.flush()?;
            self.is_open = !chunk.text.ends_with('\n');
        }
        if let Some(reason) = &chunk.finish {
            self.end();
            writeln!(io::stderr(), "(the answer ends here: {})", printable_line(reason))?;
        }
        Ok(())
    }

    /// Ends the line that was begun.
    fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = writeln!(io::stdout());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_thoughts_are_told_apart() {
        let chunk = |reasoning: &str, text: &str, finish: Option<&str>| Chunk {
            reasoning: reasoning.to_owned(),
            text: text.to_owned(),
            finish: finish.map(str::to_owned),
        };
        for (delta, finish, expected) in [
            (json!({"role": "assistant"}), Value::Null, chunk("", "", None)),
            (json!({"content": "a"}), Value::Null, chunk("", "a", None)),
            (json!({"refusal": "no"}), Value::Null, chunk("", "no", None)),
            (json!({"reasoning_content": "r"}), Value::Null, chunk("r", "", None)),
            (json!({"reasoning": "r"}), Value::Null, chunk("r", "", None)),
            (json!({}), "stop".into(), chunk("", "", None)),
            (json!({}), "length".into(), chunk("", "", Some("length"))),
        ] {
            let data = json!({"choices": [{"delta": delta, "finish_reason": finish}]});
            assert_eq!(read(&data.to_string()).unwrap(), expected, "{data}");
        }
        assert_eq!(read(r#"{"choices":[],"usage":{}}"#).unwrap(), Chunk::default());
    }

    #[test]
    fn errors_within_the_stream_end_it_by_their_kind() {
        let error = |code: &str| {
            let data = json!({"error": {"message": "m", "code": code, "type": "t"}});
            read(&data.to_string()).unwrap_err().exit
        };
        assert_eq!(error("upstream_auth"), Exit::NotSignedIn);
        assert_eq!(error("upstream_disconnected"), Exit::Unavailable);
        assert_eq!(read("junk").unwrap_err().exit, Exit::Unavailable);
    }

    #[test]
    fn requests_hold_what_was_asked_for_and_nothing_else() {
        let mut arguments = Arguments {
            texts: vec!["Hi".to_owned(), "there".to_owned()],
            model: "default".to_owned(),
            effort: None,
            system: None,
            reasoning: false,
        };
        let asked = question(&arguments.texts).unwrap();
        let expected = json!({"model": "default", "stream": true,
            "messages": [{"role": "user", "content": "Hi\n\nthere"}]});
        assert_eq!(request(&arguments, &asked), expected);
        arguments.effort = Some("low".to_owned());
        arguments.system = Some("Be brief.".to_owned());
        let full = request(&arguments, "Hi");
        assert_eq!(full["reasoning_effort"], "low");
        assert_eq!(full["messages"][0], json!({"role": "system", "content": "Be brief."}));
        assert_eq!(question(&[" ".to_owned()]).unwrap_err().exit, Exit::Usage);
    }
}
