use super::*;

fn report(code: Option<&str>, message: Option<&str>) -> BackendError {
    BackendError {
        code: code.map(Into::into),
        message: message.map(Into::into),
        ..BackendError::default()
    }
}

fn says(message: &str) -> BackendError {
    report(None, Some(message))
}

#[test]
fn every_shape_says_the_same() {
    let plain = report(Some("server_error"), Some("boom"));
    let kind = BackendError { kind: Some("server_error".into()), ..plain.clone() };
    for (name, json, expected) in [
        (
            "flat event",
            r#"{"type":"error","code":"server_error","message":"boom","param":null,"sequence_number":6}"#,
            &plain,
        ),
        (
            "nested event",
            r#"{"type":"error","error":{"type":"server_error","code":"server_error","message":"boom","param":null}}"#,
            &kind,
        ),
        ("bare error of a response", r#"{"code":"server_error","message":"boom"}"#, &plain),
        (
            "failed response",
            r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"boom"}}}"#,
            &plain,
        ),
        ("text", r#"{"type":"error","error":"boom"}"#, &says("boom")),
        ("detail", r#"{"detail":"boom"}"#, &says("boom")),
        ("bare text", r#""boom""#, &says("boom")),
        (
            "detail with a code",
            r#"{"detail":{"code":"deactivated_workspace"}}"#,
            &report(Some("deactivated_workspace"), None),
        ),
        (
            "detail as a list",
            r#"{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}"#,
            &BackendError { kind: Some("missing".into()), ..says("field required") },
        ),
        (
            "null beside flat fields",
            r#"{"type":"error","error":null,"message":"boom"}"#,
            &says("boom"),
        ),
        ("a code that is a number", r#"{"error":{"code":429}}"#, &report(Some("429"), None)),
    ] {
        assert_eq!(BackendError::from_json(json), *expected, "{name}");
        let pretty = serde_json::to_vec_pretty(&serde_json::from_str::<Value>(json).unwrap());
        let body = BackendError::from_body(&pretty.unwrap());
        assert_eq!(body, Body::Report(expected.clone()), "{name}, as a body");
    }
}

#[test]
fn what_is_not_understood_reports_nothing() {
    for json in [
        "",
        "null",
        "7",
        "[]",
        "{",
        "{}",
        r#"{"type":"error","sequence_number":1}"#,
        r#"{"type":"error","error":null}"#,
        r#"{"error":{}}"#,
        r#"{"error":{"message":"  ","code":""}}"#,
        r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":null}}"#,
        r#"{"detail":null}"#,
        r#"{"detail":[]}"#,
        r#"{"error":{"message":{"nested":true},"code":[1],"resets_at":"soon"}}"#,
    ] {
        assert!(BackendError::from_json(json).is_empty(), "{json}");
    }
    for body in [&b""[..], b" \r\n", b"\xff\xfe\0", b"\0\x01\x02", b"{\"error\": \xff}", b"{\"err"]
    {
        assert_eq!(
            BackendError::from_body(body),
            Body::Report(BackendError::default()),
            "{body:?}"
        );
    }
}

#[test]
fn a_usage_limit_tells_the_plan_and_when_it_ends() {
    let json = r#"{"type":"error","status_code":429,"error":{"type":"usage_limit_reached",
        "message":"The usage limit has been reached","plan_type":"plus","resets_at":1777936568,
        "eligible_promo":null,"resets_in_seconds":13872}}"#;
    let expected = BackendError {
        kind: Some("usage_limit_reached".into()),
        status: Some(429),
        plan_type: Some("plus".into()),
        resets_at: Some(1_777_936_568),
        resets_in: Some(Duration::from_secs(13_872)),
        ..says("The usage limit has been reached")
    };
    assert_eq!(BackendError::from_json(json), expected);
    let negative = BackendError::from_json(r#"{"error":{"resets_in_seconds":-5}}"#);
    assert_eq!(negative.resets_in, None);
}

#[test]
fn pages_are_told_from_plain_text() {
    for html in ["<!DOCTYPE html><html></html>", "\u{feff}\n <HTML>", "<center>nginx</center>"] {
        assert_eq!(BackendError::from_body(html.as_bytes()), Body::Html);
    }
    let text = "upstream connect error or disconnect/reset before headers\n";
    assert_eq!(BackendError::from_body(text.as_bytes()), Body::Report(says(text.trim())));
}

#[test]
fn long_messages_are_cut_between_characters() {
    for filler in ["x", "é", "🦀"] {
        let json = serde_json::json!({ "detail": format!("a{}", filler.repeat(5000)) });
        let message = BackendError::from_json(&json.to_string()).message.unwrap();
        assert!(message.len() <= MAX_MESSAGE + "…".len() && message.ends_with('…'), "{message}");
    }
}

#[test]
fn fields_are_read_from_messages() {
    for (message, field, code) in [
        (
            "Unsupported parameter: max_output_tokens",
            Some("max_output_tokens"),
            Some("unsupported_parameter"),
        ),
        (
            "Unknown parameter: 'input[3].namespace'.",
            Some("input[3].namespace"),
            Some("unknown_parameter"),
        ),
        (
            "Missing required parameter: 'input[0].id'",
            Some("input[0].id"),
            Some("missing_required_parameter"),
        ),
        (
            "Invalid type for 'input[1].arguments': expected a string",
            Some("input[1].arguments"),
            Some("invalid_type"),
        ),
        ("Invalid 'prompt_cache_key': string too long.", Some("prompt_cache_key"), None),
        ("Unsupported service_tier: flex", Some("service_tier"), None),
        ("Unsupported tool type: mcp", Some("tools"), None),
        ("Unsupported value: 'none' is not supported", None, None),
        ("Unsupported parameter: ", None, Some("unsupported_parameter")),
        ("Invalid '", None, None),
        ("Instructions are required", None, None),
    ] {
        let report = says(message);
        assert_eq!((report.field(), report.code_or_implied()), (field, code), "{message}");
    }
    let given =
        BackendError { param: Some("a".into()), ..report(Some("b"), Some("Unknown parameter: c")) };
    assert_eq!((given.field(), given.code_or_implied()), (Some("a"), Some("b")));
}

#[test]
fn delays_are_read_from_messages() {
    for (message, millis) in [
        ("Rate limit reached. Please try again in 11.054s. Visit …", Some(11_054)),
        ("Please Try Again In 350ms.", Some(350)),
        ("try again in 2 seconds", Some(2000)),
        ("try again in 1m30s.", Some(90_000)),
        ("try again in 1h0m0.5s", Some(3_600_500)),
        ("try again in 5 minutes", Some(300_000)),
        ("try again in 7", None),
        ("try again in 7 parsecs", None),
        ("try again in 1.2.3s", None),
        ("try again in a moment", None),
        ("try again in ", None),
        ("İ try again in 1s", Some(1000)),
        ("Please try again later.", None),
    ] {
        assert_eq!(says(message).delay(), millis.map(Duration::from_millis), "{message}");
    }
}

#[test]
fn codes_decide_before_the_status() {
    for (code, class) in [
        ("usage_limit_reached", Class::Quota),
        ("usage_not_included", Class::Quota),
        ("insufficient_quota", Class::Quota),
        ("organization_spend_limit_exceeded", Class::Quota),
        ("organization_usage_limit_exceeded", Class::Quota),
        ("rate_limit_exceeded", Class::RateLimit),
        ("server_is_overloaded", Class::Overloaded),
        ("slow_down", Class::Overloaded),
        ("token_revoked", Class::Auth),
        ("deactivated_workspace", Class::Account),
        ("invalid_workspace_selected", Class::Account),
        ("model_not_found", Class::Model),
        ("model_not_supported", Class::Model),
        ("context_length_exceeded", Class::ContextLength),
        ("invalid_prompt", Class::Policy),
        ("cyber_policy", Class::Policy),
        ("bio_policy", Class::Policy),
        ("content_policy_violation", Class::Policy),
        ("misalignment_policy_violation", Class::Policy),
        ("invalid_encrypted_content", Class::Invalid),
    ] {
        for status in [None, Some(400), Some(404), Some(429), Some(500)] {
            assert_eq!(report(Some(code), None).class(status), class, "{code} with {status:?}");
            let kind = BackendError { kind: Some(code.into()), ..BackendError::default() };
            assert_eq!(kind.class(status), class, "type {code} with {status:?}");
        }
    }
}

#[test]
fn texts_decide_where_there_is_no_code() {
    for (message, class) in [
        ("The usage limit has been reached", Class::Quota),
        ("Selected model is at capacity. Please try a different model.", Class::Overloaded),
        ("Our servers are currently overloaded. Please try again later.", Class::Overloaded),
        (
            "The 'gpt-5.3-codex' model is not supported when using Codex with a ChatGPT account.",
            Class::Model,
        ),
        ("The 'gpt-6-astra' model requires a newer version of Codex.", Class::Model),
        ("Model not found gpt-5.6-luna", Class::Model),
        ("The model `gpt-5.5` does not exist or you do not have access to it.", Class::Model),
        ("Your input exceeds the context window of this model.", Class::ContextLength),
        ("The image data you provided does not represent a valid image.", Class::Image),
        ("Invalid 'input[0].content[0].image_url'. Expected a valid URL, but …", Class::Image),
        ("Instructions are required", Class::Invalid),
    ] {
        assert_eq!(says(message).class(Some(400)), class, "{message}");
    }
}

#[test]
fn the_status_decides_the_rest() {
    let silent = BackendError::default();
    for (status, class) in [
        (400, Class::Invalid),
        (401, Class::Auth),
        (402, Class::Account),
        (403, Class::Account),
        (404, Class::Invalid),
        (405, Class::Unexpected),
        (307, Class::Unexpected),
        (413, Class::Invalid),
        (429, Class::RateLimit),
        (500, Class::Server),
        (503, Class::Server),
        (504, Class::Server),
    ] {
        assert_eq!(silent.class(Some(status)), class, "{status}");
        let told = BackendError { status: Some(status), ..BackendError::default() };
        assert_eq!(told.class(None), class, "{status} in a stream");
    }
    assert_eq!(silent.class(None), Class::Server);
    assert_eq!(report(Some("server_error"), Some("boom")).class(None), Class::Server);
    let invalid =
        BackendError { kind: Some("invalid_request_error".into()), ..BackendError::default() };
    assert_eq!(invalid.class(None), Class::Invalid);
}

/// Words decide only where the status and the code leave something open, and only at the beginning
/// of a message: what a client has sent may be quoted later in it.
#[test]
fn words_do_not_overrule_a_status_or_a_code() {
    const BUSY: &str = "Selected model is at capacity. Please try a different model.";
    const USED_UP: &str = "The usage limit has been reached";
    const NO_MODEL: &str = "The model `m` does not exist or you do not have access to it.";
    const TOO_LONG: &str = "Your input exceeds the context window of this model.";
    for (code, kind, message, status, class) in [
        // Quoted: the field, or what it holds.
        (
            Some("invalid_value"),
            true,
            "Invalid value: 'at capacity'. Supported values are: 'a'.",
            Some(400),
            Class::Invalid,
        ),
        (
            None,
            false,
            "Invalid value: 'at capacity'. Supported values are: 'a'.",
            Some(400),
            Class::Invalid,
        ),
        (None, false, "Invalid value: 'usage limit has been reached'.", Some(400), Class::Invalid),
        (None, false, "Invalid value: 'exceeded your current quota'.", Some(400), Class::Invalid),
        (None, false, "Invalid value: 'x model is not supported'.", Some(400), Class::Invalid),
        (None, false, "Invalid value: 'context window of this model'.", Some(400), Class::Invalid),
        (None, false, "Invalid value: 'servers are currently overloaded'.", None, Class::Invalid),
        // A code or a type of requests that are wrong.
        (Some("invalid_value"), true, BUSY, Some(400), Class::Invalid),
        (None, true, BUSY, Some(400), Class::Invalid),
        (None, true, USED_UP, Some(400), Class::Invalid),
        (None, true, NO_MODEL, Some(400), Class::Invalid),
        (None, true, BUSY, None, Class::Invalid),
        // What stays a wrong request may be named more exactly.
        (None, true, TOO_LONG, Some(400), Class::ContextLength),
        (None, true, TOO_LONG, None, Class::ContextLength),
        // Statuses that leave nothing open.
        (None, false, USED_UP, Some(401), Class::Auth),
        (None, false, NO_MODEL, Some(403), Class::Account),
        (None, false, USED_UP, Some(413), Class::Invalid),
        (None, false, USED_UP, Some(500), Class::Server),
        (None, false, NO_MODEL, Some(502), Class::Server),
        (None, false, TOO_LONG, Some(503), Class::Server),
        (None, false, NO_MODEL, Some(429), Class::RateLimit),
        // Those that do.
        (None, false, BUSY, Some(503), Class::Overloaded),
        (None, false, BUSY, Some(429), Class::Overloaded),
        (None, false, USED_UP, Some(429), Class::Quota),
        (None, false, USED_UP, Some(404), Class::Quota),
        (Some("server_error"), false, BUSY, None, Class::Overloaded),
        (None, false, NO_MODEL, None, Class::Model),
    ] {
        let kind = kind.then(|| "invalid_request_error".to_owned());
        let report = BackendError { kind, ..report(code, Some(message)) };
        assert_eq!(report.class(status), class, "{report:?} with {status:?}");
    }
}

#[test]
fn a_message_that_names_a_field_is_of_a_wrong_request() {
    for message in ["Unsupported parameter: foo", "Unknown parameter: 'input[0].x'."] {
        assert_eq!(says(message).class(None), Class::Invalid, "{message}");
        assert_eq!(says(message).class(Some(502)), Class::Server, "{message}");
    }
}

#[test]
fn times_are_read_as_numbers_and_as_texts() {
    for (value, seconds) in [
        ("1777936568", Some(1_777_936_568)),
        ("1777936568.9", Some(1_777_936_568)),
        (r#""1777936568""#, Some(1_777_936_568)),
        (r#"" 1777936568 ""#, Some(1_777_936_568)),
        (r#""2026-05-04T23:16:08Z""#, Some(1_777_936_568)),
        (r#""2026-05-05T01:16:08+02:00""#, Some(1_777_936_568)),
        (r#""soon""#, None),
        ("null", None),
        ("[1777936568]", None),
        ("1e300", None),
    ] {
        let json = format!(r#"{{"error":{{"resets_at":{value}}}}}"#);
        assert_eq!(BackendError::from_json(&json).resets_at, seconds, "{value}");
    }
    for (value, seconds) in [("9", Some(9)), (r#""9""#, Some(9)), (r#""x""#, None), ("-1", None)] {
        let json = format!(r#"{{"error":{{"resets_in_seconds":{value}}}}}"#);
        assert_eq!(
            BackendError::from_json(&json).resets_in,
            seconds.map(Duration::from_secs),
            "{value}"
        );
    }
}
