//! Tools, the choice of one, and formats: what of them is sent, noted and refused.

use std::collections::BTreeSet;

use super::*;

/// What is sent, the notes in order of the alphabet, and whether strict mode refuses the request.
fn outcome(fields: &Value) -> (Value, Vec<String>, bool) {
    let request = over(fields);
    let sent = send(&request);
    let dropped = sent.notes.dropped().unwrap_or_default();
    let names: BTreeSet<String> =
        dropped.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let strict = send_to(&model(), Policy { strict: true, ..Policy::default() }, &request);
    if let Err(reject) = &strict {
        let param = reject.param.as_deref().unwrap_or_default();
        assert!(names.contains(param), "{param} is not among {names:?}: {fields}");
    }
    (sent.body, names.into_iter().collect(), strict.is_err())
}

fn check(fields: &Value, sent: impl FnOnce(&Value) -> Value, expected: &Value, dropped: &[&str]) {
    let (body, names, is_refused) = outcome(fields);
    assert_eq!(sent(&body), *expected, "{fields}");
    assert_eq!(names, dropped, "{fields}");
    assert_eq!(is_refused, !dropped.is_empty(), "strict: {fields}");
}

fn function(parameters: &Value) -> Value {
    json!({"type": "function", "function": {"name": "f", "parameters": parameters}})
}

#[test]
fn restrictions_of_hosted_tools_are_passed_on() {
    let tools = |body: &Value| body["tools"].clone();
    let search = |fields: Value| {
        let mut tool = json!({"type": "web_search"});
        for (key, value) in fields.as_object().unwrap() {
            tool[key] = value.clone();
        }
        tool
    };
    for (tool, expected, dropped) in [
        (
            search(json!({"external_web_access": false})),
            search(json!({"external_web_access": false})),
            &[][..],
        ),
        (
            search(json!({"indexed_web_access": true, "search_content_types": ["text"]})),
            search(json!({"indexed_web_access": true, "search_content_types": ["text"]})),
            &[],
        ),
        (
            search(json!({"filters": {"allowed_domains": ["a.example"]}})),
            search(json!({"filters": {"allowed_domains": ["a.example"]}})),
            &[],
        ),
        (
            search(json!({"allowed_domains": ["a.example"]})),
            search(json!({"filters": {"allowed_domains": ["a.example"]}})),
            &[],
        ),
        (
            json!({"type": "web_search_2025_08_26", "external_web_access": false}),
            search(json!({"external_web_access": false})),
            &[],
        ),
        (json!({"type": "web_search_preview_2025_03_11"}), search(json!({})), &[]),
        (
            search(json!({"max_uses": 2, "search_context_size": ""})),
            search(json!({})),
            &["tools[0].max_uses"],
        ),
        (
            json!({"type": "image_generation", "action": "edit", "partial_images": 0, "input_image_mask": {"image_url": "x"}}),
            json!({"type": "image_generation", "action": "edit"}),
            &["tools[0].input_image_mask"],
        ),
    ] {
        check(&json!({"tools": [tool]}), tools, &json!([expected]), dropped);
    }
}

