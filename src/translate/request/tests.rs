use serde_json::{Value, json};

use super::*;

mod cost;
mod numbers;
mod paths;
mod tools;

fn model() -> Model {
    Model {
        slug: "gpt-5.5".to_owned(),
        efforts: vec![Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh],
        ultra: Effort::Max,
        effort: None,
        reasons: true,
        summaries: true,
        verbosity: true,
    }
}

/// Everything that is of interest in a translation.
#[derive(Debug)]
struct Sent {
    bytes: String,
    body: Value,
    conversation: Uuid,
    plan: Plan,
    notes: FieldReport,
}

fn send_to(model: &Model, policy: Policy, request: &Value) -> Result<Sent, InvalidRequest> {
    let text = request.to_string();
    let body = crate::json::parse(text.as_bytes()).unwrap();
    let chat = chat::request::Request::read(&body)?;
    let translated = translate(&chat, model, policy, &ReplaySource::unknown())?;
    let Translated { request, conversation, plan, fields: notes, .. } = translated;
    let bytes = serde_json::to_string(&request).unwrap();
    let body = serde_json::from_str(&bytes).unwrap();
    Ok(Sent { bytes, body, conversation, plan, notes })
}

fn send(request: &Value) -> Sent {
    send_to(&model(), Policy::default(), request).unwrap_or_else(|why| panic!("{request}: {why}"))
}

fn over(fields: &Value) -> Value {
    let mut request = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hi"}]});
    for (key, value) in fields.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

/// What is sent beside the conversation for a plain question with these fields.
fn settings(fields: &Value) -> Value {
    let mut body = send(&over(fields)).body;
    let fields = body.as_object_mut().unwrap();
    for key in ["model", "instructions", "prompt_cache_key", "include", "store", "stream", "input"]
    {
        fields.remove(key);
    }
    body
}

/// The instructions and the input of a conversation.
fn conversation(messages: &Value) -> (Value, Value) {
    let body = send(&json!({"model": "gpt-5.5", "messages": messages})).body;
    (body["instructions"].clone(), body["input"].clone())
}

fn says(role: &str, text: &str) -> Value {
    let kind = if role == "assistant" { "output_text" } else { "input_text" };
    json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})
}

const DEFAULT: &str = "You are a helpful assistant.";

#[test]
fn a_plain_question_is_sent_with_all_the_constants_and_nothing_else() {
    let sent = send(&over(&json!({})));
    let key = sent.conversation.to_string();
    let expected = format!(
        "{{\"model\":\"gpt-5.5\",\"instructions\":\"{DEFAULT}\",\
         \"reasoning\":{{\"summary\":\"auto\"}},\"prompt_cache_key\":\"{key}\",\
         \"include\":[\"reasoning.encrypted_content\"],\"store\":false,\"stream\":true,\
         \"input\":[{{\"type\":\"message\",\"role\":\"user\",\
         \"content\":[{{\"type\":\"input_text\",\"text\":\"Hi\"}}]}}]}}"
    );
    assert_eq!(sent.bytes, expected);
    assert_eq!(sent.plan.model, "gpt-5.5");
    assert_eq!((sent.notes.dropped(), sent.notes.emulated()), (None, None));
}

