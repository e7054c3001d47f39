//! The cost of a request grows with its size: twice as much of anything is at most twice as many
//! steps, and some.

use super::*;
use crate::steps;

/// Steps of a request with these fields, from the parsed body to the bytes for the backend.
fn cost(fields: &Value) -> usize {
    let text = over(fields).to_string();
    let body = crate::json::parse(text.as_bytes()).unwrap();
    let (steps, ()) = steps::of(|| {
        // Refusals count as well: a limit must be found without much work.
        if let Ok(chat) = chat::request::Request::read(&body)
            && let Ok(translated) =
                translate(&chat, &model(), Policy::default(), &ReplaySource::unknown())
        {
            serde_json::to_string(&translated.request).unwrap();
        }
    });
    steps
}

fn object(count: usize, field: impl Fn(usize) -> (String, Value)) -> Value {
    Value::Object((0..count).map(field).collect())
}

fn list(count: usize, item: impl Fn(usize) -> Value) -> Value {
    Value::Array((0..count).map(item).collect())
}

/// So many messages.
fn said<'a>(message: impl Fn(usize) -> Value + 'a) -> Box<dyn Fn(usize) -> Value + 'a> {
    Box::new(move |count| json!({"messages": list(count, &message)}))
}

fn call(id: &str, name: &str) -> Value {
    let function = json!({"name": name, "arguments": "{}"});
    json!({"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": function}]})
}

fn outcome(id: &str, content: &Value) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

/// So many calls with their outcomes, of these ids.
fn turns<'a>(ids: impl Fn(usize) -> (String, String) + 'a) -> Box<dyn Fn(usize) -> Value + 'a> {
    Box::new(move |count| {
        let turn = |number| {
            let (of_call, of_outcome) = ids(number);
            [call(&of_call, "f"), outcome(&of_outcome, &json!("a"))]
        };
        json!({"messages": (0..count).flat_map(turn).collect::<Vec<_>>()})
    })
}

type Dimension<'a> = (&'a str, Box<dyn Fn(usize) -> Value + 'a>);

#[test]
fn settings_and_tools_cost_as_much_as_their_size() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let tool = |name: String| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    let alternative = |number: usize| {
        let name = format!("p{number}");
        json!({"type": "object", "properties": {"kind": {"const": number}, name: {"type": "string"}}})
    };
    let over_tools = |tools: Value| json!({ "tools": tools });
    let dimensions: Vec<Dimension<'_>> = vec![
        ("unknown fields", Box::new(|n| object(n, |i| (format!("x{i}"), json!(i))))),
        (
            "unknown fields of a tool",
            Box::new(|n| {
                let mut tool = object(n, |i| (format!("x{i}"), json!(i)));
                tool["type"] = "function".into();
                tool["name"] = "f".into();
                over_tools(json!([tool]))
            }),
        ),
        ("equal tools", Box::new(|n| over_tools(list(n, |_| tool("f".to_owned()))))),
        ("distinct tools", Box::new(|n| over_tools(list(n, |i| tool(format!("f{i}")))))),
        ("tools with aliases", Box::new(|n| over_tools(list(n, |i| tool(format!("f.{i}")))))),
        (
            "tools whose aliases collide",
            Box::new(|n| {
                let signs = ['.', '/', ':', ' '];
                over_tools(list(n, |i| {
                    let name: String = (0..8).map(|bit| signs[(i >> (2 * bit)) & 3]).collect();
                    tool(format!("f{name}"))
                }))
            }),
        ),
        (
            "legacy functions",
            Box::new(|n| json!({"functions": list(n, |i| json!({"name": format!("f{i}")}))})),
        ),
        ("equal searches", Box::new(|n| over_tools(list(n, |_| json!({"type": "web_search"}))))),
        (
            "different searches",
            Box::new(|n| {
                over_tools(list(
                    n,
                    |i| json!({"type": "web_search", "search_context_size": (["low", "high"])[i % 2]}),
                ))
            }),
        ),
        (
            "allowed tools",
            Box::new(|n| {
                let names =
                    list(n, |i| json!({"type": "function", "function": {"name": format!("f{i}")}}));
                json!({"tools": list(n, |i| tool(format!("f{i}"))),
                    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": names}}})
            }),
        ),
        (
            "alternatives of a schema",
            Box::new(|n| {
                over_tools(
                    json!([{"type": "function", "function": {"name": "f", "parameters": {"anyOf": list(n, alternative)}}}]),
                )
            }),
        ),
        (
            "references of a schema",
            Box::new(|n| {
                let step = |i: usize| json!({"allOf": [{"$ref": format!("#/$defs/d{}", i + 1)}, {"$ref": format!("#/$defs/d{}", i + 1)}]});
                let definitions = object(n, |i| (format!("d{i}"), step(i)));
                over_tools(json!([{"type": "function", "function": {"name": "f",
                    "parameters": {"allOf": [{"$ref": "#/$defs/d0"}, {}], "$defs": definitions}}}]))
            }),
        ),
        (
            "references side by side",
            Box::new(|n| {
                let definitions = object(n, |i| (format!("d{i}"), alternative(i)));
                let references = list(n, |i| json!({"$ref": format!("#/$defs/d{i}")}));
                over_tools(json!([{"type": "function", "function": {"name": "f",
                    "parameters": {"anyOf": references, "$defs": definitions}}}]))
            }),
        ),
        ("stops", Box::new(|n| json!({"stop": list(n, |i| json!(format!("s{i}")))}))),
        (
            "metadata",
            Box::new(|n| json!({"metadata": object(n, |i| (format!("m{i}"), json!("v")))})),
        ),
        ("values of `include`", Box::new(|n| json!({"include": list(n, |i| json!(i))}))),
        (
            "search domains",
            Box::new(|n| {
                let domains = list(n, |i| json!(format!("d{i}.example")));
                json!({"web_search_options": {"filters": {"allowed_domains": domains}}})
            }),
        ),
    ];
    hold_to_their_size(dimensions);
}