#[test]
fn search_options_and_a_declared_search_are_one() {
    let tools = |body: &Value| body["tools"].clone();
    for (tool, options, expected, dropped) in [
        (
            json!({}),
            json!({"search_context_size": "high", "user_location": {"type": "approximate", "approximate": {"city": "Rome"}}}),
            json!({"search_context_size": "high", "user_location": {"type": "approximate", "city": "Rome"}}),
            &[][..],
        ),
        (
            json!({"search_context_size": "low"}),
            json!({"search_context_size": "low"}),
            json!({"search_context_size": "low"}),
            &[],
        ),
        (
            json!({"search_context_size": "low"}),
            json!({"search_context_size": "high"}),
            json!({"search_context_size": "low"}),
            &["web_search_options.search_context_size"],
        ),
        (
            json!({"external_web_access": true}),
            json!({"external_web_access": false}),
            json!({"external_web_access": false}),
            &[],
        ),
        (
            json!({}),
            json!({"filters": {"allowed_domains": ["a.example"]}}),
            json!({"filters": {"allowed_domains": ["a.example"]}}),
            &[],
        ),
    ] {
        let with_type = |mut tool: Value| {
            tool["type"] = "web_search".into();
            tool
        };
        let fields = json!({"tools": [with_type(tool)], "web_search_options": options});
        check(&fields, tools, &json!([with_type(expected)]), dropped);
    }
    let fields = json!({
        "tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.example"]}}],
        "web_search_options": {"filters": {"allowed_domains": ["b.example"]}}});
    let reject = send_to(&model(), Policy::default(), &over(&fields)).unwrap_err();
    assert_eq!(reject.param.as_deref(), Some("web_search_options.filters"));
}

#[test]
fn hosted_tools_can_be_chosen_and_asked_for_by_modality() {
    let choice = |body: &Value| body["tool_choice"].clone();
    let search = json!([{"type": "web_search"}]);
    let search_and_more = json!([{"type": "web_search"}, function(&json!({}))]);
    let drawing = json!([{"type": "image_generation"}]);
    let f = json!({"type": "function", "name": "f"});
    for (tools, given, expected) in [
        (&search, json!({"type": "web_search"}), json!({"type": "web_search"})),
        (&search, json!({"type": "web_search_preview"}), json!({"type": "web_search"})),
        (&search, json!({"type": "web_search_2025_08_26"}), json!({"type": "web_search"})),
        (&drawing, json!({"type": "image_generation"}), json!({"type": "image_generation"})),
        (
            &search_and_more,
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}, f]}),
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}, f]}),
        ),
    ] {
        check(&json!({"tools": tools, "tool_choice": given}), choice, &expected, &[]);
    }
    let by_options = json!({"web_search_options": {}, "tool_choice": {"type": "web_search"}});
    check(&by_options, choice, &json!({"type": "web_search"}), &[]);

    let tools = |body: &Value| body["tools"].clone();
    check(&json!({"modalities": ["image", "text"]}), tools, &drawing, &[]);
    let sized = json!([{"type": "image_generation", "size": "auto"}]);
    check(&json!({"modalities": ["image"], "tools": sized}), tools, &sized, &[]);
    let by_modality = json!({"modalities": ["image"], "tool_choice": {"type": "image_generation"}});
    check(&by_modality, choice, &json!({"type": "image_generation"}), &[]);

    for fields in [
        json!({"tools": drawing, "tool_choice": {"type": "web_search"}}),
        json!({"tools": search, "tool_choice": {"type": "image_generation"}}),
        json!({"tool_choice": {"type": "web_search"}}),
    ] {
        let reject = send_to(&model(), Policy::default(), &over(&fields)).unwrap_err();
        assert_eq!(reject.param.as_deref(), Some("tool_choice"), "{fields}");
    }
}

