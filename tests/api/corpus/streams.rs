//! Recorded streams of the backend give the completions that `expected.jsonl` has.

use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use crate::support::backend::{Answer, Backend, Pieces};
use crate::support::daemon::{Daemon, with};

struct Case {
    file: String,
    bytes: Vec<u8>,
    expected: Value,
}

fn cases(folder: &Path) -> Vec<Case> {
    let lines = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    lines
        .lines()
        .map(|line| {
            let expected: Value = serde_json::from_str(line).unwrap();
            let file = expected["file"].as_str().unwrap().to_owned();
            let bytes = std::fs::read(folder.join("responses").join(&file)).unwrap();
            Case { file, bytes, expected }
        })
        .collect()
}

/// The model that the expected completion names, which is what the client asked for.
fn model(expected: &Value) -> String {
    expected["completion"]["model"].as_str().unwrap_or("gpt-5.5").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CODEX_PROXY_CORPUS"]
async fn every_recorded_stream_gives_the_expected_completion() {
    let folder = super::folder();
    let schemas = Arc::new(Schemas::load(&folder));
    let cases: Arc<Vec<Case>> = Arc::new(cases(&folder));
    let mut models: Vec<String> = cases.iter().map(|case| model(&case.expected)).collect();
    models.sort();
    models.dedup();
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let played = Arc::clone(&cases);
    // Which stream to play, and how, stands in the prompt.
    let backend = Backend::start(&models, move |_, call| {
        let body = call.json();
        let prompt = body["input"][0]["content"][0]["text"].as_str().unwrap().to_owned();
        let (number, how) = prompt.split_once(' ').unwrap();
        let number: usize = number.parse().unwrap();
        let bytes = &played[number].bytes;
        match how {
            "crlf" => Answer::stream(as_crlf(bytes)).in_pieces(Pieces::Of(5)),
            "1" => Answer::stream(bytes.clone()).in_pieces(Pieces::Of(1)),
            "7" => Answer::stream(bytes.clone()).in_pieces(Pieces::Of(7)),
            "random" => Answer::stream(bytes.clone()).in_pieces(Pieces::Random(number as u64 + 1)),
            _ => Answer::stream(bytes.clone()),
        }
    })
    .await;
    // The streams are what counts here, and a broken one stays broken.
    let once = "[upstream]\nmax_retries = 0";
    let daemon = Arc::new(Daemon::with_settings(&backend.base_url, once).await);
    let runs = (0..cases.len())
        .flat_map(|number| ["whole", "1", "7", "random", "crlf"].map(|how| (number, how)));
    let tasks = stream::iter(runs).map(|(number, how)| {
        let (cases, daemon, schemas) =
            (Arc::clone(&cases), Arc::clone(&daemon), Arc::clone(&schemas));
        tokio::spawn(async move { check(&cases[number], number, how, &daemon, &schemas).await })
    });
    let outcomes: Vec<_> = tasks.buffer_unordered(16).collect().await;
    let failures: Vec<String> =
        outcomes.into_iter().filter_map(|outcome| outcome.unwrap().err()).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(cases.len() > 100);
}

/// Streams that were made up or shortened by hand, so that their deltas are not what the events
/// behind them say was told. Their expected completions have the deltas; what is said at last counts.
const CONTRADICTORY: [&str; 2] = [
    "synthetic/tool-arguments-done-disagrees-with-deltas.sse",
    "vercel-ai/openai-shell-container.1.sse",
];

/// The text or the arguments of the last item that is done and has any.
fn last_word(bytes: &[u8]) -> Option<String> {
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    let events = lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok());
    let done = events.filter(|event: &Value| event["type"] == "response.output_item.done");
    let word = |event: Value| {
        let item = &event["item"];
        let word = item["arguments"].as_str().or(item["content"][0]["text"].as_str());
        word.map(str::to_owned)
    };
    done.filter_map(word).next_back()
}

