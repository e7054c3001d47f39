use serde_json::json;

use super::*;
use crate::effort::Effort;

/// The refusal of a request with these fields over a plain question.
fn refusal(fields: &serde_json::Value) -> InvalidRequest {
    let text = over(fields);
    let body = crate::json::parse(text.as_bytes()).unwrap();
    match Request::read(&body) {
        Err(reject) => reject,
        Ok(_) => panic!("{text} is not refused"),
    }
}

/// Reads a request with these fields over a plain question.
fn reads(fields: &serde_json::Value, check: impl FnOnce(Request<'_>) -> bool) {
    let text = over(fields);
    let body = crate::json::parse(text.as_bytes()).unwrap();
    let request = Request::read(&body).unwrap_or_else(|reject| panic!("{text}: {reject}"));
    let shown = format!("{request:?}");
    assert!(check(request), "{text}: {shown}");
}

fn over(fields: &serde_json::Value) -> String {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    body.to_string()
}

fn message(message: &serde_json::Value) -> serde_json::Value {
    json!({ "messages": [message] })
}

fn part(part: &serde_json::Value) -> serde_json::Value {
    message(&json!({"role": "user", "content": [part]}))
}

fn image(url: &str) -> serde_json::Value {
    part(&json!({"type": "image_url", "image_url": {"url": url}}))
}

fn file(file: &serde_json::Value) -> serde_json::Value {
    part(&json!({"type": "file", "file": file}))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn mistakes_are_refused_with_the_field_the_code_and_what_would_be_right() {
    let call = |call| message(&json!({"role": "assistant", "tool_calls": [call]}));
    let tool = |tool| json!({ "tools": [tool] });
    let function = |function| json!({"tools": [{"type": "function", "function": function}]});
    let format = |format| json!({ "response_format": format });
    let at_part = "messages[0].content[0]";
    let cases = [
        // The top level
        (json!({"model": null}), "model", "missing_required_parameter", "must provide a model"),
        (json!({"model": " "}), "model", "missing_required_parameter", "must provide a model"),
        (json!({"model": 7}), "model", "invalid_type", "expected a string, but got an integer"),
        (json!({"messages": null}), "messages", "missing_required_parameter", "'messages'"),
        (
            json!({"messages": null, "input": "Hi"}),
            "messages",
            "missing_required_parameter",
            "/v1/responses",
        ),
        (
            json!({"messages": []}),
            "messages",
            "empty_array",
            "minimum length 1, but got an empty array",
        ),
        (
            json!({"messages": "Hi"}),
            "messages",
            "invalid_type",
            "expected an array, but got a string",
        ),
        (json!({"stream": "true"}), "stream", "invalid_type", "expected a boolean"),
        (
            json!({"stream": true, "stream_options": 1}),
            "stream_options",
            "invalid_type",
            "an object",
        ),
        (
            json!({"stream": true, "stream_options": {"include_usage": 1}}),
            "stream_options.include_usage",
            "invalid_type",
            "a boolean",
        ),
        (
            json!({"max_completion_tokens": -3}),
            "max_completion_tokens",
            "integer_below_min_value",
            "got -3",
        ),
        (
            json!({"max_tokens": 1.5}),
            "max_tokens",
            "invalid_type",
            "an integer, but got a decimal number",
        ),
        (json!({"max_output_tokens": "9"}), "max_output_tokens", "invalid_type", "an integer"),
        (json!({"stop": 7}), "stop", "invalid_type", "a string or an array"),
        (json!({"stop": ["a", 7]}), "stop[1]", "invalid_type", "a string"),
        (
            json!({"stop": ["a", "", "b", "c", "d", "e"]}),
            "stop",
            "array_above_max_length",
            "maximum length 4, but got an array with length 5",
        ),
        (json!({"n": 0}), "n", "integer_below_min_value", ">= 1, but got 0"),
        (json!({"n": "2"}), "n", "invalid_type", "an integer"),
        (json!({"n": 5_000_000_000_u64}), "n", "invalid_type", "a small integer"),
        (json!({"temperature": 2.1}), "temperature", "decimal_above_max_value", "between 0 and 2"),
        (json!({"temperature": "0"}), "temperature", "invalid_type", "a number"),
        (json!({"top_p": -0.1}), "top_p", "decimal_below_min_value", "between 0 and 1"),
        (
            json!({"presence_penalty": 3}),
            "presence_penalty",
            "decimal_above_max_value",
            "between -2 and 2",
        ),
        (
            json!({"frequency_penalty": -3}),
            "frequency_penalty",
            "decimal_below_min_value",
            "between -2 and 2",
        ),
        (json!({"logprobs": true}), "logprobs", "unsupported_parameter", "log probabilities"),
        (json!({"logprobs": 1}), "logprobs", "invalid_type", "a boolean"),
        (json!({"top_logprobs": 2}), "top_logprobs", "unsupported_parameter", "log probabilities"),
        (json!({"modalities": ["text", "audio"]}), "modalities", "unsupported_value", "[\"text\"]"),
        (
            json!({"modalities": ["video"]}),
            "modalities[0]",
            "invalid_value",
            "'text', 'image', and 'audio'",
        ),
        (json!({"store": "yes"}), "store", "invalid_type", "a boolean"),
        (json!({"metadata": []}), "metadata", "invalid_type", "an object"),
        (
            json!({"metadata": (0..17).map(|n| (n.to_string(), json!("v"))).collect::<serde_json::Map<_, _>>()}),
            "metadata",
            "object_above_max_properties",
            "at most 16, but got 17",
        ),
        (json!({"logit_bias": 1}), "logit_bias", "invalid_type", "an object"),
        (json!({"prompt_cache_key": 1}), "prompt_cache_key", "invalid_type", "a string"),
        (
            json!({"service_tier": "gold"}),
            "service_tier",
            "invalid_value",
            "'priority', and 'fast'",
        ),
        (json!({"verbosity": "loud"}), "verbosity", "invalid_value", "'low', 'medium', and 'high'"),
        (json!({"text": {"verbosity": "loud"}}), "text.verbosity", "invalid_value", "'low'"),
        (
            json!({"reasoning_effort": "ultimate"}),
            "reasoning_effort",
            "invalid_value",
            "'max', and 'ultra'",
        ),
        (json!({"reasoning": {"effort": 1}}), "reasoning.effort", "invalid_type", "a string"),
        (
            json!({"reasoning": {"summary": "long"}}),
            "reasoning.summary",
            "invalid_value",
            "'detailed'",
        ),
        (json!({"reasoning": "high"}), "reasoning", "invalid_type", "an object"),
        (json!({"parallel_tool_calls": 1}), "parallel_tool_calls", "invalid_type", "a boolean"),
        (json!({"web_search_options": true}), "web_search_options", "invalid_type", "an object"),
        (
            json!({"web_search_options": {"search_context_size": "xl"}}),
            "web_search_options.search_context_size",
            "invalid_value",
            "'low'",
        ),
        (
            json!({"web_search_options": {"user_location": {"approximate": {"city": 1}}}}),
            "web_search_options.user_location.approximate.city",
            "invalid_type",
            "a string",
        ),
        // response_format
        (format(json!("json_object")), "response_format", "invalid_type", "an object"),
        (
            format(json!({})),
            "response_format.type",
            "missing_required_parameter",
            "'response_format.type'",
        ),
        (
            format(json!({"type": "xml"})),
            "response_format.type",
            "invalid_value",
            "'json_object', 'json_schema', and 'text'",
        ),
        (
            format(json!({"type": "json_schema"})),
            "response_format.json_schema",
            "missing_required_parameter",
            "json_schema",
        ),
        (
            format(json!({"type": "json_schema", "json_schema": {"name": ""}})),
            "response_format.json_schema.name",
            "invalid_value",
            "such as 'response'",
        ),
        (
            format(json!({"type": "json_schema", "json_schema": {"name": "a", "schema": 1}})),
            "response_format.json_schema.schema",
            "invalid_type",
            "an object",
        ),
        (
            format(json!({"type": "json_schema", "json_schema": {"name": "a", "strict": "yes"}})),
            "response_format.json_schema.strict",
            "invalid_type",
            "a boolean",
        ),
        // Messages
        (message(&json!("Hi")), "messages[0]", "invalid_type", "an object, but got a string"),
        (
            message(&json!({"content": "Hi"})),
            "messages[0].role",
            "missing_required_parameter",
            "role",
        ),
        (
            message(&json!({"role": "robot"})),
            "messages[0].role",
            "invalid_value",
            "'system', 'assistant', 'user', 'function', 'tool', and 'developer'",
        ),
        (
            message(&json!({"role": "user", "content": 7})),
            "messages[0].content",
            "invalid_type",
            "a string or an array",
        ),
        (message(&json!({"role": "user", "content": [7]})), at_part, "invalid_type", "an object"),
        (
            message(&json!({"role": "tool", "tool_call_id": {}})),
            "messages[0].tool_call_id",
            "invalid_type",
            "a string",
        ),
        (
            message(&json!({"role": "assistant", "refusal": 7})),
            "messages[0].refusal",
            "invalid_type",
            "a string",
        ),
        (
            message(&json!({"role": "assistant", "audio": {"id": "a"}})),
            "messages[0].audio",
            "unsupported_value",
            "send its transcript",
        ),
        (
            message(&json!({"role": "assistant", "tool_calls": 7})),
            "messages[0].tool_calls",
            "invalid_type",
            "an array",
        ),
        (
            call(json!({"id": "1"})),
            "messages[0].tool_calls[0].function",
            "missing_required_parameter",
            "function",
        ),
        (
            call(json!({"type": "mcp"})),
            "messages[0].tool_calls[0].type",
            "invalid_value",
            "'function' and 'custom'",
        ),
        // Parts
        (part(&json!({})), "messages[0].content[0].type", "missing_required_parameter", "type"),
        (
            part(&json!({"type": "text"})),
            "messages[0].content[0].text",
            "missing_required_parameter",
            "text",
        ),
        (
            part(&json!({"type": "text", "text": 7})),
            "messages[0].content[0].text",
            "invalid_type",
            "a string",
        ),
        (
            part(&json!({"type": "video_url"})),
            "messages[0].content[0].type",
            "invalid_value",
            "'image_url', 'input_audio', 'refusal', 'audio', and 'file'",
        ),
        (
            part(&json!({"type": "tool_use"})),
            "messages[0].content[0].type",
            "invalid_value",
            "'text'",
        ),
        (
            part(&json!({"type": "input_audio", "input_audio": {}})),
            "messages[0].content[0].type",
            "unsupported_value",
            "Transcribe it first",
        ),
        (
            part(&json!({"type": "image_url"})),
            "messages[0].content[0].image_url",
            "missing_required_parameter",
            "image_url",
        ),
        (
            image("file:///tmp/a.png"),
            "messages[0].content[0].image_url.url",
            "invalid_image_url",
            "Local paths",
        ),
        (image("a.png"), "messages[0].content[0].image_url.url", "invalid_image_url", "http(s)"),
        (
            image("data:image/png;base64,"),
            "messages[0].content[0].image_url.url",
            "invalid_image_url",
            "empty base64",
        ),
        (
            image("data:image/png;base64"),
            "messages[0].content[0].image_url.url",
            "invalid_image_url",
            "base64 data",
        ),
        (
            image("data:image/png,AAAA"),
            "messages[0].content[0].image_url.url",
            "invalid_image_url",
            "base64-encoded data URL",
        ),
        (
            image("data:text/plain;base64,AAAA"),
            "messages[0].content[0].image_url.url",
            "invalid_image_url",
            "image MIME type",
        ),
        (
            part(&json!({"type": "image_url", "image_url": "x"})),
            "messages[0].content[0].image_url",
            "invalid_image_url",
            "http(s)",
        ),
        (
            part(
                &json!({"type": "image_url", "image_url": {"url": "https://a/", "detail": "max"}}),
            ),
            "messages[0].content[0].image_url.detail",
            "invalid_value",
            "'auto', 'low', 'high', and 'original'",
        ),
        (
            file(&json!({})),
            "messages[0].content[0].file.file_data",
            "missing_required_parameter",
            "file_data",
        ),
        (
            file(&json!({"file_id": "file-1"})),
            "messages[0].content[0].file.file_id",
            "unsupported_value",
            "send the content as 'file_data'",
        ),
        (
            file(&json!({"file_data": " "})),
            "messages[0].content[0].file.file_data",
            "invalid_value",
            "empty",
        ),
        (
            file(&json!({"file_data": "data:application/pdf;base64,"})),
            "messages[0].content[0].file.file_data",
            "invalid_value",
            "empty",
        ),
        (
            file(&json!({"file_data": "data:application/pdf,AAAA"})),
            "messages[0].content[0].file.file_data",
            "invalid_value",
            "base64-encoded data URL",
        ),
        (
            file(&json!({"file_url": "/tmp/a"})),
            "messages[0].content[0].file.file_url",
            "invalid_value",
            "http(s)",
        ),
        // Tools
        (json!({"tools": {}}), "tools", "invalid_type", "an array"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "functions": [{"name": "g"}]}),
            "functions",
            "invalid_value",
            "use 'tools'",
        ),
        (
            json!({"tools": vec![json!({"type": "web_search"}); 8193]}),
            "tools",
            "array_above_max_length",
            "maximum length 8192, but got an array with length 8193",
        ),
        (
            json!({"functions": vec![json!({"name": "f"}); 8193]}),
            "functions",
            "array_above_max_length",
            "8193",
        ),
        (tool(json!("f")), "tools[0]", "invalid_type", "an object"),
        (tool(json!({})), "tools[0].type", "missing_required_parameter", "type"),
        (
            tool(json!({"type": "mcp"})),
            "tools[0].type",
            "invalid_value",
            "'web_search', and 'image_generation'",
        ),
        (function(json!({})), "tools[0].function.name", "missing_required_parameter", "name"),
        (
            function(json!({"name": ""})),
            "tools[0].function.name",
            "invalid_value",
            "Expected a name",
        ),
        (
            function(json!({"name": "f", "parameters": [1]})),
            "tools[0].function.parameters",
            "invalid_type",
            "an object",
        ),
        (
            function(json!({"name": "f", "strict": 1})),
            "tools[0].function.strict",
            "invalid_type",
            "a boolean",
        ),
        (tool(json!({"type": "function", "name": 1})), "tools[0].name", "invalid_type", "a string"),
        (
            tool(json!({"type": "custom", "custom": {"name": "c", "format": {"type": "xml"}}})),
            "tools[0].custom.format.type",
            "invalid_value",
            "'text' and 'grammar'",
        ),
        (
            tool(
                json!({"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "ebnf", "definition": "x"}}}}),
            ),
            "tools[0].custom.format.grammar.syntax",
            "invalid_value",
            "'lark' and 'regex'",
        ),
        (
            tool(json!({"type": "web_search", "filters": "x"})),
            "tools[0].filters",
            "invalid_type",
            "an object",
        ),
        (
            tool(json!({"type": "web_search", "filters": {"allowed_domains": [1]}})),
            "tools[0].filters.allowed_domains[0]",
            "invalid_type",
            "a string",
        ),
        (
            tool(json!({"type": "web_search", "filters": {"blocked_domains": ["a.example"]}})),
            "tools[0].filters.blocked_domains",
            "unsupported_parameter",
            "'filters.allowed_domains' only",
        ),
        (
            json!({"web_search_options": {"excluded_domains": ["a.example"]}}),
            "web_search_options.excluded_domains",
            "unsupported_parameter",
            "'filters.allowed_domains' only",
        ),
        (
            tool(json!({"type": "web_search", "external_web_access": "no"})),
            "tools[0].external_web_access",
            "invalid_type",
            "a boolean",
        ),
        (tool(json!({"type": "local_shell"})), "tools[0].type", "invalid_value", "'function'"),
        (json!({"functions": [{}]}), "functions[0].name", "missing_required_parameter", "name"),
        // Choices
        (
            json!({"tool_choice": "maybe"}),
            "tool_choice",
            "invalid_value",
            "'none', 'auto', and 'required'",
        ),
        (json!({"tool_choice": 1}), "tool_choice", "invalid_type", "an object"),
        (json!({"tool_choice": {}}), "tool_choice.type", "missing_required_parameter", "type"),
        (
            json!({"tool_choice": {"type": "mcp"}}),
            "tool_choice.type",
            "invalid_value",
            "'allowed_tools'",
        ),
        (
            json!({"tool_choice": {"type": "function", "function": {}}}),
            "tool_choice.function.name",
            "missing_required_parameter",
            "name",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "never", "tools": []}}}),
            "tool_choice.allowed_tools.mode",
            "invalid_value",
            "'auto' and 'required'",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}),
            "tool_choice.allowed_tools.tools",
            "missing_required_parameter",
            "tools",
        ),
        (
            json!({"functions": [{"name": "f"}], "function_call": "required"}),
            "function_call",
            "invalid_value",
            "'none' and 'auto'",
        ),
    ];
    for (fields, param, code, hint) in cases {
        let reject = refusal(&fields);
        assert_eq!(reject.param.as_deref(), Some(param), "{fields}");
        assert_eq!(reject.code.map(Code::as_str), Some(code), "{fields}");
        assert!(reject.message.contains(hint), "{fields}: {}", reject.message);
    }
}

