//! Reads the directives in a prompt. The table of them is in the [module's](super) docs.

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;

const OPEN: &str = "[[simulate:";
const CLOSE: &str = "]]";

/// All that the directives of one request ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Directives {
    pub(super) text: Option<String>,
    pub(super) deltas: Option<usize>,
    pub(super) pace: Option<Duration>,
    pub(super) delay: Option<Duration>,
    pub(super) thinking: Thinking,
    pub(super) commentary: Option<String>,
    pub(super) calls: Vec<Wanted>,
    pub(super) refusal: Option<String>,
    pub(super) incomplete: Option<Incomplete>,
    pub(super) cite: bool,
    pub(super) image: bool,
    pub(super) wrapper: bool,
    pub(super) done_only: bool,
    pub(super) interleave: bool,
    pub(super) two_messages: bool,
    pub(super) keepalive: bool,
    pub(super) unknown: bool,
    pub(super) rate_limits_first: bool,
    pub(super) split: Option<usize>,
    pub(super) crlf: bool,
    pub(super) fault: Option<Fault>,
}

/// What to do about reasoning.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Thinking {
    /// As effort and summary say.
    #[default]
    Asked,
    /// A summary with this text.
    Say(String),
    /// None.
    Off,
}

/// A call to make.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// A function, with arguments as text; generated when absent.
    Function { name: String, arguments: Option<String> },
    /// A custom tool with its input.
    Custom { name: String, input: String },
}

/// An answer that stops short.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Incomplete {
    pub(super) reason: &'static str,
    /// How many deltas of the last item are left.
    pub(super) after: Option<usize>,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// Only for the first so many requests with the same prompt.
    pub(super) times: Option<usize>,
}

/// What goes wrong. `after` counts deltas of text and arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FaultKind {
    Status { status: StatusCode, code: Option<String> },
    Fail { code: String, shape: Shape, after: usize, first: bool },
    Cut { after: usize },
    End { after: usize },
    Stall { after: usize },
    Html,
    Json,
}

/// How an error inside a stream looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An `error` event, then `response.failed`.
    Pair,
    /// `response.failed` alone.
    Failed,
    /// `response.failed` whose error is null.
    Empty,
    /// `error` with code and message at the top.
    Flat,
    /// `error` with an error object.
    Nested,
    /// `error` with a text.
    Text,
}

/// A directive that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The simulator cannot read the directive '{0}': {1}.")]
pub(super) struct DirectiveError(String, &'static str);

impl Directives {
    /// Reads all directives in a text; gives the text without them too.
    pub(super) fn read(text: &str) -> Result<(Self, String), DirectiveError> {
        let mut directives = Self::default();
        let mut prompt = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            prompt.push_str(before);
            let (args, after) = Args::read(after)?;
            directives.apply(args)?;
            rest = after;
        }
        prompt.push_str(rest);
        Ok((directives, prompt.trim().to_owned()))
    }

    /// Reads a header's value: one bare directive, or several in brackets.
    pub(super) fn read_header(value: &str) -> Result<Self, DirectiveError> {
        if value.contains(OPEN) {
            return Self::read(value).map(|(directives, _)| directives);
        }
        Self::read(&format!("{OPEN} {value} {CLOSE}")).map(|(directives, _)| directives)
    }

    fn apply(&mut self, mut args: Args) -> Result<(), DirectiveError> {
        match args.name.as_str() {
            "text" => self.text = Some(args.text()?),
            "deltas" => self.deltas = Some(args.number()?),
            "pace" => self.pace = Some(Duration::from_millis(args.number()?)),
            "delay" => self.delay = Some(Duration::from_millis(args.number()?)),
            "reasoning" => self.thinking = Thinking::Say(args.text()?),
            "no-reasoning" => self.thinking = Thinking::Off,
            "commentary" => self.commentary = Some(args.text()?),
            "call" => {
                let call = Wanted::Function { name: args.word()?, arguments: args.rest() };
                self.calls.push(call);
            }
            "custom" => {
                let call = Wanted::Custom { name: args.word()?, input: args.text()? };
                self.calls.push(call);
            }
            "refusal" => self.refusal = Some(args.text()?),
            "length" => self.incomplete = Some(args.incomplete("max_output_tokens")?),
            "content-filter" => self.incomplete = Some(args.incomplete("content_filter")?),
            "cite" => self.cite = true,
            "image" => self.image = true,
            "wrapper" => self.wrapper = true,
            "done-only" => self.done_only = true,
            "interleave" => self.interleave = true,
            "two-messages" => self.two_messages = true,
            "keepalive" => self.keepalive = true,
            "unknown" => self.unknown = true,
            "rate-limits-first" => self.rate_limits_first = true,
            "split" => self.split = Some(args.number()?),
            "crlf" => self.crlf = true,
            "error" | "fail" | "cut" | "end" | "stall" | "html" | "json" => {
                let times = args.option("times")?;
                self.fault = Some(Fault { kind: args.fault()?, times });
            }
            _ => return Err(args.error("there is no such directive")),
        }
        args.finish()
    }
}

