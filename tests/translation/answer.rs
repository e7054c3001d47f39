//! An answer as clients see it: read from its chunks, checked, and put together again.

use std::sync::Arc;

use codex_proxy::chat::chunk::ChunkWriter;
use codex_proxy::chat::completion::{Completion, CompletionBuilder};
use codex_proxy::chat::delta::{Delta, Heading, ReasoningField, Sink};
use codex_proxy::responses::error::BackendError;
use codex_proxy::translate::plan::Plan;
use codex_proxy::translate::policy::Reasoning;
use codex_proxy::translate::response::{Progress, ReadError, Reader};
use serde_json::{Map, Value, json};

/// What became of a stream of events.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The chunks, as written.
    pub(crate) chunks: Vec<u8>,
    /// The choice, gathered.
    pub(crate) gathered: Value,
    /// The usage.
    pub(crate) usage: Value,
    /// How it ended.
    pub(crate) end: End,
}

/// How an answer ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a finish reason.
    Finished,
    /// With a failure; whether anything had begun before.
    Failed(Box<BackendError>, bool),
    /// With an event that tells nothing true.
    Broken(ReadError),
    /// The events ended first.
    Cut,
}

/// Both forms of an answer at once.
struct Both {
    writer: ChunkWriter,
    chunks: Vec<u8>,
    gatherer: CompletionBuilder,
}

impl Sink for Both {
    fn delta(&mut self, delta: Delta<'_>) {
        self.writer.delta(0, &delta, &mut self.chunks);
        self.gatherer.delta(delta);
    }
}

/// Reads events as the server does: up to the end, the first failure or the last event.
pub(crate) fn read<'e>(plan: &Arc<Plan>, events: impl IntoIterator<Item = &'e str>) -> Answer {
    let mut reader = Reader::new(Arc::clone(plan));
    let heading = Heading {
        id: "chatcmpl-1".to_owned(),
        created: 1,
        model: plan.model.clone(),
        service_tier: reader.service_tier(),
    };
    let field = field(plan);
    let mut both = Both {
        writer: ChunkWriter::new(&heading, 1, plan.include_usage, field),
        chunks: Vec::new(),
        gatherer: CompletionBuilder::default(),
    };
    let mut end = End::Cut;
    for event in events {
        match reader.event(event, &mut both) {
            Ok(Progress::Ended) => {
                end = End::Finished;
                break;
            }
            Ok(_) => {}
            Err(ReadError::Reported(report)) => {
                end = End::Failed(report, reader.has_begun());
                break;
            }
            Err(fault) => {
                end = End::Broken(fault);
                break;
            }
        }
    }
    let usage = reader.usage(4000);
    match end {
        End::Finished if plan.include_usage => both.writer.usage(&usage, &mut both.chunks),
        End::Finished | End::Failed(..) | End::Broken(_) => {}
        End::Cut => reader.abandon(&mut both),
    }
    let choices = [both.gatherer];
    let completion = Completion::new(&heading, &choices, usage, field);
    let mut completion = serde_json::to_value(&completion).unwrap_or_default();
    Answer {
        gathered: completion["choices"][0].take(),
        usage: completion["usage"].take(),
        chunks: both.chunks,
        end,
    }
}

/// Reads events as the server does for an answer in one piece, of which nothing goes out before the
/// end. Gives the choice and how it ended.
pub(crate) fn read_whole<'e>(
    plan: &Arc<Plan>,
    events: impl IntoIterator<Item = &'e str>,
) -> (Value, End) {
    let mut reader = Reader::new(Arc::clone(plan));
    let mut gatherer = CompletionBuilder::default();
    let mut end = End::Cut;
    for event in events {
        match reader.event(event, &mut gatherer) {
            Ok(Progress::Ended) => end = End::Finished,
            Ok(_) => continue,
            Err(ReadError::Reported(report)) => end = End::Failed(report, reader.has_begun()),
            Err(fault) => end = End::Broken(fault),
        }
        break;
    }
    let heading = Heading {
        id: "chatcmpl-1".to_owned(),
        created: 1,
        model: plan.model.clone(),
        service_tier: reader.service_tier(),
    };
    let choices = [gatherer];
    let completion = Completion::new(&heading, &choices, reader.usage(4000), field(plan));
    let mut completion = serde_json::to_value(&completion).unwrap_or_default();
    (completion["choices"][0].take(), end)
}