#[test]
fn a_body_that_is_no_object_is_refused_as_a_whole() {
    for text in ["[]", "7", "null", "\"Hi\""] {
        let body = crate::json::parse(text.as_bytes()).unwrap();
        let reject = Request::read(&body).unwrap_err();
        assert_eq!((reject.param, reject.code), (None, None), "{text}");
        assert!(reject.message.contains("'model' and 'messages'"), "{text}");
    }
}

#[test]
fn null_is_absent() {
    let nulls = json!({
        "stream": null, "stream_options": null, "n": null, "max_tokens": null, "stop": null,
        "response_format": null, "verbosity": null, "reasoning_effort": null, "reasoning": null,
        "tools": null, "tool_choice": null, "functions": null, "function_call": null,
        "parallel_tool_calls": null, "web_search_options": null, "prompt_cache_key": null,
        "user": null, "service_tier": null, "temperature": null, "metadata": null, "seed": null,
        "logprobs": null, "top_logprobs": null, "modalities": null, "audio": null, "any": null,
    });
    let text = over(&nulls);
    let body = crate::json::parse(text.as_bytes()).unwrap();
    let plain = over(&json!({}));
    let plain = crate::json::parse(plain.as_bytes()).unwrap();
    let shown = |body| format!("{:?}", Request::read(body).unwrap());
    assert_eq!(shown(&body), shown(&plain));
}

