//! Chunks of a streamed answer, written as server-sent events.
//!
//! A chunk is written as bytes around the one text that changes: the shared parts of an answer's
//! chunks are serialized once.

use serde::Serialize;

use super::delta::{
    Annotation, CallKind, Delta, FinishReason, Heading, ReasoningDetail, ReasoningField,
};
use super::usage::Usage;

/// Writes the chunks of an answer.
#[derive(Debug)]
pub struct ChunkWriter {
    /// The bytes up to the choices.
    head: Vec<u8>,
    /// For each choice, the bytes up to its delta.
    openings: Vec<Vec<u8>>,
    /// The end of a chunk without and with a finish reason.
    tails: Tails,
    /// Which choices have sent their role.
    introduced: Vec<bool>,
    /// Where reasoning goes.
    reasoning_field: ReasoningField,
}

/// The bytes after the delta of a choice.
#[derive(Debug, Clone, Copy)]
struct Tails {
    /// Without a finish reason.
    open: &'static str,
    /// After the finish reason.
    ended: &'static str,
}

const TAILS: Tails =
    Tails { open: "},\"logprobs\":null,\"finish_reason\":null}]}\n\n", ended: "}]}\n\n" };

const TAILS_WITH_USAGE: Tails = Tails {
    open: "},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n",
    ended: "}],\"usage\":null}\n\n",
};

/// What the first chunk of a choice contains besides the role.
#[derive(Clone, Copy)]
enum First {
    Text,
    Refusal,
    Other,
    Nothing,
}

