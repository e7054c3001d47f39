//! What clients ask.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::answer::Choice;
use crate::mark::{CANARY, Turn};

/// A conversation as a client keeps it.
pub(crate) struct Conversation {
    tools: bool,
    choices: u64,
    messages: Vec<Value>,
}

impl Conversation {
    /// A new one.
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        let tools = rng.u8(0..10) < 4;
        let choices = if rng.u8(0..10) == 0 { 2 } else { 1 };
        let system = json!({"role": "system", "content": format!("Keep it {CANARY}.")});
        let messages = if rng.bool() { vec![system] } else { Vec::new() };
        Self { tools, choices, messages }
    }

    /// The simplest one.
    pub(crate) fn plain() -> Self {
        Self { tools: false, choices: 1, messages: Vec::new() }
    }

    /// How many answers are asked for at a time.
    pub(crate) fn choices(&self) -> u64 {
        self.choices
    }

    /// Asks something new; most prompts are short, some are long.
    pub(crate) fn ask(&mut self, turn: Turn, rng: &mut Rng) {
        let length = match rng.u8(0..50) {
            0 => rng.usize(50_000..300_000),
            1..10 => rng.usize(1000..20_000),
            _ => rng.usize(0..500),
        };
        let filling = "lorem ipsum ".repeat(length / 12);
        let content = format!("{CANARY} {} {filling}", turn.asked());
        self.messages.push(json!({"role": "user", "content": content}));
    }

    /// Takes an answer into the conversation. Gives whether it has tool calls, which are answered
    /// with the mark of the turn that follows.
    pub(crate) fn take(&mut self, choice: &Choice, next: Turn) -> bool {
        let calls: Vec<Value> = choice
            .calls
            .values()
            .map(|call| {
                json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}})
            })
            .collect();
        let mut message = json!({"role": "assistant", "content": choice.text});
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        self.messages.push(message);
        for call in choice.calls.values() {
            let content = format!("{CANARY} done {}", next.asked());
            self.messages.push(json!({"role": "tool", "tool_call_id": call.id,
                "content": content}));
        }
        !choice.calls.is_empty()
    }

    /// The request.
    pub(crate) fn body(&self, stream: bool) -> String {
        let mut body = json!({"model": "gpt-5.5", "messages": self.messages, "stream": stream});
        if stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        if self.tools {
            let parameters = json!({"type": "object", "additionalProperties": true});
            let tool = |name: &str| {
                json!({"type": "function",
                    "function": {"name": name, "parameters": parameters}})
            };
            body["tools"] = json!([tool("note"), tool("look")]);
        }
        if self.choices > 1 {
            body["n"] = self.choices.into();
        }
        body.to_string()
    }
}
