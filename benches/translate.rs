//! What one event and one request cost.
//!
//! `event/parse` and `chunk/encode` are the parts of `pipeline`, which is all that happens to an
//! event between the backend's bytes and the client's. `request` is all that happens to a request
//! between the client's bytes and the backend's.
#![allow(clippy::unwrap_used, missing_docs)]

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use codex_proxy::chat::chunk::ChunkWriter;
use codex_proxy::chat::delta::{Delta, Heading, ReasoningField, Sink};
use codex_proxy::chat::request::Request;
use codex_proxy::conversation::TurnMemory;
use codex_proxy::conversation::{Key, ReplaySource, Scope, Turn, TurnStore};
use codex_proxy::effort::Effort;
use codex_proxy::responses::event::Event;
use codex_proxy::responses::request::Item;
use codex_proxy::service_tier::ServiceTier;
use codex_proxy::sse;
use codex_proxy::translate::plan::Plan;
use codex_proxy::translate::policy::Policy;
use codex_proxy::translate::request::{Model, translate};
use codex_proxy::translate::response::Reader;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::stream;
use serde_json::json;

const EVENTS: usize = 1000;

fn delta(number: usize) -> String {
    // In the order of the backend.
    format!(
        "{{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\"item_id\":\
         \"msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9\",\"output_index\":1,\"content_index\":0,\"delta\":\
         \" word\",\"logprobs\":[],\"obfuscation\":\"9fGh2kLmN0\"}}"
    )
}

fn writer() -> ChunkWriter {
    let heading = Heading {
        id: "chatcmpl-0123456789abcdef0123456789abcdef".into(),
        created: 1_780_000_000,
        model: "gpt-5.5".into(),
        service_tier: ServiceTier::Default,
    };
    ChunkWriter::new(&heading, 1, true, ReasoningField::ReasoningContent)
}

struct Chunks {
    writer: ChunkWriter,
    out: Vec<u8>,
}

impl Sink for Chunks {
    fn delta(&mut self, delta: Delta<'_>) {
        self.writer.delta(0, &delta, &mut self.out);
    }
}

fn events(c: &mut Criterion) {
    let data = delta(7);
    c.bench_function("event/parse", |b| b.iter(|| Event::parse(black_box(&data))));
    let mut writer = writer();
    let mut out = Vec::with_capacity(1 << 20);
    c.bench_function("chunk/encode", |b| {
        b.iter(|| {
            out.clear();
            writer.delta(0, &Delta::Content(black_box(" word")), &mut out);
        });
    });
}

/// Bytes in, bytes out: framing, parsing, reading and encoding, per event.
fn pipeline(c: &mut Criterion) {
    let events: Vec<String> = (0..EVENTS)
        .map(|number| format!("event: response.output_text.delta\ndata: {}\n\n", delta(number)))
        .collect();
    let body = events.concat();
    let one_each: Vec<Bytes> =
        body.split_inclusive("\n\n").map(|event| Bytes::from(event.to_owned())).collect();
    let large: Vec<Bytes> = body.as_bytes().chunks(64 << 10).map(Bytes::copy_from_slice).collect();
    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, reads) in [("one event per read", one_each), ("64 KiB per read", large)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let reads = stream::iter(reads.iter().cloned().map(Ok::<_, Infallible>));
                let mut events =
                    sse::events(reads, sse::Limits { event: 1 << 20, body: usize::MAX });
                let mut reader = Reader::new(Arc::new(Plan::default()));
                let mut chunks = Chunks { writer: writer(), out: Vec::with_capacity(1 << 19) };
                let mut cx = Context::from_waker(Waker::noop());
                while let Poll::Ready(Some(event)) = events.poll_event(&mut cx) {
                    reader.event(event.unwrap(), &mut chunks).unwrap();
                }
                black_box(chunks.out.len())
            });
        });
    }
    group.finish();
}

