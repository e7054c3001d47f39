//! Numbers that clients write in what is passed on as JSON are sent as they were written.

use super::*;

/// What is sent for the request of this text.
fn sent(request: &str) -> String {
    let body = crate::json::parse(request.as_bytes()).unwrap();
    let chat = chat::request::Request::read(&body).unwrap();
    let past = ReplaySource::unknown();
    let translated = translate(&chat, &model(), Policy::default(), &past).unwrap();
    serde_json::to_string(&translated.request).unwrap()
}

/// With such a message behind a question, and such fields.
fn request(message: &str, fields: &str) -> String {
    let user = r#"{"role":"user","content":"Hi"}"#;
    format!(r#"{{"model":"gpt-5.5","messages":[{user}{message}]{fields}}}"#)
}

#[test]
fn numbers_keep_their_text_wherever_json_is_passed_on() {
    for number in [
        "123456789012345678901234",
        "-9223372036854775809",
        "18446744073709551615",
        "1.10",
        "1e5",
        "-0",
        "0.1000000000000000055511151231257827",
    ] {
        let call = |fields: &str| format!(r#",{{"role":"assistant","tool_calls":[{fields}]}}"#);
        let cases = [
            (
                call(&format!(
                    r#"{{"id":"c","function":{{"name":"f","arguments":{{"a":[{number}]}}}}}}"#
                )),
                "",
            ),
            (call(&format!(r#"{{"id":"c","name":"f","input":{{"a":[{number}]}}}}"#)), ""),
            (
                format!(
                    r#",{{"role":"assistant","function_call":{{"name":"f","arguments":{{"a":[{number}]}}}}}}"#
                ),
                "",
            ),
            (
                format!(
                    r#",{{"role":"assistant","content":[{{"type":"tool_use","id":"c","name":"f","input":{{"a":[{number}]}}}}]}}"#
                ),
                "",
            ),
            (
                call(r#"{"id":"c","function":{"name":"f","arguments":"{}"}}"#)
                    + &format!(
                        r#",{{"role":"tool","tool_call_id":"c","content":{{"a":[{number}]}}}}"#
                    ),
                "",
            ),
            (
                call(r#"{"id":"c","function":{"name":"f","arguments":"{}"}}"#)
                    + &format!(
                        r#",{{"role":"tool","tool_call_id":"c","content":[{{"a":[{number}]}}]}}"#
                    ),
                "",
            ),
        ];
        for (message, fields) in cases {
            let body = sent(&request(&message, fields));
            assert!(body.contains(&format!(r#"{{\"a\":[{number}]}}"#)), "{message}: {body}");
        }
        let schema = format!(
            r#"{{"type":"object","properties":{{"a":{{"type":"number","maximum":{number}}}}}}}"#
        );
        for fields in [
            format!(
                r#","tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]"#
            ),
            format!(r#","functions":[{{"name":"f","parameters":{schema}}}]"#),
            format!(
                r#","tools":[{{"type":"function","function":{{"name":"f","parameters":{{"anyOf":[{schema}]}}}}}}]"#
            ),
            format!(
                r#","response_format":{{"type":"json_schema","json_schema":{{"name":"x","schema":{schema}}}}}"#
            ),
        ] {
            let body = sent(&request("", &fields));
            assert!(body.contains(&format!(r#""maximum":{number}}}"#)), "{fields}: {body}");
        }
    }
}
