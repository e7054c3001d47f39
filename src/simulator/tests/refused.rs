//! Requests that the backend refuses, with what it says.

use serde_json::{Value, json};

use super::{function, request};

/// Puts a value at a JSON pointer, or takes it away.
fn changed(mut body: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(object), Some(value)) => drop(object.insert(key.to_owned(), value)),
        (Value::Object(object), None) => drop(object.remove(key)),
        (Value::Array(array), Some(value)) => array.push(value),
        _ => unreachable!(),
    }
    body
}

fn set(pointer: &str, value: Value) -> Value {
    changed(request("Hi"), pointer, Some(value))
}

fn without(pointer: &str) -> Value {
    changed(request("Hi"), pointer, None)
}

pub(super) fn input(items: Value) -> Value {
    set("/input", items)
}

fn part(part: &Value) -> Value {
    set("/input/0/content", json!([part]))
}

fn format(format: &Value) -> Value {
    set("/text", json!({ "format": format }))
}

fn tool(tool: &Value) -> Value {
    set("/tools", json!([tool]))
}

fn call(id: &str) -> Value {
    json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{}" })
}

fn output(id: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": "1" })
}

/// Gateway refusals: `{"detail": text}`.
pub(super) fn gateway_cases() -> Vec<(Value, String)> {
    let mut cases = vec![
        (json!([]), "Input should be a valid dictionary".to_owned()),
        (without("/store"), "Store must be set to false".to_owned()),
        (set("/store", json!(true)), "Store must be set to false".to_owned()),
        (without("/stream"), "Stream must be set to true".to_owned()),
        (set("/stream", json!(false)), "Stream must be set to true".to_owned()),
        (without("/instructions"), "Instructions are required".to_owned()),
        (set("/instructions", Value::Null), "Instructions are required".to_owned()),
        (set("/input", json!("Hi")), "Input must be a list".to_owned()),
        (without("/input"), "Input must be a list".to_owned()),
        (set("/input/0/role", json!("system")), "System messages are not allowed".to_owned()),
        (
            set("/model", json!("gpt-4o")),
            "The 'gpt-4o' model is not supported when using Codex with a ChatGPT account."
                .to_owned(),
        ),
        (
            set("/model", json!("gpt-5.6-sol")),
            "The 'gpt-5.6-sol' model requires a newer version of Codex. Please upgrade to the \
             latest app or CLI and try again."
                .to_owned(),
        ),
        (set("/stream_options", json!({ "include_usage": true })), {
            "Unsupported parameter: stream_options".to_owned()
        }),
        (
            set("/input/0/content/0/text", json!("[[simulate: sing]]")),
            "The simulator cannot read the directive 'sing': there is no such directive."
                .to_owned(),
        ),
    ];
    for name in [
        "temperature",
        "top_p",
        "max_output_tokens",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "metadata",
        "top_logprobs",
        "truncation",
        "stop",
        "n",
        "logit_bias",
        "logprobs",
        "response_format",
        "reasoning_effort",
        "user",
        "safety_identifier",
        "prompt_cache_retention",
        "context_management",
        "previous_response_id",
        "type",
    ] {
        let body = set(&format!("/{name}"), json!(1));
        cases.push((body, format!("Unsupported parameter: {name}")));
    }
    for kind in ["web_search_preview", "mcp", "file_search", "code_interpreter", "computer"] {
        let body = tool(&json!({ "type": kind }));
        cases.push((body, format!("Unsupported tool type: {kind}")));
    }
    cases
}