/// A conversation of an agent, of about so many bytes.
fn conversation(size: usize) -> Vec<u8> {
    let mut messages = vec![json!({"role": "system", "content": "You are an agent. ".repeat(40)})];
    let mut length = 0;
    for turn in 0.. {
        let text = format!("line one of turn {turn}\nline \"two\" with quotes\n").repeat(12);
        length += text.len() * 2 + 300;
        messages.push(json!({"role": "user", "content": text}));
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [{"id":
            format!("call_{turn}"), "type": "function", "function": {"name": "read_file",
            "arguments": "{\"path\":\"src/main.rs\"}"}}]}));
        messages
            .push(json!({"role": "tool", "tool_call_id": format!("call_{turn}"), "content": text}));
        if length > size.saturating_sub(1500) {
            break;
        }
    }
    json!({"model": "gpt-5.5", "stream": true, "messages": messages, "tools": [{"type": "function",
        "function": {"name": "read_file", "description": "Reads a file", "parameters": {"type":
        "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}}]})
    .to_string()
    .into_bytes()
}

fn model() -> Model {
    Model {
        slug: "gpt-5.5".into(),
        efforts: vec![Effort::Low, Effort::Medium, Effort::High],
        ultra: Effort::Max,
        effort: None,
        reasons: true,
        summaries: true,
        verbosity: true,
    }
}

fn requests(c: &mut Criterion) {
    let model = model();
    let mut group = c.benchmark_group("request");
    group.sample_size(10);
    for (name, size) in
        [("4 KiB", 4 << 10), ("512 KiB", 512 << 10), ("8 MiB", 8 << 20), ("64 MiB", 64 << 20)]
    {
        let body = conversation(size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let value = codex_proxy::json::parse(black_box(&body)).unwrap();
                let chat = Request::read(&value).unwrap();
                let translated =
                    translate(&chat, &model, Policy::default(), &ReplaySource::unknown()).unwrap();
                serde_json::to_vec(&translated.request).unwrap().len()
            });
        });
    }
    group.finish();
}

/// Finds every turn of a long conversation again, whether it is remembered or not.
struct Remembering(Option<Arc<Turn>>);

impl TurnStore for Remembering {
    fn recall(&self, _: Key) -> Option<Arc<Turn>> {
        self.0.clone()
    }
}

/// What looking for 200 remembered turns adds to translating the request that has them.
fn continuity(c: &mut Criterion) {
    let result = "a line of a file that was read\n".repeat(60);
    let mut messages = vec![json!({"role": "system", "content": "You are an agent. ".repeat(40)})];
    for turn in 0..200 {
        messages.push(json!({"role": "user", "content": format!("Please do step {turn}.")}));
        messages.push(json!({"role": "assistant", "content": "Reading.", "tool_calls": [{"id":
            format!("call_{turn}"), "type": "function", "function": {"name": "read_file",
            "arguments": "{\"path\":\"src/main.rs\",\"from\":1,\"to\":60}"}}]}));
        messages.push(
            json!({"role": "tool", "tool_call_id": format!("call_{turn}"), "content": result}),
        );
    }
    let body = json!({"model": "gpt-5.5", "messages": messages}).to_string();
    let translate_with = |past: &ReplaySource<'_>| {
        let value = codex_proxy::json::parse(body.as_bytes()).unwrap();
        let chat = Request::read(&value).unwrap();
        let translated = translate(&chat, &model(), Policy::default(), past).unwrap();
        serde_json::to_vec(&translated.request).unwrap().len()
    };
    // A turn that is not the one repeated: found, compared and left.
    let turn = Turn {
        items: vec![Item::FunctionCall {
            call_id: "call_x".into(),
            name: "read_file".into(),
            arguments: "{}".into(),
        }],
        text: "Reading.".into(),
        turn_state: None,
    };
    let mut group = c.benchmark_group("continuity");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for (name, memory) in [("200 turns, none known", None), ("200 turns, compared", Some(turn))] {
        let memory = Remembering(memory.map(Arc::new));
        let past = ReplaySource { scope: Scope::new("account", "gpt-5.5"), memory: &memory };
        group.bench_function(name, |b| b.iter(|| translate_with(black_box(&past))));
    }
    let memory = TurnMemory::new(64 << 20, std::time::Duration::from_secs(3600));
    let past = ReplaySource { scope: Scope::new("account", "gpt-5.5"), memory: &memory };
    group.bench_function("200 turns, the real memory", |b| {
        b.iter(|| translate_with(black_box(&past)));
    });
    group.bench_function("200 turns, without any", |b| {
        b.iter(|| translate_with(black_box(&ReplaySource::unknown())));
    });
    group.finish();
}

criterion_group!(benches, events, pipeline, requests, continuity);
criterion_main!(benches);
