//! One output item as events: how it opens, grows and closes.

use serde_json::{Value, json};

use super::answer_plan::{Citation, Item, PAGE_TITLE, PAGE_URL, Phase};
use super::deltas::{even, obfuscation, words};
use super::ids::Ids;
use super::usage::tokens;

/// A white pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg==";

/// The events of an item.
#[derive(Debug, Default)]
pub(super) struct ItemEvents {
    pub(super) opening: Vec<Value>,
    pub(super) deltas: Vec<Value>,
    pub(super) closing: Vec<Value>,
    /// The finished item.
    pub(super) item: Value,
    pub(super) output_tokens: u64,
    pub(super) reasoning_tokens: u64,
}

/// How items are written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// Cut texts into so many deltas.
    pub(super) deltas: Option<usize>,
    /// Leave so many of them, and the item incomplete.
    pub(super) keep: Option<usize>,
    /// Whether the item is the one that is left incomplete.
    pub(super) incomplete: bool,
    /// Give arguments with the finished item only.
    pub(super) done_only: bool,
}

impl Style {
    /// The text, as far as it is written, in deltas.
    fn chunks(self, text: &str) -> Vec<String> {
        let mut chunks = match self.deltas {
            Some(count) => even(text, count),
            None => words(text),
        };
        if let Some(keep) = self.keep {
            chunks.truncate(keep);
        }
        chunks
    }

    fn status(self) -> &'static str {
        if self.incomplete { "incomplete" } else { "completed" }
    }
}

/// What every event of an item says.
struct Place {
    index: usize,
    id: String,
}

impl Place {
    fn event(&self, kind: &str, more: Value) -> Value {
        let mut event = json!({ "type": kind, "output_index": self.index, "item_id": self.id });
        if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
            event.extend(more);
        }
        event
    }

    fn item(&self, kind: &str, item: &Value) -> Value {
        json!({ "type": kind, "output_index": self.index, "item": item })
    }

    fn added(&self, item: &Value) -> Value {
        self.item("response.output_item.added", item)
    }

    fn done(&self, item: &Value) -> Value {
        self.item("response.output_item.done", item)
    }
}

/// The events of one item at its place in the output. `seal` gives the encrypted content of
/// reasoning, if it was asked for.
pub(super) fn write(
    item: &Item,
    index: usize,
    ids: &mut Ids,
    style: Style,
    seal: impl Fn(&str) -> Option<String>,
) -> ItemEvents {
    let mut place = |prefix: &str| Place { index, id: ids.next(prefix) };
    match item {
        Item::Reasoning { summary } => {
            let place = place("rs");
            let sealed = seal(&place.id);
            reasoning(&place, summary, sealed)
        }
        Item::Message { phase, text, citation } => {
            message(&place("msg"), *phase, text, citation.as_ref(), style)
        }
        Item::Refusal { text } => refusal(&place("msg"), text, style),
        Item::Call { name, arguments } => {
            let place = place("fc");
            call(&place, &FUNCTION, &ids.next("call"), name, arguments, style)
        }
        Item::Custom { name, input } => {
            let place = place("ctc");
            call(&place, &CUSTOM, &ids.next("call"), name, input, style)
        }
        Item::Search { query } => search(&place("ws"), query),
        Item::Image { prompt } => image(&place("ig"), prompt),
    }
}