fn field(plan: &Plan) -> ReasoningField {
    match plan.reasoning {
        Reasoning::Reasoning => ReasoningField::Reasoning,
        _ => ReasoningField::ReasoningContent,
    }
}

impl Answer {
    /// Checks everything that holds for every answer: the rules for chunks, and that the streamed
    /// answer is the gathered one. Gives the choice.
    pub(crate) fn check(&self, plan: &Plan) -> Result<Value, String> {
        let streamed = Streamed::read(&self.chunks, plan.include_usage)?;
        let ended = self.end == End::Finished;
        ensure(streamed.finish.is_some() == ended, || {
            format!("{:?} with finish reason {:?}", self.end, streamed.finish)
        })?;
        let has_usage = ended && plan.include_usage;
        ensure(streamed.usage.as_ref() == has_usage.then_some(&self.usage), || {
            format!("streamed usage {:?}, gathered {}", streamed.usage, self.usage)
        })?;
        let choice = streamed.into_choice();
        if ended {
            ensure(choice == self.gathered, || {
                format!("streamed {choice}\ngathered {}", self.gathered)
            })?;
        }
        Ok(choice)
    }
}

/// What the chunks of one choice add up to.
#[derive(Debug, Default)]
struct Streamed {
    has_role: bool,
    content: String,
    refusal: String,
    reasoning: Option<(&'static str, String)>,
    calls: Vec<Value>,
    legacy: Option<(String, String)>,
    images: Vec<Value>,
    annotations: Vec<Value>,
    finish: Option<String>,
    usage: Option<Value>,
}

const FINISH: [&str; 5] = ["stop", "length", "tool_calls", "function_call", "content_filter"];

impl Streamed {
    fn read(chunks: &[u8], include_usage: bool) -> Result<Self, String> {
        let text = std::str::from_utf8(chunks).map_err(|error| error.to_string())?;
        let mut streamed = Self::default();
        let mut heading: Option<Value> = None;
        ensure(text.is_empty() || text.ends_with("\n\n"), || "an unfinished line".to_owned())?;
        for event in text.split_terminator("\n\n") {
            let data = event.strip_prefix("data: ").ok_or_else(|| format!("the line {event}"))?;
            let mut chunk: Map<String, Value> =
                serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
            ensure(streamed.usage.is_none(), || format!("after the usage: {data}"))?;
            let choices = chunk.remove("choices").unwrap_or_default();
            let usage = chunk.remove("usage");
            let this = Value::Object(chunk);
            let known = heading.get_or_insert_with(|| this.clone());
            ensure(*known == this, || format!("{this} after {known}"))?;
            let fields: Vec<&str> =
                this.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            let wanted = ["created", "id", "model", "object", "service_tier", "system_fingerprint"];
            ensure(
                fields.len() == wanted.len() && wanted.iter().all(|key| fields.contains(key)),
                || format!("the keys {fields:?}"),
            )?;
            let choices = choices.as_array().cloned().unwrap_or_default();
            match (choices.as_slice(), usage) {
                ([], Some(usage @ Value::Object(_))) if include_usage => {
                    streamed.usage = Some(usage);
                }
                ([choice], None) if !include_usage => streamed.take(choice)?,
                ([choice], Some(Value::Null)) if include_usage => streamed.take(choice)?,
                _ => return Err(format!("the chunk {data}")),
            }
        }
        Ok(streamed)
    }

