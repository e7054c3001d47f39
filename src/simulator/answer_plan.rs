//! Decides what to answer.

use serde_json::{Value, json};

use super::catalogue::Effort;
use super::directive::{Directives, Thinking, Wanted};
use super::request::{Choice, Request};
use super::schema;

/// The items of an answer, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// Thought; `summary` has one text per part.
    Reasoning { summary: Vec<String> },
    /// Said to the user.
    Message { phase: Phase, text: String, citation: Option<Citation> },
    /// Declined.
    Refusal { text: String },
    /// A function call; `arguments` is JSON text.
    Call { name: String, arguments: String },
    /// A custom tool's call.
    Custom { name: String, input: String },
    /// A web search that the backend made.
    Search { query: String },
    /// A picture that the backend made.
    Image { prompt: String },
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Commentary,
    FinalAnswer,
}

/// Which part of a text cites a page; offsets count code points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Citation {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// How much of a prompt an answer quotes, in characters.
const QUOTED: usize = 200;

/// The page that is cited.
pub(super) const PAGE_URL: &str = "https://example.com/simulated";
/// Its title.
pub(super) const PAGE_TITLE: &str = "Example Domain";

/// What to answer to a prompt (given without its directives).
pub(super) fn plan(request: Request<'_>, prompt: &str, directives: &Directives) -> Vec<Item> {
    let outputs = request.outputs();
    let mut items = Vec::new();
    items.extend(thinking(request, prompt, directives));

    // Once the tools have answered it is the turn of the text, or the calls would never end.
    if outputs.is_empty() {
        let calls = calls(request, prompt, directives);
        if !calls.is_empty() {
            if let Some(text) = &directives.commentary {
                items.push(message(Phase::Commentary, text.clone()));
            }
            items.extend(calls);
            return items;
        }
    }
    if let Some(text) = &directives.commentary {
        items.push(message(Phase::Commentary, text.clone()));
    }
    if let Some(text) = &directives.refusal {
        items.push(Item::Refusal { text: text.clone() });
        return items;
    }
    let asks = |word: &str| prompt.to_lowercase().contains(word);
    if directives.image || (request.offers("image_generation") && asks("draw")) {
        items.push(Item::Image { prompt: shorten(prompt) });
    }
    let searches = request.offers("web_search") && asks("search");
    if searches {
        items.push(Item::Search { query: shorten(prompt) });
    }

    let text = directives.text.clone().unwrap_or_else(|| {
        if let Some(text) = formatted(request, prompt) {
            return text;
        }
        if let Some(count) = directives.deltas {
            let words: Vec<String> = (1..=count).map(|n| format!("word{n}")).collect();
            return words.join(" ");
        }
        if outputs.is_empty() {
            return greeting(prompt);
        }
        let results: Vec<String> =
            outputs.iter().map(|output| format!("{} says: {}", output.tool, output.text)).collect();
        results.join("; ")
    });
    let answer =
        if searches || directives.cite { cited(&text) } else { message(Phase::FinalAnswer, text) };
    if directives.two_messages {
        items.push(answer.clone());
    }
    items.push(answer);
    items
}

fn message(phase: Phase, text: String) -> Item {
    Item::Message { phase, text, citation: None }
}

/// Thought, unless there is none to be had: with the least effort the model answers at once.
fn thinking(request: Request<'_>, prompt: &str, directives: &Directives) -> Option<Item> {
    let summary = match &directives.thinking {
        Thinking::Off => return None,
        Thinking::Say(text) => vec![text.clone()],
        Thinking::Asked
            if request.effort() <= request.model.least_effort().max(Effort::Minimal) =>
        {
            return None;
        }
        Thinking::Asked if request.wants_summary() => vec![
            format!("**Reading the request**\n\nThe user wrote: {}", shorten(prompt)),
            "**Preparing an answer**\n\nA short answer will do.".to_owned(),
        ],
        Thinking::Asked => Vec::new(),
    };
    Some(Item::Reasoning { summary })
}