#[test]
fn spellings_of_many_clients_are_understood() {
    use Effort::{High, Low};
    let effort = |request: &Request<'_>| request.reasoning.effort;
    reads(&json!({"reasoning_effort": "high"}), |r| {
        effort(&r) == Some(EffortRequest::Effort(High))
    });
    reads(&json!({"reasoning": {"effort": "high"}}), |r| {
        effort(&r) == Some(EffortRequest::Effort(High))
    });
    reads(&json!({"reasoning": {"effort": "high"}, "reasoning_effort": "low"}), |r| {
        effort(&r) == Some(EffortRequest::Effort(Low))
    });
    reads(&json!({"reasoning": {"enabled": false}}), |r| effort(&r) == Some(EffortRequest::Least));
    reads(&json!({"thinking": {"type": "disabled"}}), |r| effort(&r) == Some(EffortRequest::Least));
    reads(&json!({"thinking": {"type": "enabled", "budget_tokens": 9}}), |r| effort(&r).is_none());
    reads(&json!({"enable_thinking": false}), |r| effort(&r) == Some(EffortRequest::Least));
    reads(&json!({"include_reasoning": false}), |r| r.reasoning.hidden);
    reads(&json!({"reasoning": {"exclude": true}}), |r| r.reasoning.hidden);
    reads(&json!({"verbosity": "low"}), |r| r.verbosity == Some(Verbosity::Low));
    reads(&json!({"text": {"verbosity": "low"}}), |r| r.verbosity == Some(Verbosity::Low));
    reads(&json!({"stream": true, "usage": {"include": true}}), |r| r.include_usage);
    reads(&json!({"stream": true, "stream_options": {"include_usage": true}}), |r| r.include_usage);
    reads(&json!({"stream_options": {"include_usage": true}}), |r| !r.include_usage);
    reads(&json!({"stop": ""}), |r| r.stop.is_empty());
    reads(&json!({"stop": []}), |r| r.stop.is_empty());
    reads(&json!({"stop": [null]}), |r| r.stop.is_empty());
    reads(&json!({"stop": ["a", "", "b", null, "c", "d"]}), |r| r.stop == ["a", "b", "c", "d"]);
    let limit = |field, tokens| Some(Limit { tokens, field });
    reads(&json!({"max_tokens": 5}), |r| r.max_tokens == limit("max_tokens", 5));
    reads(&json!({"max_output_tokens": 5.0}), |r| r.max_tokens == limit("max_output_tokens", 5));
    reads(&json!({"max_tokens": 5, "max_completion_tokens": 7}), |r| {
        r.max_tokens == limit("max_completion_tokens", 7)
    });
    reads(&json!({"service_tier": "fast"}), |r| r.service_tier == Some(ServiceTier::Priority));
    reads(&json!({"service_tier": "auto"}), |r| r.service_tier.is_none());
    reads(&json!({"tool_choice": "any"}), |r| r.tool_choice == Some(ToolChoice::Required));
    reads(&json!({"tool_choice": {"type": "auto"}}), |r| r.tool_choice == Some(ToolChoice::Auto));
    reads(&json!({"tool_choice": {"type": "tool", "name": "f"}}), |r| {
        r.tool_choice == Some(ToolChoice::Named(ToolName::Function("f")))
    });
    reads(&json!({"user": {"id": 1}}), |r| r.user.is_none() && r.unsupported_fields == ["user"]);
    reads(&json!({"functions": []}), |r| r.tools.is_empty() && !r.legacy_functions);
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    reads(&json!({"functions": [], "tools": tools}), |r| r.tools.len() == 1 && !r.legacy_functions);
    reads(&json!({"functions": [{"name": "f"}], "tools": []}), |r| {
        r.tools.len() == 1 && r.legacy_functions
    });
}