#[test]
fn every_setting_has_its_counterpart_or_none() {
    let auto = json!({"summary": "auto"});
    let effort = |effort: &str| json!({"reasoning": {"effort": effort, "summary": "auto"}});
    let format = |format: Value| json!({"reasoning": auto, "text": {"format": format}});
    let schema =
        |fields: Value| json!({"response_format": {"type": "json_schema", "json_schema": fields}});
    let cases = [
        (json!({}), json!({"reasoning": auto})),
        (json!({"reasoning_effort": "high"}), effort("high")),
        (json!({"reasoning_effort": "minimal"}), effort("low")),
        (json!({"reasoning_effort": "none"}), effort("low")),
        (json!({"reasoning_effort": "max"}), effort("xhigh")),
        (json!({"thinking": {"type": "disabled"}}), effort("low")),
        (json!({"reasoning": {"effort": "medium"}}), effort("medium")),
        (
            json!({"reasoning": {"summary": "concise"}}),
            json!({"reasoning": {"summary": "concise"}}),
        ),
        (json!({"reasoning": {"exclude": true}}), json!({})),
        (
            json!({"include_reasoning": false, "reasoning_effort": "low"}),
            json!({"reasoning": {"effort": "low"}}),
        ),
        (
            json!({"service_tier": "priority"}),
            json!({"reasoning": auto, "service_tier": "priority"}),
        ),
        (json!({"service_tier": "fast"}), json!({"reasoning": auto, "service_tier": "priority"})),
        (json!({"service_tier": "auto"}), json!({"reasoning": auto})),
        (json!({"service_tier": "flex"}), json!({"reasoning": auto})),
        (json!({"verbosity": "low"}), json!({"reasoning": auto, "text": {"verbosity": "low"}})),
        // Nothing of these gets through.
        (
            json!({"temperature": 0, "top_p": 0.1, "presence_penalty": 1, "frequency_penalty": 1,
                "logit_bias": {"1": 1}, "seed": 1, "user": "u", "safety_identifier": "s",
                "metadata": {"a": "b"}, "store": true, "stop": ["a"], "n": 2, "max_tokens": 9,
                "prompt_cache_retention": "24h", "prompt_cache_options": {}, "top_k": 5,
                "prediction": {"type": "content", "content": "x"}, "moderation": {"model": "x"},
                "stream": true, "stream_options": {"include_usage": true}}),
            json!({"reasoning": auto}),
        ),
        // Formats
        (json!({"response_format": {"type": "text"}}), json!({"reasoning": auto})),
        (
            schema(json!({"name": "a", "schema": {"type": "object", "x": [null]}, "strict": true})),
            format(
                json!({"type": "json_schema", "name": "a", "schema": {"type": "object", "x": [null]}, "strict": true}),
            ),
        ),
        (
            schema(
                json!({"name": "a b/ü", "description": "d", "schema": {"properties": {}}, "strict": null}),
            ),
            format(json!({"type": "json_schema", "name": "a_b__", "description": "d",
                "schema": {"type": "object", "properties": {}}, "strict": false})),
        ),
        (
            schema(json!({"strict": true})),
            format(
                json!({"type": "json_schema", "name": "response", "schema": {"type": "object"}, "strict": false}),
            ),
        ),
        (
            schema(json!({"type": "object", "properties": {"a": {}}})),
            format(
                json!({"type": "json_schema", "name": "response", "schema": {"type": "object", "properties": {"a": {}}}, "strict": false}),
            ),
        ),
        (
            json!({"response_format": {"type": "json_object", "schema": {"properties": {}}}}),
            format(
                json!({"type": "json_schema", "name": "response", "schema": {"type": "object", "properties": {}}, "strict": false}),
            ),
        ),
        (
            json!({"verbosity": "high", "messages": [{"role": "user", "content": "JSON!"}], "response_format": {"type": "json_object"}}),
            json!({"reasoning": auto, "text": {"format": {"type": "json_object"}, "verbosity": "high"}}),
        ),
        // Web search
        (
            json!({"web_search_options": {}}),
            json!({"reasoning": auto, "tools": [{"type": "web_search"}]}),
        ),
        (
            json!({"web_search_options": {"search_context_size": "low", "user_location":
                {"type": "approximate", "approximate": {"country": "IT", "city": null}}}}),
            json!({"reasoning": auto, "tools": [{"type": "web_search", "search_context_size": "low",
                "user_location": {"type": "approximate", "country": "IT"}}]}),
        ),
        // Without tools there is nothing to choose.
        (
            json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": true}),
            json!({"reasoning": auto}),
        ),
        (json!({"tool_choice": "none"}), json!({"reasoning": auto})),
    ];
    for (fields, expected) in cases {
        assert_eq!(settings(&fields), expected, "{fields}");
    }
}

#[test]
fn models_get_only_what_they_take() {
    let fields = over(&json!({"reasoning_effort": "high", "verbosity": "low"}));
    let to = |model: Model| send_to(&model, Policy::default(), &fields).unwrap();
    let plain = to(Model { reasons: false, verbosity: false, ..model() });
    assert_eq!(plain.body.get("reasoning"), None);
    assert_eq!(plain.body.get("include"), None);
    assert_eq!(plain.body.get("text"), None);
    assert_eq!(plain.notes.dropped().as_deref(), Some("verbosity,reasoning_effort"));
    let silent = to(Model { summaries: false, ..model() });
    assert_eq!(silent.body["reasoning"], json!({"effort": "high"}));
    let unknown = to(Model { efforts: Vec::new(), ..model() });
    assert_eq!(unknown.body["reasoning"]["effort"], "high");
    let suffixed = Model { effort: Some(Effort::Xhigh), ..model() };
    let sent = send_to(&suffixed, Policy::default(), &over(&json!({}))).unwrap();
    assert_eq!(sent.body["reasoning"]["effort"], "xhigh");
    // What the request itself says counts more than the name of the model.
    assert_eq!(to(suffixed).body["reasoning"]["effort"], "high");
}