#[test]
fn a_choice_holds_in_its_old_and_new_form() {
    let choice = |body: &Value| body["tool_choice"].clone();
    let legacy = json!({"functions": [{"name": "f"}]});
    let modern = json!({"tools": [function(&json!({}))]});
    let named = json!({"type": "function", "name": "f"});
    let new = |choice: Value| json!({ "tool_choice": choice });
    let old = |choice: Value| json!({ "function_call": choice });
    let nested = json!({"type": "function", "function": {"name": "f"}});
    for tools in [&legacy, &modern] {
        for (given, expected) in [
            (json!({}), Value::Null),
            (new(json!("none")), json!("none")),
            (new(json!("auto")), json!("auto")),
            (new(json!("required")), json!("required")),
            (new(nested.clone()), named.clone()),
            (old(json!("none")), json!("none")),
            (old(json!("auto")), json!("auto")),
            (old(json!({"name": "f"})), named.clone()),
            (json!({"tool_choice": "none", "function_call": "none"}), json!("none")),
            (json!({"tool_choice": nested, "function_call": {"name": "f"}}), named.clone()),
        ] {
            let mut fields = tools.clone();
            fields.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
            check(&fields, choice, &expected, &[]);
        }
        for (given, param) in [
            (json!({"tool_choice": "auto", "function_call": "none"}), "function_call"),
            (old(json!({"name": "g"})), "function_call"),
            (new(json!({"type": "function", "function": {"name": "g"}})), "tool_choice"),
        ] {
            let mut fields = tools.clone();
            fields.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
            let reject = send_to(&model(), Policy::default(), &over(&fields)).unwrap_err();
            assert_eq!(reject.param.as_deref(), Some(param), "{fields}");
        }
    }
    let none = over(&json!({"function_call": {"name": "f"}}));
    let reject = send_to(&model(), Policy::default(), &none).unwrap_err();
    assert_eq!(reject.param.as_deref(), Some("function_call"));
    check(&json!({"tools": [], "function_call": "auto"}), choice, &Value::Null, &[]);
}

#[test]
fn a_schema_is_taken_where_it_stands() {
    let sent = |body: &Value| body["text"]["format"]["schema"].clone();
    let a = json!({"type": "object", "properties": {"x": {"type": "string"}}});
    let reference = json!({"$ref": "#/$defs/A", "$defs": {"A": a}});
    let array = json!({"type": "array", "items": {"type": "string"}});
    let any = json!({"anyOf": [a, array]});
    for schema in [&a, &reference, &array, &any] {
        let mut named = schema.clone();
        named["name"] = "n".into();
        named["strict"] = true.into();
        for format in [
            json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}),
            json!({"type": "json_schema", "json_schema": schema}),
            json!({"type": "json_schema", "json_schema": named}),
            json!({"type": "json_schema", "name": "n", "schema": schema}),
            json!({"type": "json_object", "schema": schema}),
            json!({"type": "json_object", "json_schema": {"schema": schema}}),
        ] {
            check(&json!({ "response_format": format }), sent, schema, &[]);
        }
        let flat = json!({"format": {"type": "json_schema", "name": "n", "schema": schema}});
        check(&json!({ "text": flat }), sent, schema, &[]);
    }
    let named = json!({"response_format": {"type": "json_schema", "json_schema":
        {"name": "n", "strict": true, "type": "object", "properties": {}}}});
    check(
        &named,
        |body| body["text"]["format"].clone(),
        &json!({"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object", "properties": {}}}),
        &[],
    );
    let reject = over(&json!({"response_format": {"type": "json_object", "schema": "x"}}));
    let reject = send_to(&model(), Policy::default(), &reject).unwrap_err();
    assert_eq!(reject.param.as_deref(), Some("response_format.schema"));
}