#[test]
fn efforts_and_limits_in_the_words_of_other_hosts() {
    let effort = |fields: serde_json::Value, expected: Option<EffortRequest>| {
        reads(&fields, |r| r.reasoning.effort == expected);
    };
    for (word, expected) in [
        ("ultra", Some(EffortRequest::Effort(Effort::Ultra))),
        ("High", Some(EffortRequest::Effort(Effort::High))),
        (" LOW ", Some(EffortRequest::Effort(Effort::Low))),
        ("default", None),
        ("auto", None),
        ("", None),
        ("disabled", Some(EffortRequest::Least)),
        ("off", Some(EffortRequest::Least)),
    ] {
        effort(json!({"reasoning_effort": word}), expected);
        effort(json!({"reasoning": {"effort": word}}), expected);
        effort(json!({"chat_template_kwargs": {"reasoning_effort": word}}), expected);
    }
    for name in ["enable_thinking", "thinking"] {
        effort(json!({name: false}), Some(EffortRequest::Least));
        effort(json!({name: true}), None);
        effort(json!({"chat_template_kwargs": {name: false}}), Some(EffortRequest::Least));
        effort(json!({"chat_template_kwargs": {name: true}}), None);
    }
    // What leaves it to the model does not undo another wish.
    effort(
        json!({"enable_thinking": false, "reasoning_effort": "auto"}),
        Some(EffortRequest::Least),
    );
    effort(
        json!({"chat_template_kwargs": {"enable_thinking": false}, "reasoning_effort": "high"}),
        Some(EffortRequest::Effort(Effort::High)),
    );
    for field in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
        for value in [json!(-2), json!(-1), json!(0), json!(-1.0), json!(null)] {
            reads(&json!({field: value}), |r| r.max_tokens.is_none());
        }
    }
    reads(&json!({"max_tokens": 7, "max_completion_tokens": -1}), |r| {
        r.max_tokens == Some(Limit { tokens: 7, field: "max_tokens" })
    });
    reads(&json!({"verbosity": "", "service_tier": ""}), |r| {
        r.verbosity.is_none() && r.service_tier.is_none()
    });
    reads(&json!({"verbosity": "High", "service_tier": "Priority"}), |r| {
        r.verbosity == Some(Verbosity::High) && r.service_tier == Some(ServiceTier::Priority)
    });
    for (modalities, expected) in
        [(json!(["image", "text"]), true), (json!(["image"]), true), (json!(["text"]), false)]
    {
        reads(&json!({"modalities": modalities}), |r| r.pictures == expected);
    }
}