#[test]
fn ultra_is_sent_as_what_it_means_to_the_model() {
    use Effort::{High, Low, Max, Medium, Ultra, Xhigh};
    for (efforts, ultra, expected) in [
        (vec![Low, High, Xhigh, Max, Ultra], Xhigh, "xhigh"),
        (vec![Low, High, Xhigh, Max, Ultra], Max, "max"),
        (vec![Low, High, Xhigh, Max], Max, "max"),
        (vec![Low, Medium], Xhigh, "medium"),
        (vec![], Max, "max"),
        (vec![], Xhigh, "xhigh"),
        // Not as itself, whatever the catalogue says.
        (vec![Low, Ultra], Ultra, "low"),
        (vec![], Ultra, "max"),
    ] {
        for (fields, effort) in
            [(json!({"reasoning_effort": "ultra"}), None), (json!({}), Some(Ultra))]
        {
            let model = Model { efforts: efforts.clone(), ultra, effort, ..model() };
            let sent = send_to(&model, Policy::default(), &over(&fields)).unwrap();
            assert_eq!(sent.body["reasoning"]["effort"], expected, "{efforts:?} {ultra:?}");
        }
    }
}

#[test]
fn an_effort_that_the_model_does_not_have_is_told_of() {
    let plain = Model { reasons: false, efforts: Vec::new(), ..model() };
    for (fields, effort, dropped) in [
        (json!({"reasoning_effort": "high"}), None, Some("reasoning_effort")),
        (json!({}), Some(Effort::High), Some("reasoning_effort")),
        (json!({"reasoning_effort": "none"}), None, None),
        (json!({}), None, None),
    ] {
        let model = Model { effort, ..plain.clone() };
        let sent = send_to(&model, Policy::default(), &over(&fields)).unwrap();
        assert_eq!(sent.notes.dropped().as_deref(), dropped, "{fields}");
        assert_eq!(sent.body.get("reasoning"), None);
        let strict = Policy { strict: true, ..Policy::default() };
        assert_eq!(send_to(&model, strict, &over(&fields)).is_err(), dropped.is_some());
    }
}