#[test]
fn schemas_of_functions_are_mended_where_the_backend_would_refuse_them() {
    let sent = |body: &Value| body["tools"][0]["parameters"].clone();
    let text = json!({"type": "string"});
    let number = json!({"type": "number"});
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let at = |name: &str| format!("tools[0].function.parameters.{name}");
    let cases = [
        (
            json!({"type": "object", "properties": {"a": text, "n": text}, "oneOf": [{"required": ["a"]}, {"required": ["n"]}]}),
            object(json!({"a": text, "n": text})),
            vec![at("oneOf")],
        ),
        (
            json!({"anyOf": [object(json!({"a": text, "k": {"const": 1}})), object(json!({"b": number, "k": {"const": 2}}))]}),
            object(json!({"a": text, "k": {"anyOf": [{"const": 1}, {"const": 2}]}, "b": number})),
            vec![at("anyOf")],
        ),
        // Nothing is lost here.
        (
            json!({"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "object", "properties": {"a": text}, "required": ["a"]}}}),
            json!({"type": "object", "properties": {"a": text}, "required": ["a"],
                "$defs": {"A": {"type": "object", "properties": {"a": text}, "required": ["a"]}}}),
            vec![],
        ),
        (
            json!({"type": "object", "properties": {"a": text}, "required": ["a"], "allOf": [{"properties": {"b": number}, "required": ["a", "b"]}]}),
            json!({"type": "object", "properties": {"a": text, "b": number}, "required": ["a", "b"]}),
            vec![],
        ),
        (
            json!({"type": "object", "properties": {}, "allOf": [{"if": {"required": ["a"]}, "then": {"required": ["b"]}}]}),
            object(json!({})),
            vec![at("allOf")],
        ),
        (
            json!({"type": "object", "properties": {"a": text}, "not": {"required": ["a"]}, "enum": [{"a": "b"}]}),
            object(json!({"a": text})),
            vec![at("enum"), at("not")],
        ),
        // In circles, and to nowhere.
        (
            json!({"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}, {"$ref": "#"}, {"$ref": "x"}], "$defs": {"A": {"$ref": "#/$defs/A"}}}),
            json!({"type": "object", "properties": {}, "$defs": {"A": {"$ref": "#/$defs/A"}}}),
            vec![at("anyOf")],
        ),
        // Types as Google writes them, also where a property is called like a keyword.
        (
            json!({"type": "OBJECT", "properties": {"type": {"type": "STRING"}, "l": {"type": "ARRAY", "items": {"type": ["Integer", "NULL"]}}}}),
            object(
                json!({"type": text, "l": {"type": "array", "items": {"type": ["integer", "null"]}}}),
            ),
            vec![],
        ),
        (json!({"type": ["object", "null"]}), object(json!({})), vec![]),
        // Empty objects as PHP writes them
        (json!({"type": "object", "properties": []}), object(json!({})), vec![]),
        (json!([]), object(json!({})), vec![]),
        (
            json!({"type": "object", "properties": {"a": [], "b": {"type": "object", "properties": []}}}),
            object(json!({"a": {}, "b": {"type": "object", "properties": {}}})),
            vec![],
        ),
        // What is no schema stays as it is.
        (
            object(
                json!({"a": {"enum": ["STRING", null], "default": {"type": "STRING", "properties": []}}}),
            ),
            object(
                json!({"a": {"enum": ["STRING", null], "default": {"type": "STRING", "properties": []}}}),
            ),
            vec![],
        ),
        (
            object(json!({"a": {"type": ["string", "string"], "anyOf": [text, number]}})),
            object(json!({"a": {"type": ["string", "string"], "anyOf": [text, number]}})),
            vec![],
        ),
    ];
    for (given, expected, dropped) in cases {
        let dropped: Vec<&str> = dropped.iter().map(String::as_str).collect();
        check(&json!({"tools": [function(&given)]}), sent, &expected, &dropped);
        // The same tool in the other forms.
        let flat = json!({"type": "function", "name": "f", "parameters": given});
        let paths: Vec<String> = dropped.iter().map(|path| path.replace(".function", "")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        check(&json!({"tools": [flat]}), sent, &expected, &paths);
        let paths: Vec<String> =
            paths.iter().map(|path| path.replace("tools", "functions")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let legacy = json!({"functions": [{"name": "f", "parameters": given}]});
        check(&legacy, sent, &expected, &paths);
    }
    // What is left of a strict schema is not strict.
    let strict = json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true,
        "parameters": {"anyOf": [object(json!({"a": text}))]}}}]});
    let dropped = [&*at("anyOf"), "tools[0].function.strict"];
    check(&strict, |body| body["tools"][0]["strict"].clone(), &json!(false), &dropped);
}

#[test]
fn equal_tools_are_one_and_different_ones_of_one_name_are_refused() {
    let f = |description: &str| json!({"type": "function", "function": {"name": "f", "description": description}});
    let names = |body: &Value| {
        let tools = body["tools"].as_array().unwrap();
        json!(tools.iter().map(|tool| tool["name"].clone()).collect::<Vec<_>>())
    };
    let g = json!({"type": "function", "function": {"name": "g"}});
    let flat = json!({"type": "function", "name": "f", "description": "a"});
    check(&json!({"tools": [f("a"), g, f("a"), flat]}), names, &json!(["g", "f"]), &[]);
    let search = json!({"type": "web_search"});
    let kinds = |body: &Value| json!(body["tools"].as_array().unwrap().len());
    check(&json!({"tools": [search, search]}), kinds, &json!(1), &[]);
    for (tools, param) in [
        (json!([f("a"), f("b")]), "tools[1].function.name"),
        (json!([f("a"), g, f("a"), {"type": "function", "name": "f"}]), "tools[3].name"),
        (json!([f("a"), {"type": "custom", "custom": {"name": "f"}}]), "tools[1].custom.name"),
    ] {
        let reject = send_to(&model(), Policy::default(), &over(&json!({ "tools": tools })));
        assert_eq!(reject.unwrap_err().param.as_deref(), Some(param), "{tools}");
    }
}

#[test]
fn thousands_of_tools_are_sent_all_of_them_under_names_of_their_own() {
    for name in ["tool_", "mcp.tool/", "ü"] {
        let tools: Vec<Value> = (0..3000)
            .map(|number| json!({"type": "function", "function": {"name": format!("{name}{number}")}}))
            .collect();
        let sent = send(&over(&json!({ "tools": tools })));
        let names: BTreeSet<&str> = sent.body["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), 3000, "{name}");
        for upstream in names {
            assert!(sent.plan.functions.contains(sent.plan.originals.of(upstream)), "{upstream}");
        }
    }
}

#[test]
fn tools_of_all_kinds_go_together_and_with_an_effort() {
    let f = json!({"type": "function", "function": {"name": "mcp.read", "parameters": {"type": "object",
        "properties": {"a": {"type": ["string", "string", "null"], "enum": ["x", null]}}}}});
    let grammar = json!({"type": "custom", "custom": {"name": "g", "format": {"type": "grammar",
        "grammar": {"syntax": "regex", "definition": "a+"}}}});
    let fields = json!({"reasoning_effort": "minimal", "reasoning": {"effort": "high", "summary": "concise"},
        "parallel_tool_calls": false, "tools": [f, grammar, {"type": "image_generation"}]});
    let expected = json!({
        "reasoning": {"effort": "low", "summary": "concise"},
        "parallel_tool_calls": false,
        "tools": [
            {"type": "function", "name": "mcp_read", "strict": false, "parameters": {"type": "object",
                "properties": {"a": {"type": ["string", "string", "null"], "enum": ["x", null]}}}},
            {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}},
            {"type": "image_generation"}]});
    assert_eq!(settings(&fields), expected);
    let (_, dropped, is_refused) = outcome(&fields);
    assert!(dropped.is_empty() && !is_refused, "{dropped:?}");
    // As if there were neither.
    for tools in [json!([]), json!(null)] {
        let none = json!({"tools": tools, "tool_choice": "auto", "parallel_tool_calls": true});
        assert_eq!(settings(&none), settings(&json!({})));
    }
}

#[test]
fn ultra_is_never_sent() {
    let ultra = |efforts: &[Effort]| {
        let model = Model { efforts: efforts.to_vec(), ..model() };
        let request = over(&json!({"reasoning_effort": "ultra"}));
        let sent = send_to(&model, Policy::default(), &request).unwrap();
        sent.body["reasoning"]["effort"].clone()
    };
    assert_eq!(ultra(&[]), "max");
    assert_eq!(ultra(&[Effort::Low, Effort::Xhigh]), "xhigh");
    assert_eq!(ultra(&[Effort::Max, Effort::Ultra]), "max");
}