fn as_crlf(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

async fn check(
    case: &Case,
    number: usize,
    how: &str,
    daemon: &Daemon,
    schemas: &Schemas,
) -> Result<(), String> {
    let request = json!({"model": model(&case.expected),
        "messages": [{"role": "user", "content": format!("{number} {how}")}]});
    let (status, whole) = daemon.ask(&request).await;
    let streaming = with(request, json!({"stream_options": {"include_usage": true}}));
    let (stream_status, chunks) = daemon.stream(&streaming).await;
    let fail = |what: &str, got: &dyn std::fmt::Debug, wanted: &Value| {
        Err(format!("{} ({how}): {what}\n  got    {got:?}\n  wanted {wanted}", case.file))
    };
    let wanted = &case.expected["completion"];
    if CONTRADICTORY.contains(&&*case.file) {
        let message = &whole["choices"][0]["message"];
        let call = &message["tool_calls"][0]["function"]["arguments"];
        let told = call.as_str().or(message["content"].as_str());
        let word = last_word(&case.bytes);
        if status != 200 || told.is_none() || told != word.as_deref() {
            return fail("the last word", &whole, &json!(word));
        }
        if chunks.last().unwrap().get("error").is_none()
            || crate::support::daemon::finish(&chunks, 0).is_some()
        {
            return fail("the error line", &chunks, &Value::Null);
        }
        return Ok(());
    }
    if wanted.get("error").is_some() {
        if whole["error"] != wanted["error"] || status < 400 {
            return fail("the error", &(status, &whole), wanted);
        }
        let last = chunks.last().unwrap();
        if last["error"] != wanted["error"] {
            return fail("the error line", last, wanted);
        }
        let has_begun = case.expected["chunks"] != 1;
        if (stream_status == 200) != has_begun {
            return fail("the streamed status", &stream_status, &case.expected["chunks"]);
        }
        let partial = crate::support::daemon::content(&chunks, 0);
        if partial != case.expected["partial_content"].as_str().unwrap() {
            return fail("the partial content", &partial, &case.expected["partial_content"]);
        }
        if crate::support::daemon::finish(&chunks, 0).is_some() {
            return fail("a finish reason in a failed stream", &chunks, &Value::Null);
        }
    } else {
        if status != 200 {
            return fail("the status", &(status, &whole), wanted);
        }
        let mut got = comparable(&whole);
        // Pictures are not part of the expected completions.
        let pictures = got["choices"][0]["message"].as_object_mut().unwrap().remove("images");
        if got != comparable(wanted) {
            return fail("the completion", &got, wanted);
        }
        let rebuilt = rebuild(&chunks);
        if rebuilt != comparable(&whole) {
            return fail("the stream differs from the whole", &rebuilt, &comparable(&whole));
        }
        let pictures = pictures.and_then(|list| Some(list.as_array()?.len())).unwrap_or(0);
        if chunks.len() - pictures
            != usize::try_from(case.expected["chunks"].as_u64().unwrap()).unwrap()
        {
            return fail("the number of chunks", &chunks.len(), &case.expected["chunks"]);
        }
        schemas.check_completion(&whole).map_err(|error| format!("{}: {error}", case.file))?;
    }
    for chunk in chunks.iter().filter(|chunk| chunk.get("error").is_none()) {
        schemas.check_chunk(chunk).map_err(|error| format!("{}: {error}", case.file))?;
    }
    Ok(())
}

/// Without what differs from answer to answer.
fn comparable(completion: &Value) -> Value {
    let mut completion = completion.clone();
    completion["id"] = Value::Null;
    completion["created"] = Value::Null;
    completion
}

/// The completion that a client would build from the chunks.
fn rebuild(chunks: &[Value]) -> Value {
    let (usage, chunks) = chunks.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]), "the last chunk has the usage");
    let mut message = Map::new();
    let mut calls: Vec<Value> = Vec::new();
    let mut images = Vec::new();
    let mut finish = Value::Null;
    for chunk in chunks {
        assert_eq!(chunk["id"], usage["id"]);
        assert_eq!(chunk["created"], usage["created"]);
        assert_eq!(chunk.get("usage"), Some(&Value::Null), "{chunk}");
        let choice = &chunk["choices"][0];
        if !choice["finish_reason"].is_null() {
            assert!(finish.is_null());
            finish = choice["finish_reason"].clone();
        }
        for (key, value) in choice["delta"].as_object().unwrap() {
            match (key.as_str(), value) {
                ("tool_calls", Value::Array(deltas)) => {
                    for delta in deltas {
                        let index = usize::try_from(delta["index"].as_u64().unwrap()).unwrap();
                        if index == calls.len() {
                            let mut call = delta.clone();
                            call.as_object_mut().unwrap().remove("index");
                            calls.push(call);
                        } else {
                            assert!(delta.get("id").is_none() && delta.get("type").is_none());
                            let text = delta["function"]["arguments"].as_str().unwrap();
                            let known = &mut calls[index]["function"]["arguments"];
                            *known = format!("{}{text}", known.as_str().unwrap()).into();
                        }
                    }
                }
                ("images", Value::Array(list)) => images.extend(list.clone()),
                (_, Value::String(text)) => {
                    let known = message.get(key).and_then(Value::as_str).unwrap_or_default();
                    message.insert(key.clone(), format!("{known}{text}").into());
                }
                _ => {
                    message.insert(key.clone(), value.clone());
                }
            }
        }
    }
    message.entry("annotations").or_insert_with(|| json!([]));
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    if !images.is_empty() {
        message.insert("images".into(), images.into());
    }
    let has_other = message.contains_key("tool_calls") || !message["refusal"].is_null();
    if message["content"] == "" && has_other {
        message.insert("content".into(), Value::Null);
    }
    if message["content"].is_null() && !has_other {
        message.insert("content".into(), "".into());
    }
    json!({"id": null, "object": "chat.completion", "created": null, "model": usage["model"],
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": usage["usage"], "service_tier": usage["service_tier"],
        "system_fingerprint": null})
}

/// The documented shapes of what clients get.
struct Schemas {
    completion: jsonschema::Validator,
    chunk: jsonschema::Validator,
}

impl Schemas {
    fn load(corpus: &Path) -> Self {
        let load = |name: &str| {
            let path = corpus.join("../openapi").join(format!("{name}.schema.json"));
            let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            jsonschema::validator_for(&schema).unwrap()
        };
        Self {
            completion: load("CreateChatCompletionResponse"),
            chunk: load("CreateChatCompletionStreamResponse"),
        }
    }

    fn check_completion(&self, completion: &Value) -> Result<(), String> {
        check_schema(&self.completion, completion)
    }

    fn check_chunk(&self, chunk: &Value) -> Result<(), String> {
        check_schema(&self.chunk, chunk)
    }
}

/// Validates, except for the two nulls that the real API sends too.
fn check_schema(validator: &jsonschema::Validator, value: &Value) -> Result<(), String> {
    let mut value = value.clone();
    let fields = value.as_object_mut().unwrap();
    for name in ["system_fingerprint", "usage"] {
        if fields.get(name).is_some_and(Value::is_null) {
            fields.remove(name);
        }
    }
    validator.validate(&value).map_err(|error| format!("{error} in {value}"))
}