#[test]
fn a_hidden_reasoning_is_not_asked_for() {
    let policy = Policy { reasoning: Reasoning::None, ..Policy::default() };
    let sent = send_to(&model(), policy, &over(&json!({}))).unwrap();
    assert_eq!(sent.body.get("reasoning"), None);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn messages_become_instructions_and_items() {
    let image = json!({"type": "image_url", "image_url": {"url": "https://a.example/"}});
    let picture = json!({"type": "input_image", "image_url": "https://a.example/"});
    let hi = json!({"role": "user", "content": "Hi"});
    let cases = [
        (
            "system text first",
            json!([{"role": "system", "content": "S"}, hi]),
            "S",
            json!([says("user", "Hi")]),
        ),
        (
            "two of them",
            json!([{"role": "system", "content": "S"}, {"role": "developer", "content": ["D", "E"]}, hi]),
            "S\n\nD\n\nE",
            json!([says("user", "Hi")]),
        ),
        (
            "a later one stays in place",
            json!([hi, {"role": "system", "content": "S"}]),
            DEFAULT,
            json!([says("user", "Hi"), says("developer", "S")]),
        ),
        (
            "nothing but system text",
            json!([{"role": "system", "content": "S"}]),
            DEFAULT,
            json!([says("developer", "S")]),
        ),
        (
            "an empty system text",
            json!([{"role": "system", "content": ""}, hi]),
            DEFAULT,
            json!([says("user", "Hi")]),
        ),
        (
            "a picture in a system message",
            json!([{"role": "system", "content": [{"type": "text", "text": "S"}, image]}, hi]),
            DEFAULT,
            json!([{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "S"}, picture]}, says("user", "Hi")]),
        ),
        (
            "extras are dropped",
            json!([{"role": "user", "content": "Hi", "x": 1}]),
            DEFAULT,
            json!([says("user", "Hi")]),
        ),
        (
            "names are put in front of what was said",
            json!([{"role": "system", "name": "Boss", "content": "S"},
                   {"role": "user", "name": "Sam", "content": "Hi"},
                   {"role": "user", "name": "Adam", "content": [image]},
                   {"role": "user", "name": " ", "content": "Ho"},
                   {"role": "user", "name": "Eve", "content": ""}]),
            "Boss: S",
            json!([says("user", "Sam: Hi"),
                   {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Adam:"}, picture]},
                   says("user", "Ho")]),
        ),
        (
            "a result within a user's message goes to its call",
            json!([hi, {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
                   {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "ok"}, {"type": "text", "text": "Go on"}]}]),
            DEFAULT,
            json!([says("user", "Hi"),
                   {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "c", "output": "ok"},
                   says("user", "Go on")]),
        ),
        (
            "a call in both forms is one call",
            json!([hi, {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{ }"},
                        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                   {"role": "tool", "tool_call_id": "c", "content": "ok"}]),
            DEFAULT,
            json!([says("user", "Hi"),
                   {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "c", "output": "ok"}]),
        ),
        (
            "a picture that was given comes back as a picture",
            json!([hi, {"role": "assistant", "content": "", "images": [image]}, hi]),
            DEFAULT,
            json!([says("user", "Hi"), {"type": "message", "role": "user", "content": [picture]}, says("user", "Hi")]),
        ),
        (
            "results without ids go by the names of their tools",
            json!([hi, {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "w", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
                        {"id": "t", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}]},
                   {"role": "tool", "name": "get_time", "content": "14:05"},
                   {"role": "tool", "name": "get_weather", "content": "22C"}]),
            DEFAULT,
            json!([says("user", "Hi"),
                   {"type": "function_call", "call_id": "w", "name": "get_weather", "arguments": "{}"},
                   {"type": "function_call", "call_id": "t", "name": "get_time", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "w", "output": "22C"},
                   {"type": "function_call_output", "call_id": "t", "output": "14:05"}]),
        ),
        (
            "an empty message alone",
            json!([{"role": "user", "content": null}]),
            DEFAULT,
            json!([says("user", "")]),
        ),
        (
            "an empty message among others",
            json!([hi, {"role": "user", "content": []}]),
            DEFAULT,
            json!([says("user", "Hi")]),
        ),
        (
            "an empty outcome alone",
            json!([{"role": "tool", "tool_call_id": "1", "content": ""}]),
            DEFAULT,
            json!([says("user", "")]),
        ),
        (
            "an empty assistant",
            json!([hi, {"role": "assistant", "content": ""}, hi]),
            DEFAULT,
            json!([says("user", "Hi"), says("user", "Hi")]),
        ),
        (
            "the assistant at the end",
            json!([hi, {"role": "assistant", "content": "Well"}]),
            DEFAULT,
            json!([says("user", "Hi"), says("assistant", "Well")]),
        ),
        (
            "parts in order, without empty texts",
            json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}, image, {"type": "text", "text": "b", "prompt_cache_breakpoint": {}}]}]),
            DEFAULT,
            json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, picture, {"type": "input_text", "text": "b"}]}]),
        ),
        (
            "files",
            json!([{"role": "user", "content": [
                {"type": "file", "file": {"file_data": "AAAA"}},
                {"type": "file", "file": {"file_url": "https://a.example/b.pdf"}}]}]),
            DEFAULT,
            json!([{"type": "message", "role": "user", "content": [
                {"type": "input_file", "filename": "file.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                {"type": "input_file", "file_url": "https://a.example/b.pdf"}]}]),
        ),
        (
            "an assistant's texts, refusals and traces",
            json!([hi, {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                "refusal": "No.", "reasoning_content": "hm", "annotations": [], "audio": {"id": "x"}}]),
            DEFAULT,
            json!([says("user", "Hi"), {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}, {"type": "refusal", "refusal": "No."}]}]),
        ),
        (
            "an assistant's picture goes to the user",
            json!([hi, {"role": "assistant", "content": ["See", image]}]),
            DEFAULT,
            json!([says("user", "Hi"), says("assistant", "See"), {"type": "message", "role": "user", "content": [picture]}]),
        ),
        (
            "calls and outcomes",
            json!([hi, {"role": "assistant", "content": "Wait", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{ }"}},
                {"id": "2", "type": "custom", "custom": {"name": "c", "input": "x"}}]},
                {"role": "tool", "tool_call_id": "2", "content": "b"},
                {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "a"}, image]}]),
            DEFAULT,
            json!([says("user", "Hi"), says("assistant", "Wait"),
                {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{ }"},
                {"type": "custom_tool_call", "call_id": "2", "name": "c", "input": "x"},
                {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "a"}, picture]},
                {"type": "custom_tool_call_output", "call_id": "2", "output": "b"}]),
        ),
        (
            "legacy calls",
            json!([hi, {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "a"}, {"role": "function", "name": "g", "content": "b"}]),
            DEFAULT,
            json!([says("user", "Hi"), {"type": "function_call", "call_id": "call_legacy_1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_legacy_1", "output": "a"}, says("user", "[tool result]\nb")]),
        ),
    ];
    for (name, messages, instructions, input) in cases {
        assert_eq!(conversation(&messages), (json!(instructions), input), "{name}");
    }
}