#[test]
fn fields_without_counterpart_are_named_unless_they_ask_for_what_happens_anyway() {
    for (fields, expected) in [
        (json!({"temperature": 1, "top_p": 1.0, "presence_penalty": 0, "store": false}), &[][..]),
        (json!({"metadata": {}, "logit_bias": {}, "logprobs": false, "top_logprobs": 0}), &[]),
        (json!({"modalities": ["text"], "audio": {"voice": "x"}}), &[]),
        (json!({"temperature": 0}), &["temperature"]),
        (json!({"store": true}), &["store"]),
        (json!({"metadata": {"a": "b"}}), &["metadata"]),
        (json!({"seed": 1, "top_k": 2}), &["seed", "top_k"]),
        (json!({"prediction": {"type": "content", "content": "x"}}), &["prediction"]),
        // Within what is understood
        (json!({"stream_options": {"include_usage": true, "x": 1}}), &["stream_options.x"]),
        (json!({"stream_options": {"include_obfuscation": false}}), &[]),
        (json!({"usage": {"include": true, "x": 1}}), &["usage.x"]),
        (json!({"usage": true}), &["usage"]),
        (json!({"reasoning": {"max_tokens": 5}}), &["reasoning.max_tokens"]),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 5}}), &["thinking.budget_tokens"]),
        (json!({"enable_thinking": "no"}), &["enable_thinking"]),
        (
            json!({"chat_template_kwargs": {"enable_thinking": true, "x": 1}}),
            &["chat_template_kwargs.x"],
        ),
        (json!({"text": {"verbosity": "low", "x": 1}}), &["text.x"]),
        (
            json!({"include": ["reasoning.encrypted_content", "file_search_call.results"]}),
            &["include[1]"],
        ),
        (
            json!({"response_format": {"type": "text", "schema": {}}, "text": {"format": {"type": "text"}}}),
            &["response_format.schema", "text.format"],
        ),
        (
            json!({"response_format": {"type": "json_schema", "x": 1, "json_schema": {"name": "a", "y": 2, "schema": {}}}}),
            &["response_format.json_schema.y", "response_format.x"],
        ),
        (json!({"response_format": {"type": "json_object", "x": 1}}), &["response_format.x"]),
        // Tools
        (
            json!({"tools": [{"type": "function", "x": 1, "function": {"name": "f", "y": 1, "strict": null, "z": null}}]}),
            &["tools[0].function.y", "tools[0].x"],
        ),
        (
            json!({"tools": [{"type": "function", "name": "f", "cache_control": {}}]}),
            &["tools[0].cache_control"],
        ),
        (json!({"functions": [{"name": "f", "x": 1}]}), &["functions[0].x"]),
        (
            json!({"tools": [{"type": "custom", "x": 1, "custom": {"name": "c", "y": 1, "format": {"type": "text", "z": 1}}}]}),
            &["tools[0].custom.format.z", "tools[0].custom.y", "tools[0].x"],
        ),
        (
            json!({"tools": [{"type": "custom", "name": "c", "format": {"type": "grammar", "x": 1, "grammar": {"syntax": "lark", "definition": "d", "y": 1}}}]}),
            &["tools[0].format.grammar.y", "tools[0].format.x"],
        ),
        (
            json!({"tools": [{"type": "image_generation", "input_image_mask": {}, "partial_images": 2, "size": "auto"}]}),
            &["tools[0].input_image_mask", "tools[0].partial_images"],
        ),
        (
            json!({"tools": [{"type": "web_search", "max_uses": 3, "user_location": {"type": "approximate", "zip": "1"}}]}),
            &["tools[0].max_uses", "tools[0].user_location.zip"],
        ),
        (
            json!({"web_search_options": {"x": 1, "user_location": {"y": 1, "approximate": {"z": 1}}}}),
            &[
                "web_search_options.user_location.approximate.z",
                "web_search_options.user_location.y",
                "web_search_options.x",
            ],
        ),
        (
            json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
            &["tool_choice.disable_parallel_tool_use"],
        ),
        (
            json!({"tool_choice": {"type": "function", "x": 1, "function": {"name": "f", "y": 1}}}),
            &["tool_choice.function.y", "tool_choice.x"],
        ),
        (json!({"function_call": {"name": "f", "x": 1}}), &["function_call.x"]),
    ] {
        reads(&fields, |request| {
            let mut names = request.unsupported_fields;
            names.sort_unstable();
            names == expected
        });
    }
}

