//! What the client calls the fields of the upstream request: the backend names its own in errors.

use std::borrow::Cow;

use super::tools::Place;
use crate::chat::request::{Message, Part, Request, ResponseFormat, ToolContent, ToolResult};
use crate::responses::request::{Item, Output};

/// Where the parts of an upstream request come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientPaths {
    tools: Vec<Place>,
    items: Vec<Origin>,
    /// Parts that have another index in the client's message: item, part, the client's index.
    moved: Vec<(u32, u32, u32)>,
    /// Where the schema of the answer stands.
    schema: Option<&'static str>,
    legacy_choice: bool,
}

/// Where an item comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    message: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Made here.
    Own,
    /// The content of a message; whether its parts can be told apart.
    Content { has_parts: bool },
    /// A call of a function, with its index among the calls of the message.
    Call(u32),
    /// A call of a custom tool, with its index.
    CustomCall(u32),
    /// A call in the deprecated form.
    LegacyCall,
    /// The output of a call.
    Outcome { has_parts: bool },
    /// Anything else of a message.
    Other,
}

impl ClientPaths {
    /// `sources` tells for every item of the input which message it comes from.
    pub(super) fn new(
        chat: &Request<'_>,
        tools: Vec<Place>,
        items: &[Item<'_>],
        sources: &[Option<usize>],
    ) -> Self {
        let schema = match &chat.response_format {
            Some(ResponseFormat::JsonSchema(schema)) => Some(schema.place),
            _ => None,
        };
        let legacy_choice = chat.tool_choice_field == "function_call";
        let mut paths = Self { tools, schema, legacy_choice, ..Self::default() };
        paths.items.reserve_exact(items.len());
        let mut calls = (usize::MAX, 0);
        for (item, source) in items.iter().zip(sources) {
            let Some(source) = *source else {
                paths.items.push(Origin { message: 0, kind: Kind::Own });
                continue;
            };
            let message = &chat.messages[source];
            if calls.0 != source {
                calls = (source, 0);
            }
            let kind = match item {
                Item::Message { content, .. } => {
                    Kind::Content { has_parts: paths.match_parts(message, content.len()) }
                }
                Item::FunctionCall { .. } | Item::CustomToolCall { .. } => {
                    let index = calls.1;
                    calls.1 += 1;
                    match (message, item) {
                        (Message::Assistant(assistant), _)
                            if short(assistant.calls.len()) <= index =>
                        {
                            Kind::LegacyCall
                        }
                        (_, Item::FunctionCall { .. }) => Kind::Call(index),
                        _ => Kind::CustomCall(index),
                    }
                }
                Item::FunctionCallOutput { output, .. }
                | Item::CustomToolCallOutput { output, .. } => Kind::Outcome {
                    has_parts: match output {
                        Output::Parts(parts) => paths.match_parts(message, parts.len()),
                        Output::Text(_) => false,
                    },
                },
                Item::Reasoning { .. } | Item::WebSearchCall { .. } => Kind::Other,
            };
            paths.items.push(Origin { message: short(source), kind });
        }
        paths
    }

    /// Notes which parts of the message the next item's `count` parts are; false if that is not
    /// clear.
    fn match_parts(&mut self, message: &Message<'_>, count: usize) -> bool {
        let parts = match message {
            Message::Assistant(assistant) => &assistant.content,
            Message::System(said) | Message::User(said) => &said.content,
            Message::Tool(ToolResult { content: ToolContent::Parts(parts), .. })
            | Message::Function { content: ToolContent::Parts(parts), .. } => parts,
            _ => return false,
        };
        // A text alone may be a string in the client's message.
        if let [Part::Text(_)] = parts.as_slice() {
            return false;
        }
        let is_empty = |part: &Part<'_>| match part {
            Part::Text(text) => text.is_empty(),
            Part::Refusal(text) => text.is_empty(),
            Part::ToolResult(_) => true,
            Part::Image(_) | Part::File(_) => false,
        };
        let kept = parts.iter().filter(|part| !is_empty(part)).count();
        if kept != count {
            return false;
        }
        let item = short(self.items.len());
        let kept = parts.iter().enumerate().filter(|(_, part)| !is_empty(part));
        for (part, (index, _)) in kept.enumerate() {
            if part != index {
                self.moved.push((item, short(part), short(index)));
            }
        }
        true
    }

    /// What the client calls this field of the upstream request; nothing where that is not known.
    pub fn of(&self, field: &str) -> Option<String> {
        if let Some((index, rest)) = indexed(field, "tools") {
            return self.tools.get(index).map(|place| place.path(rest));
        }
        if let Some((index, rest)) = indexed(field, "input") {
            return self.item(index, rest);
        }
        if let Some(rest) = below(field, "text.format") {
            return Some(self.format(rest));
        }
        if below(field, "tool_choice").is_some() {
            return self.legacy_choice.then(|| "function_call".to_owned());
        }
        [("reasoning.effort", "reasoning_effort"), ("text.verbosity", "verbosity")]
            .iter()
            .find(|(upstream, _)| field == *upstream)
            .map(|(_, name)| (*name).to_owned())
    }