/// A directive's name and what follows it.
struct Args {
    name: String,
    positional: VecDeque<String>,
    options: BTreeMap<String, String>,
}

impl Args {
    /// Reads up to the closing brackets; those inside of JSON do not count.
    fn read(text: &str) -> Result<(Self, &str), DirectiveError> {
        let mut args =
            Self { name: String::new(), positional: VecDeque::new(), options: BTreeMap::new() };
        let mut rest = text.trim_start();
        loop {
            if let Some(after) = rest.strip_prefix(CLOSE) {
                return if args.name.is_empty() {
                    Err(args.error("it has no name"))
                } else {
                    Ok((args, after))
                };
            }
            if rest.starts_with(['"', '{', '[']) {
                let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
                let Some(Ok(value)) = values.next() else {
                    return Err(args.error("quoted text and arguments have to be JSON"));
                };
                args.positional.push_back(match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                });
                rest = rest[values.byte_offset()..].trim_start();
                continue;
            }
            let Some(end) = rest.find(|c: char| c.is_whitespace() || c == ']') else {
                return Err(args.error("it is not closed with ]]"));
            };
            // A lone bracket belongs to the word.
            let end = if end == 0 { 1 } else { end };
            let word = &rest[..end];
            if args.name.is_empty() {
                word.clone_into(&mut args.name);
            } else if let Some((key, value)) = word.split_once('=') {
                args.options.insert(key.to_owned(), value.to_owned());
            } else {
                args.positional.push_back(word.to_owned());
            }
            rest = rest[end..].trim_start();
        }
    }

    fn error(&self, problem: &'static str) -> DirectiveError {
        DirectiveError(self.name.clone(), problem)
    }

    fn word(&mut self) -> Result<String, DirectiveError> {
        self.positional.pop_front().ok_or_else(|| self.error("something is missing after it"))
    }

    /// All that is left.
    fn rest(&mut self) -> Option<String> {
        let words: Vec<String> = self.positional.drain(..).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    fn text(&mut self) -> Result<String, DirectiveError> {
        self.rest().ok_or_else(|| self.error("a text is missing after it"))
    }

    fn number<T: FromStr>(&mut self) -> Result<T, DirectiveError> {
        self.word()?.parse().map_err(|_| self.error("a number has to follow"))
    }

    fn option<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, DirectiveError> {
        let value = self.options.remove(key).map(|value| value.parse()).transpose();
        value.map_err(|_| self.error("an option is not a number"))
    }

    fn incomplete(&mut self, reason: &'static str) -> Result<Incomplete, DirectiveError> {
        Ok(Incomplete { reason, after: self.option("after")? })
    }

    fn fault(&mut self) -> Result<FaultKind, DirectiveError> {
        let after: Option<usize> = self.option("after")?;
        Ok(match self.name.as_str() {
            "error" => {
                let status = StatusCode::from_u16(self.number()?).ok();
                let status = status.filter(|status| status.as_u16() >= 400);
                let status = status.ok_or_else(|| self.error("the status has to be an error"))?;
                FaultKind::Status { status, code: self.positional.pop_front() }
            }
            "fail" => self.fail(after.unwrap_or(0))?,
            "cut" => FaultKind::Cut { after: after.unwrap_or(1) },
            "end" => FaultKind::End { after: after.unwrap_or(1) },
            "stall" => FaultKind::Stall { after: after.unwrap_or(1) },
            "html" => FaultKind::Html,
            _ => FaultKind::Json,
        })
    }

    fn fail(&mut self, after: usize) -> Result<FaultKind, DirectiveError> {
        let code = self.positional.pop_front().unwrap_or_else(|| "server_error".to_owned());
        let mut shape = Shape::Pair;
        let mut first = false;
        while let Some(word) = self.positional.pop_front() {
            match word.as_str() {
                "pair" => shape = Shape::Pair,
                "failed" => shape = Shape::Failed,
                "null" => shape = Shape::Empty,
                "flat" => shape = Shape::Flat,
                "nested" => shape = Shape::Nested,
                "string" => shape = Shape::Text,
                "first" => first = true,
                _ => return Err(self.error("there is no such shape of an error")),
            }
        }
        Ok(FaultKind::Fail { code, shape, after, first })
    }

    fn finish(&self) -> Result<(), DirectiveError> {
        if self.positional.is_empty() && self.options.is_empty() {
            return Ok(());
        }
        Err(self.error("it does not take all that follows it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Directives {
        Directives::read(text).unwrap().0
    }

    #[test]
    fn directives_are_taken_out_of_the_text() {
        let (directives, prompt) =
            Directives::read("Say hi [[simulate: text \"Hi ]] there\"]] please [[simulate: crlf]]")
                .unwrap();
        assert_eq!(directives.text.as_deref(), Some("Hi ]] there"));
        assert!(directives.crlf);
        assert_eq!(prompt, "Say hi  please");
    }

    #[test]
    fn calls_keep_their_order_and_their_json() {
        let directives = read(
            "[[simulate: call f {\"a\":[[1]]}]][[simulate: custom sql SELECT 1]][[simulate: call g]]",
        );
        assert_eq!(
            directives.calls,
            [
                Wanted::Function { name: "f".into(), arguments: Some("{\"a\":[[1]]}".into()) },
                Wanted::Custom { name: "sql".into(), input: "SELECT 1".into() },
                Wanted::Function { name: "g".into(), arguments: None },
            ]
        );
    }

    #[test]
    fn faults_have_options() {
        let kind = |text: &str| read(text).fault.unwrap().kind;
        assert_eq!(
            kind("[[simulate: error 429 usage_limit_reached]]"),
            FaultKind::Status {
                status: StatusCode::TOO_MANY_REQUESTS,
                code: Some("usage_limit_reached".into())
            }
        );
        assert_eq!(
            kind("[[simulate: fail slow_down flat after=2]]"),
            FaultKind::Fail {
                code: "slow_down".into(),
                shape: Shape::Flat,
                after: 2,
                first: false
            }
        );
        assert_eq!(kind("[[simulate: cut after=3]]"), FaultKind::Cut { after: 3 });
        assert_eq!(read("[[simulate: end times=2]]").fault.unwrap().times, Some(2));
    }

    #[test]
    fn a_header_holds_a_bare_directive() {
        assert_eq!(Directives::read_header("deltas 3").unwrap().deltas, Some(3));
        let both = Directives::read_header("[[simulate: deltas 3]] [[simulate: crlf]]").unwrap();
        assert!(both.crlf && both.deltas == Some(3));
    }

    #[test]
    fn mistakes_are_named() {
        for text in [
            "[[simulate: nonsense]]",
            "[[simulate: ]]",
            "[[simulate: text]]",
            "[[simulate: deltas many]]",
            "[[simulate: crlf now]]",
            "[[simulate: cut at=3]]",
            "[[simulate: error 200]]",
            "[[simulate: call f {broken]]",
            "[[simulate: text \"open",
            "[[simulate: crlf",
        ] {
            assert!(Directives::read(text).is_err(), "{text}");
        }
    }
}