fn reasoning(place: &Place, summary: &[String], sealed: Option<String>) -> ItemEvents {
    let mut item = json!({ "type": "reasoning", "id": place.id, "content": [], "summary": [] });
    if let Some(sealed) = &sealed {
        // What comes with the opening is not final: only the finished item can be replayed.
        item["encrypted_content"] = json!(sealed[..sealed.len() / 2]);
    }
    let mut piece = ItemEvents { opening: vec![place.added(&item)], ..ItemEvents::default() };
    let mut parts = Vec::new();
    for (number, text) in summary.iter().enumerate() {
        let event = |kind: &str, mut more: Value| {
            more["summary_index"] = json!(number);
            place.event(&format!("response.reasoning_summary_{kind}"), more)
        };
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        piece.opening.push(event("part.added", json!({ "part": part("") })));
        for chunk in words(text) {
            let more = json!({ "delta": chunk, "obfuscation": obfuscation(&chunk) });
            piece.opening.push(event("text.delta", more));
        }
        piece.opening.push(event("text.done", json!({ "text": text })));
        piece.opening.push(event("part.done", json!({ "part": part(text) })));
        parts.push(part(text));
        piece.reasoning_tokens += tokens(text);
    }
    if let Some(sealed) = sealed {
        item["encrypted_content"] = json!(sealed);
    }
    item["summary"] = Value::Array(parts);
    piece.closing.push(place.done(&item));
    // There is more thought than its summary tells.
    piece.reasoning_tokens += 16;
    piece.output_tokens = piece.reasoning_tokens;
    piece.item = item;
    piece
}

fn message(
    place: &Place,
    phase: Phase,
    text: &str,
    citation: Option<&Citation>,
    style: Style,
) -> ItemEvents {
    let chunks = style.chunks(text);
    let text = chunks.concat();
    let phase = match phase {
        Phase::Commentary => "commentary",
        Phase::FinalAnswer => "final_answer",
    };
    let citation = citation.filter(|citation| citation.end <= text.chars().count());
    let annotations: Vec<Value> = citation
        .map(|citation| {
            json!({
                "type": "url_citation",
                "start_index": citation.start,
                "end_index": citation.end,
                "title": PAGE_TITLE,
                "url": PAGE_URL,
            })
        })
        .into_iter()
        .collect();
    let part = |text: &str, annotations: &[Value]| json!({ "type": "output_text", "annotations": annotations, "logprobs": [], "text": text });
    let item = |status: &str, content: Value| {
        json!({
            "type": "message",
            "id": place.id,
            "role": "assistant",
            "phase": phase,
            "status": status,
            "content": content,
        })
    };
    let deltas = chunks.iter().map(|chunk| {
        place.event(
            "response.output_text.delta",
            json!({
                "content_index": 0,
                "delta": chunk,
                "logprobs": [],
                "obfuscation": obfuscation(chunk),
            }),
        )
    });
    let deltas = deltas.collect();
    let done = item(style.status(), json!([part(&text, &annotations)]));
    let mut closing: Vec<Value> = annotations
        .iter()
        .enumerate()
        .map(|(number, annotation)| {
            place.event(
                "response.output_text.annotation.added",
                json!({
                    "content_index": 0,
                    "annotation_index": number,
                    "annotation": annotation,
                }),
            )
        })
        .collect();
    closing.extend([
        place.event(
            "response.output_text.done",
            json!({ "content_index": 0, "logprobs": [], "text": text }),
        ),
        place.event(
            "response.content_part.done",
            json!({ "content_index": 0, "part": part(&text, &annotations) }),
        ),
        place.done(&done),
    ]);
    ItemEvents {
        opening: vec![
            place.added(&item("in_progress", json!([]))),
            place.event(
                "response.content_part.added",
                json!({ "content_index": 0, "part": part("", &[]) }),
            ),
        ],
        deltas,
        closing,
        item: done,
        output_tokens: tokens(&text),
        reasoning_tokens: 0,
    }
}

