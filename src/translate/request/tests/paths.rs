//! What the client calls the fields that errors of the backend name.

use super::*;

fn paths(request: &Value) -> ClientPaths {
    send(request).plan.paths
}

#[test]
fn fields_of_tools_have_the_clients_names_in_every_form() {
    let f = |name: &str| json!({"type": "function", "function": {"name": name}});
    let tools = json!([
        f("a"), f("b"), f("a"),
        {"type": "function", "name": "c"},
        {"type": "custom", "custom": {"name": "d"}},
        {"type": "custom", "name": "e"},
        {"type": "image_generation", "size": "huge"}]);
    let modern = paths(&over(&json!({"tools": tools, "web_search_options": {}})));
    let legacy = paths(&over(
        &json!({"functions": [{"name": "a"}, {"name": "b"}], "function_call": "auto", "modalities": ["image"]}),
    ));
    for (paths, upstream, expected) in [
        // The first of the equal tools is not sent.
        (&modern, "tools[0].parameters", Some("tools[1].function.parameters")),
        (
            &modern,
            "tools[1].parameters.properties.x",
            Some("tools[2].function.parameters.properties.x"),
        ),
        (&modern, "tools[1].type", Some("tools[2].type")),
        (&modern, "tools[1]", Some("tools[2]")),
        (&modern, "tools[2].parameters", Some("tools[3].parameters")),
        (&modern, "tools[3].format", Some("tools[4].custom.format")),
        (&modern, "tools[4].name", Some("tools[5].name")),
        (&modern, "tools[5].size", Some("tools[6].size")),
        (&modern, "tools[6].search_context_size", Some("web_search_options.search_context_size")),
        (&modern, "tools[7].name", None),
        (&modern, "tools", None),
        (&modern, "tools[x].name", None),
        (&modern, "tool_choice", None),
        (&legacy, "tools[1].parameters", Some("functions[1].parameters")),
        (&legacy, "tools[2].size", Some("modalities")),
        (&legacy, "tool_choice.name", Some("function_call")),
    ] {
        assert_eq!(paths.of(upstream).as_deref(), expected, "{upstream}");
    }
}

#[test]
fn fields_of_messages_have_the_clients_names() {
    let image = json!({"type": "image_url", "image_url": {"url": "https://a.example/"}});
    let pdf = json!({"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let custom = json!({"id": "3", "type": "custom", "custom": {"name": "g", "input": "x"}});
    let messages = json!([
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": [text(""), text("a"), image, text(""), pdf]},
        {"role": "assistant", "content": "b", "tool_calls": [call("1"), call("2"), custom]},
        {"role": "tool", "tool_call_id": "2", "content": [text("r"), image]},
        {"role": "tool", "tool_call_id": "1", "content": "r"},
        {"role": "tool", "tool_call_id": "3", "content": "r"},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
        {"role": "user", "content": [pdf]}]);
    let asked = paths(&json!({"model": "m", "messages": messages}));
    for (upstream, expected) in [
        ("input[0].content[0].text", Some("messages[1].content")),
        ("input[0].role", Some("messages[1].role")),
        ("input[1]", Some("messages[2]")),
        ("input[1].content[0].text", Some("messages[2].content[1].text")),
        ("input[1].content[1].image_url", Some("messages[2].content[2].image_url.url")),
        ("input[1].content[2].file_data", Some("messages[2].content[4].file.file_data")),
        ("input[2].content[0].text", Some("messages[3].content")),
        ("input[3].arguments", Some("messages[3].tool_calls[0].function.arguments")),
        ("input[4].call_id", Some("messages[3].tool_calls[1].id")),
        ("input[5].input", Some("messages[3].tool_calls[2].custom.input")),
        // Outcomes stand in the order of their calls upstream.
        ("input[6].output", Some("messages[5].content")),
        ("input[7].output[1].image_url", Some("messages[4].content[1].image_url.url")),
        ("input[7].call_id", Some("messages[4].tool_call_id")),
        ("input[8].output", Some("messages[6].content")),
        ("input[9].name", Some("messages[7].function_call.name")),
        ("input[10].output", Some("messages[8].content")),
        ("input[11].content[0].file_data", Some("messages[9].content[0].file.file_data")),
        ("input[12]", None),
        ("input", None),
        ("inputs[0]", None),
    ] {
        assert_eq!(asked.of(upstream).as_deref(), expected, "{upstream}");
    }
    // System messages that stand in the input, behind a hint of our own
    let pictured = paths(&over(&json!({
        "messages": [{"role": "system", "content": [image]}, {"role": "user", "content": [image]}],
        "response_format": {"type": "json_object"}})));
    for (upstream, expected) in [
        ("input[0].content[0].text", None),
        ("input[1].content[0].image_url", Some("messages[0].content[0].image_url.url")),
        ("input[2].content[0].image_url", Some("messages[1].content[0].image_url.url")),
    ] {
        assert_eq!(pictured.of(upstream).as_deref(), expected, "{upstream}");
    }
}

#[test]
fn formats_and_texts_have_the_clients_names() {
    let schema = json!({"type": "object", "properties": {}});
    let format = |fields: Value| paths(&over(&fields));
    let standard = format(
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}),
    );
    let bare = format(json!({"response_format": {"type": "json_schema", "json_schema": schema}}));
    let flat =
        format(json!({"response_format": {"type": "json_schema", "name": "n", "schema": schema}}));
    let text =
        format(json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}}));
    for (paths, upstream, expected) in [
        (&standard, "text.format", "response_format"),
        (&standard, "text.format.schema", "response_format.json_schema.schema"),
        (
            &standard,
            "text.format.schema.properties",
            "response_format.json_schema.schema.properties",
        ),
        (&standard, "text.format.name", "response_format.json_schema.name"),
        (&bare, "text.format.schema", "response_format.json_schema"),
        (&flat, "text.format.schema", "response_format.schema"),
        (&flat, "text.format.name", "response_format.name"),
        (&text, "text.format.schema", "text.format.schema"),
        (&text, "text.format", "text.format"),
        (&standard, "reasoning.effort", "reasoning_effort"),
    ] {
        assert_eq!(paths.of(upstream).as_deref(), Some(expected), "{upstream}");
    }

    let file = json!([{"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]}]);
    let f = json!({"type": "function", "function": {"name": "f"}});
    let paths = paths(&over(&json!({"messages": file, "tools": [f]})));
    for (given, expected) in [
        (
            "Invalid 'input[0].content[0].file_data'. Expected base64.",
            "Invalid 'messages[1].content[0].file.file_data'. Expected base64.",
        ),
        (
            "Unknown parameter: tools[0].parameters.x.",
            "Unknown parameter: tools[0].function.parameters.x.",
        ),
        ("Both input[0] and tools[0].name: é", "Both messages[1] and tools[0].function.name: é"),
        ("The input is too long. See tools.", "The input is too long. See tools."),
        ("input[9] is not there", "input[9] is not there"),
        ("", ""),
    ] {
        assert_eq!(paths.in_text(given), expected);
    }
}