#[test]
fn json_objects_come_with_the_word_that_the_backend_wants() {
    let ask = |system: Value, user: &str| {
        send(&json!({"model": "m", "response_format": {"type": "json_object"},
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}]}))
    };
    let said = ask(json!("S"), "As Json, please");
    assert_eq!(said.body["instructions"], "S");
    assert_eq!(said.body["input"], json!([says("user", "As Json, please")]));
    let only_system = ask(json!("Write JSON."), "Hi");
    assert_eq!(only_system.body["instructions"], DEFAULT);
    assert_eq!(
        only_system.body["input"],
        json!([says("developer", "Write JSON."), says("user", "Hi")])
    );
    assert_eq!(only_system.notes.emulated(), None);
    let nowhere = ask(json!("S"), "Hi");
    assert_eq!(nowhere.body["instructions"], "S");
    let hint = says("developer", "Respond with a JSON object.");
    assert_eq!(nowhere.body["input"], json!([hint, says("user", "Hi")]));
    assert_eq!(nowhere.notes.emulated().as_deref(), Some("response_format"));
    assert!(nowhere.plan.json);
}

#[test]
fn tools_are_flattened_and_mended() {
    let function =
        |given: Value, expected: Value| (json!({"type": "function", "function": given}), expected);
    let empty = json!({"type": "object", "properties": {}});
    let cases = [
        function(
            json!({"name": "f"}),
            json!({"type": "function", "name": "f", "parameters": empty, "strict": false}),
        ),
        function(
            json!({"name": "f", "description": "d", "strict": true, "parameters": {"type": "object", "properties": {"a": {"default": null}}, "required": []}, "x": 1}),
            json!({"type": "function", "name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"default": null}}, "required": []}, "strict": true}),
        ),
        function(
            json!({"name": "f", "parameters": null, "strict": null}),
            json!({"type": "function", "name": "f", "parameters": empty, "strict": false}),
        ),
        function(
            json!({"name": "f", "parameters": {"type": null, "oneOf": null}}),
            json!({"type": "function", "name": "f", "parameters": empty, "strict": false}),
        ),
        function(
            json!({"name": "f", "parameters": {"properties": {}, "$schema": "x"}}),
            json!({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}, "$schema": "x"}, "strict": false}),
        ),
        function(
            json!({"name": "f", "parameters": {"allOf": [empty]}}),
            json!({"type": "function", "name": "f", "parameters": empty, "strict": false}),
        ),
        function(
            json!({"name": "f", "parameters": {"type": "object", "allOf": [{}, {}]}}),
            json!({"type": "function", "name": "f", "parameters": {"properties": {}, "type": "object"}, "strict": false}),
        ),
        (
            json!({"type": "function", "name": "f", "parameters": empty}),
            json!({"type": "function", "name": "f", "parameters": empty, "strict": false}),
        ),
        (
            json!({"function": {"name": "f"}}),
            json!({"type": "function", "name": "f", "parameters": empty, "strict": false}),
        ),
        (
            json!({"type": "custom", "custom": {"name": "c"}}),
            json!({"type": "custom", "name": "c"}),
        ),
        (
            json!({"type": "custom", "custom": {"name": "c", "description": "d", "format": {"type": "text"}}}),
            json!({"type": "custom", "name": "c", "description": "d", "format": {"type": "text"}}),
        ),
        (
            json!({"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}}}),
            json!({"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}),
        ),
        (json!({"type": "web_search_preview", "x": 1}), json!({"type": "web_search"})),
        (
            json!({"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "x": 1, "user_location": {"type": "approximate", "city": "Rome"}}),
            json!({"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "user_location": {"type": "approximate", "city": "Rome"}}),
        ),
        (
            json!({"type": "image_generation", "size": "auto", "quality": null, "n": 2}),
            json!({"type": "image_generation", "size": "auto"}),
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(settings(&json!({"tools": [given]}))["tools"], json!([expected]), "{given}");
    }
    let f = json!({"type": "function", "name": "f", "parameters": empty, "strict": false});
    let g = json!({"type": "function", "function": {"name": "g"}});
    let twice = settings(
        &json!({"tools": [{"type": "function", "function": {"name": "f"}}, g, {"type": "function", "function": {"name": "f"}}]}),
    );
    assert_eq!(twice["tools"][1], f, "the last of equal ones counts");
    assert_eq!(twice["tools"].as_array().unwrap().len(), 2);
    let search = settings(&json!({"tools": [{"type": "web_search"}], "web_search_options": {}}));
    assert_eq!(search["tools"].as_array().unwrap().len(), 1);
}

#[test]
fn choices_are_flattened_and_legacy_functions_have_their_own() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]);
    for (given, expected) in [
        (json!("none"), json!("none")),
        (json!("auto"), json!("auto")),
        (json!("required"), json!("required")),
        (json!("any"), json!("required")),
        (
            json!({"type": "function", "function": {"name": "f"}}),
            json!({"type": "function", "name": "f"}),
        ),
        (json!({"type": "function", "name": "f"}), json!({"type": "function", "name": "f"})),
        (
            json!({"type": "custom", "custom": {"name": "c"}}),
            json!({"type": "custom", "name": "c"}),
        ),
        (
            json!({"type": "function", "function": {"name": "c"}}),
            json!({"type": "custom", "name": "c"}),
        ),
        (json!({"type": "tool", "name": "f"}), json!({"type": "function", "name": "f"})),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}),
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}),
        ),
    ] {
        let sent =
            settings(&json!({"tools": tools, "tool_choice": given, "parallel_tool_calls": true}));
        assert_eq!(sent["tool_choice"], expected, "{given}");
        assert_eq!(sent["parallel_tool_calls"], true);
    }
    let legacy = over(
        &json!({"functions": [{"name": "f"}], "function_call": {"name": "f"}, "parallel_tool_calls": true}),
    );
    let sent = send(&legacy);
    assert!(sent.plan.legacy_functions);
    assert_eq!(sent.body["tool_choice"], json!({"type": "function", "name": "f"}));
    assert_eq!(sent.body["parallel_tool_calls"], false);
    assert_eq!(sent.body["tools"][0]["name"], "f");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let f = |name: &str, description: &str| json!({"type": "function", "function": {"name": name, "description": description}});
    for (fields, param, code, hint) in [
        (json!({"n": 9}), "n", "integer_above_max_value", "<= 8, but got 9"),
        (
            json!({"tool_choice": "required"}),
            "tool_choice",
            "invalid_value",
            "only allowed when 'tools'",
        ),
        (
            json!({"tools": [f("f", "")], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice",
            "invalid_value",
            "'g' not found",
        ),
        (
            json!({"functions": [{"name": "f"}], "function_call": {"name": "g"}}),
            "function_call",
            "invalid_value",
            "'g' not found",
        ),
        (
            json!({"tools": [f("f", "a"), f("g", ""), f("f", "b")]}),
            "tools[2].function.name",
            "invalid_value",
            "two different tools",
        ),
        (
            json!({"functions": [{"name": "f"}, {"name": "f", "strict": true}]}),
            "functions[1].name",
            "invalid_value",
            "two different tools",
        ),
    ] {
        let reject = send_to(&model(), Policy::default(), &over(&fields)).unwrap_err();
        assert_eq!(reject.param.as_deref(), Some(param), "{fields}");
        assert_eq!(reject.code.map(Code::as_str), Some(code), "{fields}");
        assert!(reject.message.contains(hint), "{fields}: {}", reject.message);
    }
}

#[test]
fn strict_refuses_what_would_be_dropped_and_nothing_else() {
    let strict = Policy { strict: true, ..Policy::default() };
    for (fields, param) in [
        (json!({"temperature": 0}), "temperature"),
        (json!({"seed": 1}), "seed"),
        (json!({"user": "u"}), "user"),
        (json!({"store": true}), "store"),
        (json!({"service_tier": "flex"}), "service_tier"),
        (json!({"top_k": 1}), "top_k"),
        (json!({"moderation": {}}), "moderation"),
    ] {
        let reject = send_to(&model(), strict, &over(&fields)).unwrap_err();
        assert_eq!(reject.param.as_deref(), Some(param));
        assert_eq!(reject.code, Some(Code::UnsupportedParameter));
        let sent = send(&over(&fields));
        assert_eq!(sent.notes.dropped().as_deref(), Some(param), "without strict");
    }
    let ignore = Policy { max_tokens: MaxTokens::Ignore, ..strict };
    let reject = send_to(&model(), ignore, &over(&json!({"max_tokens": 5}))).unwrap_err();
    assert_eq!(reject.param.as_deref(), Some("max_tokens"));
    let json = over(&json!({"response_format": {"type": "json_object"}}));
    let reject = send_to(&model(), strict, &json).unwrap_err();
    assert_eq!(reject.param.as_deref(), Some("messages"));
    assert!(reject.message.contains("'json'"), "{}", reject.message);
    for fields in [
        json!({"temperature": 1, "stop": "a", "n": 2, "max_tokens": 5, "service_tier": "default"}),
        json!({"store": false, "metadata": {}, "logprobs": false, "modalities": ["text"]}),
    ] {
        assert!(send_to(&model(), strict, &over(&fields)).is_ok(), "{fields}");
    }
}

#[test]
fn the_public_api_gets_what_it_takes_and_the_codex_backend_does_not() {
    let public = Policy { platform: Platform::OpenAiApi, ..Policy::default() };
    for (fields, forwarded, dropped) in [
        (json!({"temperature": 0}), json!({"temperature": 0.0}), None),
        (json!({"temperature": 1, "top_p": 0.5}), json!({"top_p": 0.5}), None),
        (json!({"metadata": {"a": "b"}}), json!({"metadata": {"a": "b"}}), None),
        (json!({"user": "u"}), json!({"user": "u"}), None),
        (json!({"user": {"id": 1}}), json!({}), Some("user")),
        (json!({"safety_identifier": "s"}), json!({"safety_identifier": "s"}), None),
        (json!({"prompt_cache_retention": "24h"}), json!({"prompt_cache_retention": "24h"}), None),
        (json!({"max_tokens": 50}), json!({"max_output_tokens": 50}), None),
        (
            json!({"max_tokens": 50, "max_completion_tokens": 5}),
            json!({"max_output_tokens": 16}),
            None,
        ),
        (json!({"service_tier": "auto"}), json!({}), None),
        (json!({"service_tier": "default"}), json!({"service_tier": "default"}), None),
        (json!({"service_tier": "flex"}), json!({"service_tier": "flex"}), None),
        (json!({"service_tier": "scale"}), json!({"service_tier": "scale"}), None),
        (json!({"service_tier": "fast"}), json!({"service_tier": "priority"}), None),
        (json!({"seed": 1, "top_k": 1, "store": true}), json!({}), Some("seed,store,top_k")),
        (json!({"logit_bias": {"1": 1}}), json!({}), Some("logit_bias")),
    ] {
        let sent = send_to(&model(), public, &over(&fields)).unwrap();
        let codex = send(&over(&json!({}))).body;
        let (all, usual) = (sent.body.as_object().unwrap(), codex.as_object().unwrap());
        // Summaries come only if asked for.
        let is_more = |name: &String| !usual.contains_key(name);
        let more: serde_json::Map<_, _> =
            all.clone().into_iter().filter(|(name, _)| is_more(name)).collect();
        assert_eq!(Value::Object(more), forwarded, "{fields}");
        assert_eq!(sent.body["store"], false);
        let names = sent.notes.dropped().map(|names| {
            let mut names: Vec<_> = names.split(',').map(str::to_owned).collect();
            names.sort();
            names.join(",")
        });
        assert_eq!(names.as_deref(), dropped, "{fields}");
        assert_eq!((sent.notes.emulated(), sent.plan.max_tokens), (None, None), "{fields}");

        let strict = send_to(&model(), Policy { strict: true, ..public }, &over(&fields));
        assert_eq!(strict.is_err(), dropped.is_some(), "{fields}");
    }
    let ignore = Policy { max_tokens: MaxTokens::Ignore, ..public };
    let sent = send_to(&model(), ignore, &over(&json!({"max_tokens": 50}))).unwrap();
    assert_eq!(sent.body.get("max_output_tokens"), None);
    assert_eq!(sent.notes.dropped().as_deref(), Some("max_tokens"));
    let log = over(&json!({"top_logprobs": 2}));
    assert!(send_to(&model(), public, &log).is_err(), "as everywhere");
}

#[test]
fn the_public_api_is_asked_for_summaries_only_if_the_client_wants_them() {
    let public = Policy { platform: Platform::OpenAiApi, ..Policy::default() };
    let plain = send_to(&model(), public, &over(&json!({}))).unwrap();
    assert_eq!(plain.body.get("reasoning"), None);
    let wanted = over(&json!({"reasoning": {"summary": "detailed"}}));
    let wanted = send_to(&model(), public, &wanted).unwrap();
    assert_eq!(wanted.body["reasoning"], json!({"summary": "detailed"}));
}

#[test]
fn what_is_emulated_is_noted_and_planned() {
    let sent = send(&over(
        &json!({"stop": ["a", ""], "n": 3, "max_tokens": 5, "stream": true, "stream_options": {"include_usage": true}}),
    ));
    assert_eq!(sent.notes.emulated().as_deref(), Some("n,stop,max_tokens"));
    assert_eq!(sent.plan.stops, ["a"]);
    assert_eq!((sent.plan.choices, sent.plan.max_tokens), (3, Some(5)));
    assert!(sent.plan.stream && sent.plan.include_usage);
    let ignore = Policy { max_tokens: MaxTokens::Ignore, ..Policy::default() };
    let sent = send_to(&model(), ignore, &over(&json!({"max_completion_tokens": 5}))).unwrap();
    assert_eq!(sent.plan.max_tokens, None);
    assert_eq!(sent.notes.dropped().as_deref(), Some("max_completion_tokens"));
}

#[test]
fn illegal_names_have_the_same_alias_in_tools_choice_and_history() {
    let sent = send(&json!({"model": "m",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "mcp.read", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "a"}],
        "tools": [
            {"type": "function", "function": {"name": "mcp.read"}},
            {"type": "function", "function": {"name": "mcp_read"}},
            {"type": "function", "function": {"name": "other/tool"}}],
        "tool_choice": {"type": "function", "function": {"name": "mcp.read"}}}));
    let alias = sent.body["tools"][0]["name"].as_str().unwrap();
    assert!(alias.starts_with("mcp_read_") && alias.len() == 17, "{alias}");
    assert_eq!(sent.body["tools"][1]["name"], "mcp_read");
    assert_eq!(sent.body["tools"][2]["name"], "other_tool");
    assert_eq!(sent.body["tool_choice"]["name"], alias);
    assert_eq!(sent.body["input"][1]["name"], alias);
    assert_eq!(sent.plan.originals.of(alias), "mcp.read");
    assert_eq!(sent.plan.originals.of("mcp_read"), "mcp_read");
    assert_eq!(sent.plan.originals.of("other_tool"), "other/tool");
    assert!(sent.plan.functions.contains("mcp.read"));
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let request = json!({"model": "m", "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "a.b", "arguments": {"z": 1, "a": 2}}}, {"function": {"name": "b.c"}}]}],
        "tools": [{"type": "function", "function": {"name": "a.b"}}, {"type": "function", "function": {"name": "a/b"}}]});
    let first = send(&request);
    let again = send(&request);
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(first.conversation, again.conversation);
}

#[test]
fn a_conversation_keeps_its_key_while_it_grows_and_others_have_their_own() {
    let mut messages =
        json!([{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}]);
    let ask = |messages: &Value, fields: &Value| {
        let mut request = over(fields);
        request["messages"] = messages.clone();
        let sent = send(&request);
        assert_eq!(sent.body["prompt_cache_key"].as_str().unwrap().len(), 36);
        assert_eq!(sent.body["prompt_cache_key"], sent.conversation.to_string());
        sent.conversation
    };
    let none = json!({});
    let first = ask(&messages, &none);
    for turn in [
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}),
        json!({"role": "tool", "tool_call_id": "1", "content": "a"}),
        json!({"role": "assistant", "content": "Well"}),
        json!({"role": "user", "content": "More"}),
    ] {
        messages.as_array_mut().unwrap().push(turn);
        assert_eq!(ask(&messages, &none), first, "{messages}");
    }
    assert_eq!(ask(&messages, &json!({"temperature": 0, "reasoning_effort": "low"})), first);
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    let mut keys = vec![
        first,
        ask(&messages, &tools),
        ask(&messages, &json!({"user": "u"})),
        ask(&messages, &json!({"user": "v"})),
    ];
    messages[1]["content"] = "Ho".into();
    keys.push(ask(&messages, &none));
    messages[0]["content"] = "T".into();
    keys.push(ask(&messages, &none));
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "each has its own");
}

#[test]
fn a_key_of_the_client_is_kept_or_shortened() {
    let key = |key: &str| send(&over(&json!({"prompt_cache_key": key})));
    assert_eq!(key("mine").body["prompt_cache_key"], "mine");
    assert_eq!(key("mine").conversation, key("mine").conversation);
    assert_ne!(key("mine").conversation, key("yours").conversation);
    let fits = "ü".repeat(64);
    assert_eq!(key(&fits).body["prompt_cache_key"], fits);
    let long = key(&"k".repeat(65)).body["prompt_cache_key"].as_str().unwrap().to_owned();
    assert!(long.len() == 64 && long.chars().all(|c| c.is_ascii_hexdigit()), "{long}");
    assert_eq!(key("").body["prompt_cache_key"].as_str().unwrap().len(), 36);
}