fn refusal(place: &Place, text: &str, style: Style) -> ItemEvents {
    let chunks = style.chunks(text);
    let text = chunks.concat();
    let part = |text: &str| json!({ "type": "refusal", "refusal": text });
    let item = |status: &str, content: Value| {
        json!({
            "type": "message",
            "id": place.id,
            "role": "assistant",
            "phase": "final_answer",
            "status": status,
            "content": content,
        })
    };
    let done = item(style.status(), json!([part(&text)]));
    let event = |kind: &str, more: Value| place.event(&format!("response.{kind}"), more);
    ItemEvents {
        opening: vec![
            place.added(&item("in_progress", json!([]))),
            event("content_part.added", json!({ "content_index": 0, "part": part("") })),
        ],
        deltas: chunks
            .iter()
            .map(|chunk| event("refusal.delta", json!({ "content_index": 0, "delta": chunk })))
            .collect(),
        closing: vec![
            event("refusal.done", json!({ "content_index": 0, "refusal": text })),
            event("content_part.done", json!({ "content_index": 0, "part": part(&text) })),
            place.done(&done),
        ],
        item: done,
        output_tokens: tokens(&text),
        reasoning_tokens: 0,
    }
}

/// How the two kinds of calls differ on the wire.
struct Kind {
    item: &'static str,
    field: &'static str,
    event: &'static str,
}

const FUNCTION: Kind =
    Kind { item: "function_call", field: "arguments", event: "response.function_call_arguments" };
const CUSTOM: Kind =
    Kind { item: "custom_tool_call", field: "input", event: "response.custom_tool_call_input" };

fn call(
    place: &Place,
    kind: &Kind,
    call_id: &str,
    name: &str,
    input: &str,
    style: Style,
) -> ItemEvents {
    let chunks = style.chunks(input);
    let input = chunks.concat();
    let item = |status: &str, input: &str| {
        json!({
            "type": kind.item,
            "id": place.id,
            "call_id": call_id,
            "name": name,
            "status": status,
            kind.field: input,
        })
    };
    let done = item(style.status(), &input);
    let mut piece = ItemEvents {
        opening: vec![place.added(&item("in_progress", ""))],
        output_tokens: tokens(name) + tokens(&input),
        ..ItemEvents::default()
    };
    if !style.done_only {
        piece.deltas = chunks
            .iter()
            .map(|chunk| {
                let more = json!({ "delta": chunk, "obfuscation": obfuscation(chunk) });
                place.event(&format!("{}.delta", kind.event), more)
            })
            .collect();
        let more = json!({ kind.field: input });
        piece.closing.push(place.event(&format!("{}.done", kind.event), more));
    }
    piece.closing.push(place.done(&done));
    piece.item = done;
    piece
}

fn search(place: &Place, query: &str) -> ItemEvents {
    let item = |status: &str, action: Value| json!({ "type": "web_search_call", "id": place.id, "status": status, "action": action });
    let event = |step: &str| place.event(&format!("response.web_search_call.{step}"), json!({}));
    let action = json!({ "type": "search", "query": query, "queries": [query] });
    let done = item("completed", action);
    ItemEvents {
        opening: vec![
            place.added(&item("in_progress", json!({ "type": "search" }))),
            event("in_progress"),
            event("searching"),
        ],
        closing: vec![event("completed"), place.done(&done)],
        item: done,
        ..ItemEvents::default()
    }
}

fn image(place: &Place, prompt: &str) -> ItemEvents {
    let opened =
        json!({ "type": "image_generation_call", "id": place.id, "status": "in_progress" });
    let event = |step: &str, more: Value| {
        place.event(&format!("response.image_generation_call.{step}"), more)
    };
    let look = json!({
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
    });
    let mut preview = look.clone();
    preview["partial_image_index"] = json!(0);
    preview["partial_image_b64"] = json!(PNG);
    let mut done = look;
    done["type"] = json!("image_generation_call");
    done["id"] = json!(place.id);
    done["status"] = json!("completed");
    done["revised_prompt"] = json!(prompt);
    done["result"] = json!(PNG);
    ItemEvents {
        opening: vec![
            place.added(&opened),
            event("in_progress", json!({})),
            event("generating", json!({})),
            event("partial_image", preview),
        ],
        closing: vec![event("completed", json!({})), place.done(&done)],
        item: done,
        ..ItemEvents::default()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    #[test]
    fn the_picture_is_one() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(super::PNG).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    }
}