    fn take(&mut self, choice: &Value) -> Result<(), String> {
        let wrong = || format!("the choice {choice}");
        let fields = choice.as_object().ok_or_else(wrong)?;
        ensure(fields.len() == 4 && choice["index"] == 0 && fields["logprobs"].is_null(), wrong)?;
        ensure(self.finish.is_none(), || format!("after the finish: {choice}"))?;
        let mut delta = choice["delta"].as_object().cloned().ok_or_else(wrong)?;
        match &choice["finish_reason"] {
            Value::Null => ensure(!delta.is_empty(), wrong)?,
            Value::String(reason) => {
                ensure(delta.is_empty() && FINISH.contains(&reason.as_str()), wrong)?;
                self.finish = Some(reason.clone());
                return ensure(self.has_role, || "a finish without a role".to_owned());
            }
            _ => return Err(wrong()),
        }
        if let Some(role) = delta.remove("role") {
            ensure(role == "assistant" && !self.has_role, wrong)?;
            self.has_role = true;
            let opening = [delta.remove("content"), delta.remove("refusal")];
            let is_empty =
                |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
            ensure(opening.iter().flatten().all(is_empty), wrong)?;
            if delta.is_empty() {
                return Ok(());
            }
            ensure(delta.contains_key("function_call"), wrong)?;
        }
        ensure(self.has_role && delta.len() == 1, wrong)?;
        let (key, value) = delta.into_iter().next().ok_or_else(wrong)?;
        self.payload(&key, &value).ok_or_else(wrong)
    }

    fn payload(&mut self, key: &str, value: &Value) -> Option<()> {
        match key {
            "content" => self.content.push_str(text(value)?),
            "refusal" => self.refusal.push_str(text(value)?),
            "reasoning_content" | "reasoning" => {
                let key = if key == "reasoning" { "reasoning" } else { "reasoning_content" };
                let known = self.reasoning.get_or_insert((key, String::new()));
                if known.0 != key {
                    return None;
                }
                known.1.push_str(text(value)?);
            }
            "tool_calls" => self.call(one(value)?)?,
            "function_call" => match (&mut self.legacy, value["name"].as_str()) {
                (legacy @ None, Some(name)) => {
                    *legacy = Some((name.to_owned(), text(&value["arguments"])?.to_owned()));
                }
                (Some(legacy), None) => legacy.1.push_str(text(&value["arguments"])?),
                _ => return None,
            },
            "images" => {
                let image = one(value)?;
                if image["index"].as_u64()? != self.images.len() as u64 {
                    return None;
                }
                self.images.push(image.clone());
            }
            "annotations" if self.annotations.is_empty() => {
                self.annotations.clone_from(value.as_array()?);
                if self.annotations.is_empty() {
                    return None;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn call(&mut self, entry: &Value) -> Option<()> {
        let index = usize::try_from(entry["index"].as_u64()?).ok()?;
        let keys = entry.as_object()?.len();
        let kind = if entry.get("custom").is_some() { "custom" } else { "function" };
        let field = if kind == "custom" { "input" } else { "arguments" };
        let piece = text(&entry[kind][field])?;
        if index == self.calls.len() {
            let (id, name) = (text(&entry["id"])?, text(&entry[kind]["name"])?);
            if id.is_empty() || name.is_empty() || entry["type"] != kind || keys != 4 {
                return None;
            }
            self.calls.push(json!({"id": id, "type": kind, kind: {"name": name, field: piece}}));
            return Some(());
        }
        let call = self.calls.get_mut(index)?;
        let is_more = keys == 2 && call["type"] == kind && entry[kind].as_object()?.len() == 1;
        let known = call.get_mut(kind).filter(|_| is_more)?.get_mut(field)?;
        *known = Value::from(format!("{}{piece}", text(known)?));
        Some(())
    }

    fn into_choice(self) -> Value {
        let none_if_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let has_calls = !self.calls.is_empty() || self.legacy.is_some();
        let is_nothing = self.content.is_empty() && self.refusal.is_empty() && !has_calls;
        let content = none_if_empty(&self.content).or_else(|| is_nothing.then(String::new));
        let mut message = json!({
            "role": "assistant",
            "content": content,
            "refusal": none_if_empty(&self.refusal),
            "annotations": self.annotations,
        });
        if let Some((field, text)) = self.reasoning {
            message[field] = text.into();
        }
        if !self.calls.is_empty() {
            message["tool_calls"] = self.calls.into();
        }
        if let Some((name, arguments)) = self.legacy {
            message["function_call"] = json!({"name": name, "arguments": arguments});
        }
        if !self.images.is_empty() {
            message["images"] = self.images.into();
        }
        let finish = self.finish;
        json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish})
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn one(value: &Value) -> Option<&Value> {
    match value.as_array()?.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
