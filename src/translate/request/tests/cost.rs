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
            && let Ok(translated) = translate(&chat, &model(), Policy::default(), &Past::unknown())
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

type Dimension<'a> = (&'a str, Box<dyn Fn(usize) -> Value + 'a>);

#[test]
fn twice_as_much_takes_twice_as_many_steps() {
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
    for (name, fields) in dimensions {
        let once = cost(&fields(1000));
        let twice = cost(&fields(2000));
        assert!(once > 0, "{name}: nothing is counted");
        assert!(twice * 10 <= once * 22, "{name}: {once} steps, and {twice} for twice as much");
    }
}