#[test]
fn contents_are_read_in_all_their_forms() {
    let text = |text: &'static str| vec![Part::Text(text.into())];
    let user = |content, expected: Vec<Part<'_>>| {
        reads(&message(&json!({"role": "user", "content": content})), |request| {
            request.messages == [Message::User(Said { name: None, content: expected })]
        });
    };
    user(json!("Hi"), text("Hi"));
    user(json!(null), vec![]);
    user(json!([]), vec![]);
    user(json!(["Hi"]), text("Hi"));
    user(json!([{"type": "input_text", "text": "Hi", "cache_control": {}}]), text("Hi"));
    user(
        json!([{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "Hi"}]),
        text("Hi"),
    );
    let picture = |url: &'static str, detail| vec![Part::Image(Image { url: url.into(), detail })];
    user(
        json!([{"type": "image_url", "image_url": {"url": " https://a.example/ ", "detail": "low"}}]),
        picture("https://a.example/", Some(Detail::Low)),
    );
    user(
        json!([{"type": "image_url", "image_url": "HTTPS://A.example/"}]),
        picture("https://A.example/", None),
    );
    user(
        json!([{"type": "input_image", "image_url": "data:image/JPG;base64,AA\nAA", "detail": "auto"}]),
        picture("data:image/jpeg;base64,AAAA", Some(Detail::Auto)),
    );
    let data = |name: &'static str, data: &'static str| {
        vec![Part::File(File { name: name.into(), source: FileSource::Data(data.into()) })]
    };
    user(
        json!([{"type": "file", "file": {"file_data": "AA\n AA"}}]),
        data("file.pdf", "data:application/pdf;base64,AAAA"),
    );
    user(
        json!([{"type": "file", "file": {"file_data": "AAAA", "filename": "a.b.CSV"}}]),
        data("a.b.CSV", "data:text/csv;base64,AAAA"),
    );
    user(
        json!([{"type": "input_file", "file_data": "data:text/plain;base64,AAAA", "filename": "a"}]),
        data("a", "data:text/plain;base64,AAAA"),
    );
}