    /// The text with the client's names in place of the upstream ones.
    pub fn in_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let is_path = |c: char| c.is_ascii_alphanumeric() || "_.[]".contains(c);
        let mut out = String::new();
        let mut copied = 0;
        let mut at = 0;
        while let Some(start) = text[at..].find(is_path).map(|start| at + start) {
            let end = text[start..].find(|c| !is_path(c)).map_or(text.len(), |end| start + end);
            // The full stop of the sentence is none of the path.
            let path = text[start..end].trim_end_matches('.');
            at = end;
            let Some(name) = path.contains(['.', '[']).then(|| self.of(path)).flatten() else {
                continue;
            };
            out.push_str(&text[copied..start]);
            out.push_str(&name);
            copied = start + path.len();
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[copied..]);
        Cow::Owned(out)
    }

    fn item(&self, index: usize, rest: &str) -> Option<String> {
        let Origin { message, kind } = *self.items.get(index)?;
        let message = format!("messages[{message}]");
        let field = rest.strip_prefix('.').unwrap_or(rest);
        Some(match kind {
            Kind::Own => return None,
            Kind::Other => message,
            Kind::Content { has_parts } => match indexed(field, "content") {
                Some((part, rest)) if has_parts => self.part(index, &message, part, rest),
                Some(_) => message + ".content",
                None if field == "role" => message + ".role",
                None if field == "content" => message + ".content",
                None => message,
            },
            Kind::Outcome { has_parts } => match indexed(field, "output") {
                Some((part, rest)) if has_parts => self.part(index, &message, part, rest),
                Some(_) => message + ".content",
                None if field == "output" => message + ".content",
                None if field == "call_id" => message + ".tool_call_id",
                None => message,
            },
            Kind::LegacyCall => match field {
                "name" | "arguments" => format!("{message}.function_call.{field}"),
                _ => format!("{message}.function_call"),
            },
            Kind::Call(call) | Kind::CustomCall(call) => match field {
                "call_id" => format!("{message}.tool_calls[{call}].id"),
                "name" | "arguments" if matches!(kind, Kind::Call(_)) => {
                    format!("{message}.tool_calls[{call}].function.{field}")
                }
                "name" | "input" => format!("{message}.tool_calls[{call}].custom.{field}"),
                _ => format!("{message}.tool_calls[{call}]"),
            },
        })
    }

    fn part(&self, item: usize, message: &str, part: usize, rest: &str) -> String {
        let (item, part) = (short(item), short(part));
        let index = self.moved.binary_search_by_key(&(item, part), |&(item, part, _)| (item, part));
        let index = index.map_or(part, |found| self.moved[found].2);
        let inner = match rest {
            ".image_url" => ".image_url.url",
            ".detail" => ".image_url.detail",
            ".file_data" => ".file.file_data",
            ".filename" => ".file.filename",
            ".file_url" => ".file.file_url",
            ".text" | ".refusal" | ".type" => rest,
            _ => "",
        };
        format!("{message}.content[{index}]{inner}")
    }

    fn format(&self, rest: &str) -> String {
        let Some(place) = self.schema else { return "response_format".to_owned() };
        let envelope = place.strip_suffix(".schema").unwrap_or(place);
        match rest {
            "" => {
                place.split_once(".json_schema").map_or(envelope, |(format, _)| format).to_owned()
            }
            ".type" => "response_format.type".to_owned(),
            _ => match below(rest, ".schema") {
                Some(rest) => format!("{place}{rest}"),
                None => format!("{envelope}{rest}"),
            },
        }
    }
}

impl Place {
    /// The client's path of what is called `rest` below this tool upstream.
    fn path(self, rest: &str) -> String {
        match self {
            Self::Tool(index, inner) if rest.is_empty() || rest == ".type" || inner.is_empty() => {
                format!("tools[{index}]{rest}")
            }
            Self::Tool(index, inner) => format!("tools[{index}].{inner}{rest}"),
            Self::Function(index) => format!("functions[{index}]{rest}"),
            Self::WebSearchOptions => format!("web_search_options{rest}"),
            Self::Modalities => "modalities".to_owned(),
        }
    }
}

/// What follows `name`, if the path is that or leads into it.
fn below<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    path.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The index behind `name`, and what follows it: `tools[3].name`.
fn indexed<'p>(path: &'p str, name: &str) -> Option<(usize, &'p str)> {
    let (index, rest) = path.strip_prefix(name)?.strip_prefix('[')?.split_once(']')?;
    Some((index.parse().ok()?, rest))
}

/// Enough for any request: a message takes up more than one byte of at most some hundred MiB.
fn short(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