/// The calls to make: those that directives ask for, else those that the prompt names.
fn calls(request: Request<'_>, prompt: &str, directives: &Directives) -> Vec<Item> {
    if directives.wrapper {
        return vec![wrapper(request, directives)];
    }
    if !directives.calls.is_empty() {
        return directives.calls.iter().map(|wanted| asked(request, wanted)).collect();
    }
    let (tools, must) = match request.choice() {
        Choice::Never => return Vec::new(),
        Choice::May(tools) => (tools, false),
        Choice::Must(tools) => (tools, true),
    };
    let named = |tool: &&Value| mentions(prompt, tool["name"].as_str().unwrap_or_default());
    let mut chosen: Vec<&Value> = tools.iter().copied().filter(named).collect();
    if chosen.is_empty() && must {
        chosen.extend(tools.first());
    }
    if !request.may_call_in_parallel() {
        chosen.truncate(1);
    }
    chosen.into_iter().map(|tool| call(tool, prompt)).collect()
}

fn call(tool: &Value, prompt: &str) -> Item {
    let name = tool["name"].as_str().unwrap_or_default().to_owned();
    if tool["type"] == "custom" {
        return Item::Custom { input: format!("input for {name}: {}", shorten(prompt)), name };
    }
    Item::Call { name, arguments: schema::generate(&tool["parameters"]).to_string() }
}

fn asked(request: Request<'_>, wanted: &Wanted) -> Item {
    match wanted {
        Wanted::Custom { name, input } => Item::Custom { name: name.clone(), input: input.clone() },
        Wanted::Function { name, arguments: Some(arguments) } => {
            Item::Call { name: name.clone(), arguments: arguments.clone() }
        }
        Wanted::Function { name, arguments: None } => {
            let tool = request.tools().iter().find(|tool| tool["name"] == **name);
            let schema = tool.map_or(&Value::Null, |tool| &tool["parameters"]);
            let arguments = if schema.is_null() { json!({}) } else { schema::generate(schema) };
            Item::Call { name: name.clone(), arguments: arguments.to_string() }
        }
    }
}

/// The undeclared `multi_tool_use.parallel`, around the calls that directives ask for, else
/// around every function there is.
fn wrapper(request: Request<'_>, directives: &Directives) -> Item {
    let calls: Vec<Item> = if directives.calls.is_empty() {
        let functions = request.tools().iter().filter(|tool| tool["type"] == "function");
        functions.map(|tool| call(tool, "")).collect()
    } else {
        directives.calls.iter().map(|wanted| asked(request, wanted)).collect()
    };
    let uses: Vec<Value> = calls
        .iter()
        .filter_map(|item| match item {
            Item::Call { name, arguments } => Some(json!({
                "recipient_name": format!("functions.{name}"),
                "parameters": serde_json::from_str::<Value>(arguments).unwrap_or_default(),
            })),
            _ => None,
        })
        .collect();
    Item::Call {
        name: "multi_tool_use.parallel".to_owned(),
        arguments: json!({ "tool_uses": uses }).to_string(),
    }
}

/// Whether a text names a tool: as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            !text[..at].ends_with(inside) && !text[at + name.len()..].starts_with(inside)
        })
}

/// JSON, if the request asks for it.
fn formatted(request: Request<'_>, prompt: &str) -> Option<String> {
    let format = &request.body["text"]["format"];
    match format["type"].as_str() {
        Some("json_schema") => Some(schema::generate(&format["schema"]).to_string()),
        Some("json_object") => Some(json!({ "answer": greeting(prompt) }).to_string()),
        _ => None,
    }
}

fn greeting(prompt: &str) -> String {
    if prompt.is_empty() {
        return "This is a simulated answer.".to_owned();
    }
    format!("This is a simulated answer to: {}", shorten(prompt))
}

fn cited(text: &str) -> Item {
    let start = text.chars().count() + 1;
    let link = format!("([example.com]({PAGE_URL}))");
    let end = start + link.chars().count();
    let citation = Some(Citation { start, end });
    Item::Message { phase: Phase::FinalAnswer, text: format!("{text} {link}"), citation }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn a_tool_is_named_by_its_whole_name() {
        assert!(mentions("Use the add tool", "add"));
        assert!(mentions("Call `add`.", "add"));
        assert!(!mentions("the address", "add"));
        assert!(!mentions("add_all", "add"));
        assert!(mentions("add_all or add", "add"));
        assert!(!mentions("anything", ""));
    }
}