impl ChunkWriter {
    /// A writer for an answer with so many choices. With `include_usage`, every chunk but the
    /// last says `"usage":null`. `reasoning_field` is where reasoning goes.
    pub fn new(
        heading: &Heading,
        choices: usize,
        include_usage: bool,
        reasoning_field: ReasoningField,
    ) -> Self {
        #[derive(Serialize)]
        struct Head<'a> {
            id: &'a str,
            object: &'static str,
            created: u64,
            model: &'a str,
            service_tier: super::delta::ServiceTier,
            system_fingerprint: Option<&'a str>,
        }
        let mut head = b"data: ".to_vec();
        write(
            &mut head,
            &Head {
                id: &heading.id,
                object: "chat.completion.chunk",
                created: heading.created,
                model: &heading.model,
                service_tier: heading.service_tier,
                system_fingerprint: None,
            },
        );
        head.pop();
        head.extend_from_slice(b",\"choices\":[");
        let openings = (0..choices)
            .map(|choice| {
                let mut opening = head.clone();
                opening.extend_from_slice(b"{\"index\":");
                write(&mut opening, &choice);
                opening.extend_from_slice(b",\"delta\":{");
                opening
            })
            .collect();
        Self {
            head,
            openings,
            tails: if include_usage { TAILS_WITH_USAGE } else { TAILS },
            introduced: vec![false; choices],
            reasoning_field,
        }
    }

    /// Writes one delta of a choice. The first one is preceded by a chunk with the role; with
    /// several choices, the roles of all are sent first, in order, since some clients order choices
    /// by their first chunk.
    pub fn delta(&mut self, choice: usize, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let first = match delta {
            Delta::Content(_) | Delta::Finish(_) => First::Text,
            Delta::Refusal(_) => First::Refusal,
            Delta::Call { kind: CallKind::Legacy, .. } => First::Nothing,
            _ => First::Other,
        };
        let is_first = !self.introduced[choice];
        if self.introduced.len() > 1 {
            for other in 0..self.introduced.len() {
                if !std::mem::replace(&mut self.introduced[other], true) {
                    self.role(other, First::Text, out);
                }
            }
        } else if is_first {
            self.introduced[choice] = true;
            self.role(choice, first, out);
        }
        match delta {
            Delta::Content(text) => self.text(choice, "content", text, out),
            Delta::Reasoning(text) => self.text(choice, self.reasoning_field.as_str(), text, out),
            Delta::Refusal(text) => self.text(choice, "refusal", text, out),
            Delta::Call { index, id, name, kind } => {
                self.call(choice, *index, id, name, *kind, is_first, out);
            }
            Delta::Arguments { index, text, kind } => {
                self.arguments(choice, *index, text, *kind, out);
            }
            Delta::Image { index, url } => self.chunk(choice, None, out, |out| {
                out.extend_from_slice(b"\"images\":");
                write(out, &[Image::new(*index, url)]);
            }),
            Delta::ReasoningDetails(details) => self.chunk(choice, None, out, |out| {
                out.extend_from_slice(b"\"reasoning_details\":");
                write::<[ReasoningDetail]>(out, details);
            }),
            Delta::Annotations(annotations) => self.chunk(choice, None, out, |out| {
                out.extend_from_slice(b"\"annotations\":");
                write::<[Annotation]>(out, annotations);
            }),
            Delta::Finish(reason) => self.chunk(choice, Some(*reason), out, |_| {}),
        }
    }

    /// Writes the usage chunk, which has no choices.
    pub fn usage(&self, usage: &Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"],\"usage\":");
        write(out, usage);
        out.extend_from_slice(b"}\n\n");
    }

    fn role(&self, choice: usize, first: First, out: &mut Vec<u8>) {
        let fields: &[u8] = match first {
            First::Text => b"\"role\":\"assistant\",\"content\":\"\",\"refusal\":null",
            First::Refusal => b"\"role\":\"assistant\",\"content\":null,\"refusal\":\"\"",
            First::Other => b"\"role\":\"assistant\",\"content\":null,\"refusal\":null",
            // The chunk with the call itself says it.
            First::Nothing => return,
        };
        self.chunk(choice, None, out, |out| out.extend_from_slice(fields));
    }

    fn text(&self, choice: usize, field: &str, text: &str, out: &mut Vec<u8>) {
        self.chunk(choice, None, out, |out| {
            out.push(b'"');
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(b"\":");
            string(out, text);
        });
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one call and where to write it")]
    fn call(
        &self,
        choice: usize,
        index: usize,
        id: &str,
        name: &str,
        kind: CallKind,
        is_first: bool,
        out: &mut Vec<u8>,
    ) {
        self.chunk(choice, None, out, |out| match kind {
            CallKind::Legacy => {
                if is_first {
                    out.extend_from_slice(b"\"role\":\"assistant\",\"content\":null,");
                }
                out.extend_from_slice(b"\"function_call\":");
                write(out, &Function { name: Some(name), arguments: "" });
            }
            CallKind::Function | CallKind::Custom => {
                out.extend_from_slice(b"\"tool_calls\":");
                write(out, &[Call::open(index, id, name, kind)]);
            }
        });
    }

    fn arguments(
        &self,
        choice: usize,
        index: usize,
        text: &str,
        kind: CallKind,
        out: &mut Vec<u8>,
    ) {
        self.chunk(choice, None, out, |out| match kind {
            CallKind::Legacy => {
                out.extend_from_slice(b"\"function_call\":");
                write(out, &Function { name: None, arguments: text });
            }
            CallKind::Function | CallKind::Custom => {
                out.extend_from_slice(b"\"tool_calls\":");
                write(out, &[Call::more(index, text, kind)]);
            }
        });
    }

    fn chunk(
        &self,
        choice: usize,
        finish: Option<FinishReason>,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Vec<u8>),
    ) {
        out.extend_from_slice(&self.openings[choice]);
        delta(out);
        let tail = match finish {
            None => self.tails.open,
            Some(reason) => {
                out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
                write(out, &reason);
                self.tails.ended
            }
        };
        out.extend_from_slice(tail.as_bytes());
    }
}

/// Writes a text as a JSON string. Most texts need no escaping.
fn string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        return write(out, text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Writes a value that cannot fail to be written.
fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Memory does not fail, and none of these types have keys other than strings.
    let _ = serde_json::to_writer(out, value);
}

/// An entry of `tool_calls`: first with id, type and name, then without.
#[derive(Serialize)]
struct Call<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Custom<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Custom<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    input: &'a str,
}

impl<'a> Call<'a> {
    fn open(index: usize, id: &'a str, name: &'a str, kind: CallKind) -> Self {
        let mut call = Self::new(index, Some(name), "", kind);
        call.id = Some(id);
        call.kind = Some(if kind == CallKind::Custom { "custom" } else { "function" });
        call
    }

    fn more(index: usize, text: &'a str, kind: CallKind) -> Self {
        Self::new(index, None, text, kind)
    }