#[test]
fn outcomes_of_tools_may_be_anything() {
    let outcome = |content, expected| {
        let given = json!({"role": "tool", "tool_call_id": "1", "content": content});
        reads(&message(&given), |request| {
            let result = ToolResult { call_id: "1".into(), name: None, content: expected };
            request.messages == [Message::Tool(result)]
        });
    };
    outcome(json!("a"), ToolContent::Text("a".into()));
    outcome(json!(null), ToolContent::Text("".into()));
    outcome(json!([]), ToolContent::Text("".into()));
    outcome(json!(7), ToolContent::Text("7".into()));
    outcome(json!({"a": [1, null]}), ToolContent::Text("{\"a\":[1,null]}".into()));
    outcome(json!([{"type": "text", "text": "a"}]), ToolContent::Text("a".into()));
    let texts = |texts: [&'static str; 2]| texts.map(|text| Part::Text(text.into())).to_vec();
    outcome(json!(["a", "b"]), ToolContent::Parts(texts(["a", "b"])));
    // Data, and not parts.
    for (data, text) in [
        (json!([{"id": 1, "title": "row"}]), r#"[{"id":1,"title":"row"}]"#),
        (json!([1, null, true]), "[1,null,true]"),
        (json!([{"type": "row", "text": 5}]), r#"[{"text":5,"type":"row"}]"#),
        (json!([{"type": "image_url"}]), r#"[{"type":"image_url"}]"#),
        (json!({"type": "text"}), r#"{"type":"text"}"#),
        (
            json!([{"type": "image", "data": "not base64!"}]),
            r#"[{"data":"not base64!","type":"image"}]"#,
        ),
        (json!([[1], [2]]), "[[1],[2]]"),
    ] {
        outcome(data, ToolContent::Text(text.into()));
    }
    outcome(
        json!([{"type": "text", "text": "a"}, {"rows": 2}]),
        ToolContent::Parts(texts(["a", "{\"rows\":2}"])),
    );
    outcome(json!({"type": "text", "text": "a"}), ToolContent::Text("a".into()));
    let picture = |url: &'static str| {
        ToolContent::Parts(vec![Part::Image(Image { url: url.into(), detail: None })])
    };
    let png = "data:image/png;base64,iVBORw0KGgo=";
    for part in [
        json!({"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}),
        json!({"type": "image_url", "image_url": {"url": png}}),
        json!({"type": "input_image", "image_url": png}),
        json!({"type": "image", "image": png}),
        json!({"type": "resource", "resource": {"uri": "x:a.png", "mimeType": "image/png", "blob": "iVBORw0KGgo="}}),
    ] {
        outcome(json!([part]), picture(png));
        outcome(part, picture(png));
    }
    outcome(
        json!([{"type": "resource", "resource": {"uri": "x:a", "text": "words"}}]),
        ToolContent::Text("words".into()),
    );
}

#[test]
fn arguments_are_kept_to_the_byte() {
    for (given, expected) in [
        (json!("{\"a\" : 1}\n"), "{\"a\" : 1}\n"),
        (json!("{broken"), "{broken"),
        (json!({"a": 1}), "{\"a\":1}"),
        (json!(""), "{}"),
        (json!(null), "{}"),
    ] {
        let call = json!({"id": "1", "function": {"name": "f", "arguments": given}});
        reads(&message(&json!({"role": "assistant", "tool_calls": [call]})), |request| {
            let Message::Assistant(assistant) = &request.messages[0] else { return false };
            matches!(&assistant.calls[0].kind,
                CallKind::Function { name: "f", arguments } if arguments == expected)
        });
    }
}

/// The first message's calls as `ID NAME(ARGUMENTS)`, with `!` in front of custom ones.
fn calls_of(message: &serde_json::Value) -> Result<Vec<String>, InvalidRequest> {
    let text = json!({"model": "m", "messages": [message]}).to_string();
    let value = crate::json::parse(text.as_bytes()).unwrap();
    let request = Request::read(&value)?;
    let Message::Assistant(assistant) = &request.messages[0] else { panic!("{text}") };
    let legacy = assistant
        .legacy_call
        .iter()
        .map(|call| format!("legacy {}({})", call.name, call.arguments));
    let calls = assistant.calls.iter().map(|call| match &call.kind {
        CallKind::Function { name, arguments } => format!("{} {name}({arguments})", call.id),
        CallKind::Custom { name, input } => format!("!{} {name}({input})", call.id),
    });
    Ok(calls.chain(legacy).collect())
}

#[test]
fn calls_in_the_history_are_taken_in_the_shapes_of_other_hosts() {
    let function = json!({"name": "f", "arguments": "{}"});
    for (fields, expected) in [
        (
            json!({"tool_calls": [{"id": "c", "type": "function", "function": {"name": null, "arguments": "{}"}}]}),
            vec!["c ({})"],
        ),
        (
            json!({"tool_calls": [{"id": "c", "type": "function", "function": {"arguments": "{}"}}]}),
            vec!["c ({})"],
        ),
        (
            json!({"tool_calls": [{"id": "c", "type": "function", "function": {"name": 5}}]}),
            vec!["c ({})"],
        ),
        (
            json!({"tool_calls": [{"id": "c", "type": "functionfunction", "function": function}]}),
            vec!["c f({})"],
        ),
        (json!({"tool_calls": [{"id": "c", "type": 7, "function": function}]}), vec!["c f({})"]),
        (json!({"tool_calls": [{"id": 1, "function": function}]}), vec!["1 f({})"]),
        (
            json!({"tool_calls": [{"call_id": "c", "type": "function", "name": "f", "arguments": "{}"}]}),
            vec!["c f({})"],
        ),
        (
            json!({"tool_calls": [{"id": "c", "type": "function", "name": "f", "arguments": {"a": 1}}]}),
            vec!["c f({\"a\":1})"],
        ),
        (
            json!({"tool_calls": [{"id": "c", "type": "custom", "name": "g", "input": "x"}]}),
            vec!["!c g(x)"],
        ),
        (
            json!({"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "g", "input": {"a": 1}}}]}),
            vec!["!c g({\"a\":1})"],
        ),
        (json!({"tool_calls": [{"id": "c", "custom": {}}]}), vec!["!c ()"]),
        (json!({"tool_calls": {"id": "c", "function": function}}), vec!["c f({})"]),
        (json!({"tool_calls": [null, {"id": "c", "function": function}]}), vec!["c f({})"]),
        (json!({"tool_calls": {}}), vec![]),
        (json!({"tool_calls": ""}), vec![]),
        (json!({"tool_calls": null}), vec![]),
        (
            json!({"content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]}),
            vec!["c f({\"a\":1})"],
        ),
        (
            json!({"content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}],
                "tool_calls": [{"id": "c", "function": function}]}),
            vec!["c f({})"],
        ),
        (json!({"function_call": {"name": "f"}}), vec!["legacy f({})"]),
        (json!({"function_call": {"arguments": "{}"}}), vec!["legacy ({})"]),
        (json!({"function_call": {}}), vec![]),
    ] {
        let mut message = json!({"role": "assistant"});
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(calls_of(&message).unwrap(), expected, "{fields}");
    }
    for (call, param) in [
        (json!({"id": "c", "type": "telepathy"}), "messages[0].tool_calls[0].type"),
        (json!({"id": "c", "type": "function"}), "messages[0].tool_calls[0].function"),
        (json!({"id": "c", "type": "custom"}), "messages[0].tool_calls[0].custom"),
        (json!({"id": {}, "function": function}), "messages[0].tool_calls[0].id"),
        (json!(5), "messages[0].tool_calls[0]"),
    ] {
        let refused = calls_of(&json!({"role": "assistant", "tool_calls": [call]})).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(param), "{call}");
        assert!(!refused.message.contains("Invalid value: 'custom'"), "{}", refused.message);
    }
}

#[expect(clippy::too_many_lines, reason = "tables")]
#[test]
fn parts_of_other_hosts_are_taken() {
    let png = "data:image/png;base64,iVBORw0KGgo=";
    let says = |role: &str, content: serde_json::Value, expected: &str| {
        reads(&message(&json!({"role": role, "content": content})), |request| {
            let parts = match &request.messages[0] {
                Message::User(said) | Message::System(said) => &said.content,
                Message::Assistant(assistant) => &assistant.content,
                _ => return false,
            };
            let shown: Vec<String> = parts.iter().map(show_part).collect();
            assert_eq!(shown.join(" + "), expected);
            true
        });
    };
    for role in ["user", "system", "assistant"] {
        says(role, json!({"type": "text", "text": "hi"}), "hi");
        says(role, json!([{"text": "hi"}]), "hi");
        for thought in ["thinking", "redacted_thinking", "reasoning", "reasoning_content"] {
            says(
                role,
                json!([{"type": thought, "reasoning_content": "t"}, {"type": "text", "text": "a"}]),
                "a",
            );
        }
        for image in [
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}),
            json!({"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}),
            json!({"type": "image", "image": png}),
            json!({"type": "image", "image_url": {"url": png}}),
            json!({"type": "image_url", "image_url": {"url": "data:image/png;charset=utf-8;base64,iVBORw0KGgo="}}),
            json!({"type": "image_url", "image_url": {"url": "DATA:image/PNG; charset=utf-8 ; BASE64,iVBO Rw0KGgo="}}),
        ] {
            says(role, json!([image]), &format!("image {png}"));
        }
    }
    for (detail, expected) in
        [("original", " original"), ("High", " high"), ("", ""), ("auto", " auto")]
    {
        let image = json!({"type": "image_url", "image_url": {"url": png, "detail": detail}});
        says("user", json!([image]), &format!("image {png}{expected}"));
    }
    let file = |file: serde_json::Value| json!([{"type": "file", "file": file}]);
    for (content, expected) in [
        (
            file(json!({"filename": "x.pdf", "file_data": "https://example.com/x.pdf"})),
            "file x.pdf https://example.com/x.pdf",
        ),
        (
            file(json!({"file_data": " HTTPS://example.com/x.pdf "})),
            "file file.pdf HTTPS://example.com/x.pdf",
        ),
        (
            file(json!({"file_url": "https://example.com/x.pdf"})),
            "file file.pdf https://example.com/x.pdf",
        ),
        (
            file(json!({"file_data": "data:text/plain;base64,aGk="})),
            "file file.txt data:text/plain;base64,aGk=",
        ),
        (
            file(json!({"file_data": "data:text/csv;charset=utf-8;base64,aGk="})),
            "file file.csv data:text/csv;base64,aGk=",
        ),
        (
            file(json!({"file_data": "data:application/x-new;base64,aGk="})),
            "file file.pdf data:application/x-new;base64,aGk=",
        ),
        (
            json!([{"type": "file", "data": "aGk=", "mediaType": "text/plain"}]),
            "file file.txt data:text/plain;base64,aGk=",
        ),
        (
            json!([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}]),
            "file file.pdf data:application/pdf;base64,aGk=",
        ),
        (
            json!([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}}]),
            "hi",
        ),
        (
            json!([{"type": "document", "title": "x.pdf", "source": {"type": "url", "url": "https://example.com/x"}}]),
            "file x.pdf https://example.com/x",
        ),
        (
            json!([{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "ok"}]}]),
            "result c Text(\"ok\")",
        ),
    ] {
        says("user", content, expected);
    }
    // A model said it: what is not known is left out and named.
    let odd = json!({"role": "assistant", "content": [{"type": "server_tool_use"}, {"type": "text", "text": "a"}]});
    reads(&message(&odd), |request| request.unsupported_fields == ["messages[0].content[0]"]);
    for (content, param) in [
        (json!([{"type": "server_tool_use"}]), "messages[0].content[0].type"),
        (json!([{"x": 1}]), "messages[0].content[0].type"),
        (file(json!({"file_data": "ftp://x"})), "messages[0].content[0].file.file_data"),
        (file(json!({"file_data": "<html>"})), "messages[0].content[0].file.file_data"),
        (file(json!({"file_data": "data:text/plain,hi"})), "messages[0].content[0].file.file_data"),
        (file(json!({"file_url": "file:///x"})), "messages[0].content[0].file.file_url"),
        (
            json!([{"type": "image", "source": {"type": "base64"}}]),
            "messages[0].content[0].source.data",
        ),
        (
            json!([{"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg"}}]),
            "messages[0].content[0].image_url.url",
        ),
    ] {
        let text =
            json!({"model": "m", "messages": [{"role": "user", "content": content}]}).to_string();
        let value = crate::json::parse(text.as_bytes()).unwrap();
        let refused = Request::read(&value).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(param), "{text}");
    }
}

fn show_part(part: &Part<'_>) -> String {
    match part {
        Part::Text(text) => text.to_string(),
        Part::Refusal(text) => format!("refusal {text}"),
        Part::Image(image) => {
            let detail = image.detail.map(|detail| format!(" {}", detail.as_str()));
            format!("image {}{}", image.url, detail.unwrap_or_default())
        }
        Part::File(file) => {
            let (FileSource::Data(source) | FileSource::Url(source)) = &file.source;
            format!("file {} {source}", file.name)
        }
        Part::ToolResult(result) => format!("result {} {:?}", result.call_id, result.content),
    }
}

#[test]
fn what_nothing_is_made_of_in_messages_is_named_by_its_path() {
    let messages = |message: serde_json::Value| json!({"messages": [message]});
    for (given, expected) in [
        (messages(json!({"role": "user", "content": "a", "x": 1})), &["messages[0].x"][..]),
        (messages(json!({"role": "user", "content": "a", "name": 7})), &["messages[0].name"]),
        (
            messages(json!({"role": "system", "content": [{"type": "text", "text": "a", "x": 1}]})),
            &["messages[0].content[0].x"],
        ),
        (
            messages(json!({"role": "assistant", "content": "a", "name": "Planner"})),
            &["messages[0].name"],
        ),
        (
            messages(
                json!({"role": "assistant", "tool_calls": [{"id": "c", "x": 1, "function": {"name": "f", "y": 1}}]}),
            ),
            &["messages[0].tool_calls[0].x", "messages[0].tool_calls[0].function.y"],
        ),
        (
            messages(
                json!({"role": "tool", "tool_call_id": "c", "content": "a", "is_error": true}),
            ),
            &["messages[0].is_error"],
        ),
        (
            messages(
                json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example", "x": 1}}]}),
            ),
            &["messages[0].content[0].image_url.x"],
        ),
        (
            messages(
                json!({"role": "user", "content": [{"type": "file", "file": {"file_data": "aGk=", "x": 1}}]}),
            ),
            &["messages[0].content[0].file.x"],
        ),
        (
            messages(
                json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}, "x": 1}]}),
            ),
            &["messages[0].content[0].x"],
        ),
        // What the daemon itself puts in answers, and what asks for what happens anyway.
        (
            messages(
                json!({"role": "assistant", "content": "a", "refusal": null, "annotations": [], "reasoning_content": "t",
            "reasoning": "t", "reasoning_details": [], "images": [], "audio": null, "function_call": null}),
            ),
            &[],
        ),
        (
            messages(
                json!({"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}),
            ),
            &[],
        ),
        (messages(json!({"role": "tool", "tool_call_id": "c", "name": "f", "content": "a"})), &[]),
    ] {
        reads(&given, |request| {
            assert_eq!(request.unsupported_fields, expected);
            true
        });
    }
}