#[test]
fn histories_cost_as_much_as_their_size() {
    hold_to_their_size(vec![
        ("messages", said(|i| json!({"role": (["user", "assistant"])[i % 2], "content": "a"}))),
        (
            "messages with names",
            said(|i| json!({"role": "user", "name": format!("u{i}"), "content": "a"})),
        ),
        ("system messages", said(|_| json!({"role": "system", "content": "a"}))),
        (
            "system messages in between",
            said(|i| json!({"role": (["user", "system"])[i % 2], "content": "a"})),
        ),
        (
            "parts",
            Box::new(|n| {
                let parts = list(n, |_| json!({"type": "text", "text": "a"}));
                json!({"messages": [{"role": "user", "content": parts}]})
            }),
        ),
        (
            "parts of an outcome",
            Box::new(|n| {
                let parts = list(n, |i| json!({"type": "text", "text": i.to_string()}));
                json!({"messages": [call("c", "f"), outcome("c", &parts)]})
            }),
        ),
        ("calls and outcomes", turns(|i| (format!("c{i}"), format!("c{i}")))),
        ("calls of one id", turns(|_| ("c".to_owned(), "c".to_owned()))),
        ("calls without ids", turns(|_| (String::new(), String::new()))),
        ("calls without outcomes", said(|i| call(&format!("c{i}"), "f"))),
        ("outcomes without calls", said(|i| outcome(&format!("c{i}"), &json!("a")))),
        ("outcomes by name", turns(|_| (String::new(), "f".to_owned()))),
        (
            "long ids of one stem",
            turns(|i| {
                let id = format!("{:0<64}", format!("{}x", "a".repeat(57 + i % 6)));
                (id.clone(), id)
            }),
        ),
        (
            "ids that look as if they had been made unique",
            turns(|i| {
                let id = if i % 2 == 0 { "c".to_owned() } else { format!("c_{i}") };
                (id.clone(), id)
            }),
        ),
        (
            "calls of one message",
            Box::new(|n| {
                let calls = list(
                    n,
                    |i| json!({"id": format!("c{i}"), "function": {"name": format!("f{i}")}}),
                );
                let mut messages = vec![json!({"role": "assistant", "tool_calls": calls})];
                messages.extend((0..n).rev().map(|i| outcome(&format!("c{i}"), &json!("a"))));
                json!({ "messages": messages })
            }),
        ),
        (
            "calls in the deprecated form",
            Box::new(|n| {
                let turn = |i: usize| {
                    let name = format!("f{}", i % 3);
                    [
                        json!({"role": "assistant", "function_call": {"name": name, "arguments": "{}"}}),
                        json!({"role": "function", "name": name, "content": "a"}),
                    ]
                };
                json!({"messages": (0..n).flat_map(turn).collect::<Vec<_>>()})
            }),
        ),
        (
            "reasoning details",
            said(|i| {
                json!({"role": "assistant", "content": "a", "reasoning_details":
                [{"type": "reasoning.encrypted", "data": i.to_string(), "id": "rs", "index": 0}]})
            }),
        ),
        (
            "unknown fields of messages",
            said(|i| json!({"role": "user", "content": "a", format!("x{i}"): 1})),
        ),
    ]);
}

/// Twice as much takes twice as many steps, and some.
fn hold_to_their_size(dimensions: Vec<Dimension<'_>>) {
    for (name, fields) in dimensions {
        let once = cost(&fields(1000));
        let twice = cost(&fields(2000));
        assert!(once > 0, "{name}: nothing is counted");
        assert!(twice * 10 <= once * 22, "{name}: {once} steps, and {twice} for twice as much");
    }
}