    fn new(index: usize, name: Option<&'a str>, text: &'a str, kind: CallKind) -> Self {
        let is_custom = kind == CallKind::Custom;
        Self {
            index,
            id: None,
            kind: None,
            function: (!is_custom).then_some(Function { name, arguments: text }),
            custom: is_custom.then_some(Custom { name, input: text }),
        }
    }
}

/// A generated image, in the form that `OpenRouter` introduced. The index keeps accumulators of
/// SDKs from failing on a list.
#[derive(Debug, Serialize)]
pub(super) struct Image<'a> {
    index: usize,
    #[serde(rename = "type")]
    kind: &'static str,
    image_url: ImageUrl<'a>,
}

#[derive(Debug, Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
}

impl<'a> Image<'a> {
    pub(super) fn new(index: usize, url: &'a str) -> Self {
        Self { index, kind: "image_url", image_url: ImageUrl { url } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::delta::ServiceTier;

    fn writer(choices: usize, include_usage: bool) -> ChunkWriter {
        let heading = Heading {
            id: "chatcmpl-1".into(),
            created: 7,
            model: "m\"".into(),
            service_tier: ServiceTier::Default,
        };
        ChunkWriter::new(&heading, choices, include_usage, ReasoningField::ReasoningContent)
    }

    fn deltas(writer: &mut ChunkWriter, deltas: &[(usize, Delta<'_>)]) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        for (choice, delta) in deltas {
            writer.delta(*choice, delta, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        text.split_terminator("\n\n")
            .map(|event| {
                let data = event.strip_prefix("data: ").unwrap();
                let mut chunk: serde_json::Value = serde_json::from_str(data).unwrap();
                chunk["choices"][0].take()
            })
            .collect()
    }

    #[test]
    fn the_first_text_chunk_is_as_openai_writes_it() {
        let mut out = Vec::new();
        writer(1, false).delta(0, &Delta::Content("Hi"), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\
             \"model\":\"m\\\"\",\"service_tier\":\"default\",\"system_fingerprint\":null,\
             \"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\
             \"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]}\n\n\
             data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\
             \"model\":\"m\\\"\",\"service_tier\":\"default\",\"system_fingerprint\":null,\
             \"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"logprobs\":null,\
             \"finish_reason\":null}]}\n\n"
        );
    }

    #[test]
    fn id_type_and_name_of_a_call_come_once() {
        let kind = CallKind::Function;
        let got = deltas(
            &mut writer(1, true),
            &[
                (0, Delta::Call { index: 0, id: "call_1", name: "f", kind }),
                (0, Delta::Arguments { index: 0, text: "{}", kind }),
                (0, Delta::Finish(FinishReason::ToolCalls)),
            ],
        );
        assert_eq!(got.len(), 4);
        assert!(got[0]["delta"]["content"].is_null());
        assert_eq!(
            got[1]["delta"],
            serde_json::json!({"tool_calls":[{"index":0,"id":"call_1","type":"function",
                "function":{"name":"f","arguments":""}}]})
        );
        assert_eq!(
            got[2]["delta"],
            serde_json::json!({"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]})
        );
        assert_eq!(got[3]["delta"], serde_json::json!({}));
        assert_eq!(got[3]["finish_reason"], "tool_calls");
    }

    #[test]
    fn a_legacy_call_carries_the_role_itself() {
        let kind = CallKind::Legacy;
        let got = deltas(
            &mut writer(1, false),
            &[
                (0, Delta::Call { index: 0, id: "call_1", name: "f", kind }),
                (0, Delta::Arguments { index: 0, text: "{}", kind }),
            ],
        );
        assert_eq!(
            got[0]["delta"],
            serde_json::json!({"role":"assistant","content":null,
                "function_call":{"name":"f","arguments":""}})
        );
        assert_eq!(got[1]["delta"], serde_json::json!({"function_call":{"arguments":"{}"}}));
    }

    #[test]
    fn several_choices_are_introduced_in_order_before_anything_else() {
        let got = deltas(&mut writer(3, false), &[(2, Delta::Refusal("no"))]);
        let indexes: Vec<_> = got.iter().map(|choice| choice["index"].as_u64().unwrap()).collect();
        assert_eq!(indexes, [0, 1, 2, 2]);
        assert_eq!(got[3]["delta"], serde_json::json!({"refusal":"no"}));
    }
}