/// Refusals of the Responses layer: status, message, param, code.
pub(super) type Case = (Value, u16, &'static str, Option<&'static str>, Option<&'static str>);

fn bad(
    body: Value,
    message: &'static str,
    param: impl Into<Option<&'static str>>,
    code: impl Into<Option<&'static str>>,
) -> Case {
    (body, 400, message, param.into(), code.into())
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn item_cases() -> Vec<Case> {
    let reasoning = |more: Value| {
        let mut item = json!({ "type": "reasoning", "summary": [] });
        let (Value::Object(target), Value::Object(more)) = (&mut item, more) else {
            unreachable!()
        };
        target.extend(more);
        input(json!([item, { "role": "assistant", "content": "Hello" }]))
    };
    let assistant = |part: Value| input(json!([{ "role": "assistant", "content": [part] }]));
    let custom = json!({ "type": "custom_tool_call", "call_id": "c", "name": "f", "input": "" });
    let id = "x".repeat(65);
    vec![
        bad(
            without("/model"),
            "Missing required parameter: 'model'.",
            "model",
            "missing_required_parameter",
        ),
        bad(
            input(json!([])),
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided.",
            "input",
            "missing_required_parameter",
        ),
        bad(
            set("/input/0/reasoning_content", json!("")),
            "Unknown parameter: 'input[0].reasoning_content'.",
            "input[0].reasoning_content",
            "unknown_parameter",
        ),
        bad(
            set("/input/0/content/0/cache_control", json!({})),
            "Unknown parameter: 'input[0].content[0].cache_control'.",
            "input[0].content[0].cache_control",
            "unknown_parameter",
        ),
        bad(
            set("/input/0/role", json!("tool")),
            "Invalid value: 'tool'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
            "input[0].role",
            "invalid_value",
        ),
        bad(
            part(&json!({ "type": "output_text", "text": "" })),
            "Invalid value: 'output_text'. Supported values are: 'input_text', 'input_image', 'input_audio', and 'input_file'.",
            "input[0].content[0].type",
            "invalid_value",
        ),
        bad(
            assistant(json!({ "type": "input_text", "text": "" })),
            "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
            "input[0].content[0].type",
            "invalid_value",
        ),
        bad(
            input(
                json!([call("a"), { "type": "function_call_output", "call_id": "a", "output": [{ "type": "output_text", "text": "" }] }]),
            ),
            "Invalid value: 'output_text'. Supported values are: 'input_text', 'input_image', and 'input_file'.",
            "input[1].output[0].type",
            "invalid_value",
        ),
        bad(
            input(json!([call("call_a")])),
            "No tool output found for function call call_a.",
            "input",
            None,
        ),
        bad(
            input(json!([output("call_a")])),
            "No tool call found for function call output with call_id call_a.",
            "input",
            None,
        ),
        bad(
            input(json!([output("call_a"), call("call_a")])),
            "No tool call found for function call output with call_id call_a.",
            "input",
            None,
        ),
        bad(input(json!([custom])), "No tool output found for custom tool call c.", "input", None),
        bad(
            input(json!([custom, output("c")])),
            "No tool call found for function call output with call_id c.",
            "input",
            None,
        ),
        bad(
            input(json!([call(&id), output(&id)])),
            "Invalid 'input[0].call_id': string too long. Expected a string with maximum length 64, but got a string with length 65 instead.",
            "input[0].call_id",
            "string_above_max_length",
        ),
        bad(
            set("/input/0/id", json!(id)),
            "Invalid 'input[0].id': string too long. Expected a string with maximum length 64, but got a string with length 65 instead.",
            "input[0].id",
            "string_above_max_length",
        ),
        bad(
            set("/input/0/id", json!("rs_1")),
            "Invalid 'input[0].id': 'rs_1'. Expected an ID that begins with 'msg'.",
            "input[0].id",
            "invalid_value",
        ),
        bad(
            input(json!([changed(call("a"), "/namespace", Some(json!("x"))), output("a")])),
            "Unknown parameter: 'input[0].namespace'.",
            "input[0].namespace",
            "unknown_parameter",
        ),
        bad(
            input(json!([changed(call("a"), "/arguments", Some(json!({}))), output("a")])),
            "Invalid type for 'input[0].arguments': expected a string, but got an object instead.",
            "input[0].arguments",
            "invalid_type",
        ),
        bad(
            reasoning(json!({ "encrypted_content": "gAAAnonsenseGDc=" })),
            "The encrypted content gAAA...GDc= could not be verified.",
            None,
            "invalid_encrypted_content",
        ),
        (
            reasoning(json!({ "id": "rs_abc" })),
            404,
            "Item with id 'rs_abc' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.",
            Some("input"),
            None,
        ),
        bad(
            part(&json!({ "type": "input_image", "image_url": "cat.png" })),
            "Invalid 'input[0].content[0].image_url'. Expected a valid URL, but got a value with an invalid format.",
            "input[0].content[0].image_url",
            "invalid_value",
        ),
        bad(
            part(&json!({ "type": "input_image", "image_url": "data:image/png;base64," })),
            "Invalid 'input[0].content[0].image_url'. Expected a base64-encoded data URL with an image MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got empty base64-encoded bytes.",
            "input[0].content[0].image_url",
            "invalid_value",
        ),
        bad(
            part(&json!({ "type": "input_image", "image_url": "data:image/png;base64,aGVsbG8=" })),
            "The image data you provided does not represent a valid image. Please check your input and try again with one of the following image formats: ['image/jpeg', 'image/png', 'image/gif', 'image/webp'].",
            "input",
            "invalid_image",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn setting_cases() -> Vec<Case> {
    vec![
        bad(
            set("/prompt_cache_key", json!("k".repeat(140))),
            "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64, but got a string with length 140 instead.",
            "prompt_cache_key",
            "string_above_max_length",
        ),
        bad(set("/service_tier", json!("flex")), "Unsupported service_tier: flex", None, None),
        bad(
            set("/reasoning", json!({ "effort": "max" })),
            "Unsupported value: 'max' is not supported with the 'gpt-5.5' model. Supported values are: 'low', 'medium', 'high', and 'xhigh'.",
            "reasoning.effort",
            "unsupported_value",
        ),
        bad(
            set("/reasoning", json!({ "effort": null })),
            "Invalid type for 'reasoning.effort': expected a string, but got null instead.",
            "reasoning.effort",
            "invalid_type",
        ),
        bad(
            set("/reasoning", json!({ "effort": "ultra" })),
            "Invalid value: 'ultra'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'.",
            "reasoning.effort",
            "invalid_value",
        ),
        bad(
            set("/include", json!(["usage"])),
            "Invalid value: 'usage'. Supported values are: 'file_search_call.results', 'web_search_call.results', 'web_search_call.action.sources', 'message.input_image.image_url', 'computer_call_output.output.image_url', 'code_interpreter_call.outputs', 'reasoning.encrypted_content', and 'message.output_text.logprobs'.",
            "include[0]",
            "invalid_value",
        ),
        bad(
            format(&json!({ "type": "json_object" })),
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
            "input",
            None,
        ),
        bad(
            format(&json!({ "type": "json_schema", "name": "a b", "schema": {} })),
            "Invalid 'text.format.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
            "text.format.name",
            "invalid_value",
        ),
        bad(
            format(&json!({ "type": "json_schema", "name": "n", "json_schema": {} })),
            "Unknown parameter: 'text.format.json_schema'.",
            "text.format.json_schema",
            "unknown_parameter",
        ),
        bad(
            format(
                &json!({ "type": "json_schema", "name": "n", "strict": true, "schema": { "type": "object", "properties": {} } }),
            ),
            "Invalid schema for response_format 'n': In context=(), 'additionalProperties' is required to be supplied and to be false.",
            "text.format.schema",
            "invalid_json_schema",
        ),
        bad(
            format(&json!({ "type": "json_schema", "name": "n", "strict": true, "schema": {
                "type": "object", "additionalProperties": false, "required": ["a"], "properties": {
                    "a": { "type": "object", "additionalProperties": false, "properties": { "b": {} } },
                } } })),
            "Invalid schema for response_format 'n': In context=('properties', 'a'), 'required' is required to be supplied and to be an array including every key in properties. Missing 'b'.",
            "text.format.schema",
            "invalid_json_schema",
        ),
        bad(
            tool(&json!({ "type": "function", "function": { "name": "f" } })),
            "Missing required parameter: 'tools[0].name'.",
            "tools[0].name",
            "missing_required_parameter",
        ),
        bad(
            tool(&json!({ "type": "function", "name": "a.b", "parameters": {} })),
            "Invalid 'tools[0].name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
            "tools[0].name",
            "invalid_value",
        ),
        bad(
            tool(
                &json!({ "type": "function", "name": "f", "parameters": { "type": "object", "anyOf": [] } }),
            ),
            "Invalid schema for function 'f': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.",
            "tools[0].parameters",
            "invalid_function_parameters",
        ),
        bad(
            tool(&changed(function("f"), "/strict", Some(json!(true)))),
            "Invalid schema for function 'f': In context=(), 'required' is required to be supplied and to be an array including every key in properties. Missing 'days'.",
            "tools[0].parameters",
            "invalid_function_parameters",
        ),
        bad(
            tool(
                &json!({ "type": "custom", "name": "f", "format": { "type": "grammar", "grammar": {} } }),
            ),
            "Unknown parameter: 'tools[0].format.grammar'.",
            "tools[0].format.grammar",
            "unknown_parameter",
        ),
        bad(
            set("/tool_choice", json!({ "type": "function", "name": "g" })),
            "Tool choice 'g' not found in 'tools' parameter.",
            "tool_choice",
            None,
        ),
        bad(
            set("/tool_choice", json!("required")),
            "Tool choice 'required' must be specified with 'tools' parameter.",
            "tool_choice",
            None,
        ),
        bad(
            set("/tool_choice", json!("any")),
            "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'.",
            "tool_choice",
            "invalid_value",
        ),
    ]
}
