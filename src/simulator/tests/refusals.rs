//! Refusals over the wire: status, family of the body, and text.

use std::io::Read as _;

use serde_json::{Value, json};

use super::refused::{gateway_cases, input, item_cases, setting_cases};
use super::{Server, request, request_with};
use crate::simulator::{Outcome, Settings};

#[tokio::test]
async fn the_gateway_refuses_with_a_detail() {
    let server = Server::start().await;
    for (body, text) in gateway_cases() {
        let response = server.send(&body).await;
        assert_eq!(response.status(), 400, "{text}");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.json::<Value>().await.unwrap(), json!({ "detail": text }), "{body}");
    }
}

#[tokio::test]
async fn the_responses_layer_refuses_with_an_error_object() {
    let server = Server::start().await;
    for (body, status, message, param, code) in item_cases().into_iter().chain(setting_cases()) {
        let response = server.send(&body).await;
        assert_eq!(response.status(), status, "{message}");
        let error = json!({
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        });
        assert_eq!(response.json::<Value>().await.unwrap(), json!({ "error": error }), "{body}");
    }
    assert!(server.log.exchanges().iter().all(|x| x.outcome == Outcome::Refused && x.events == 0));
}

#[tokio::test]
async fn reasoning_is_verified_and_needs_what_it_led_to() {
    let server = Server::start().await;
    let include = json!({
        "include": ["reasoning.encrypted_content"],
        "reasoning": { "effort": "high", "summary": "auto" },
    });
    let events = server.events(&request_with("Think", include)).await;
    let items = super::items(&events);
    let asked = request("Think")["input"][0].clone();
    let replay = |items: &[&Value]| {
        let mut all = vec![asked.clone()];
        all.extend(items.iter().map(|item| (*item).clone()));
        let mut body = input(json!(all));
        if let Some(item) = body["input"][1].as_object_mut() {
            item.remove("id");
        }
        body
    };
    assert_eq!(server.send(&replay(&[items[0], items[1]])).await.status(), 200);

    let alone: Value = server.send(&replay(&[items[0]])).await.json().await.unwrap();
    let id = items[0]["id"].as_str().unwrap();
    assert_eq!(
        alone["error"]["message"],
        format!(
            "Item '{id}' of type 'reasoning' was provided without its required following item."
        )
    );

    let foreign = server.post_as("account-2", "/responses").json(&replay(&[items[0], items[1]]));
    let refused: Value = foreign.send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["error"]["code"], "invalid_encrypted_content");

    let mut other = replay(&[items[0], items[1]]);
    other["model"] = json!("gpt-5.2");
    let refused: Value = server.send(&other).await.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "invalid_encrypted_content");

    // What came with `output_item.added` is not the finished content.
    let added = events.iter().find(|event| event["type"] == "response.output_item.added").unwrap();
    let refused: Value =
        server.send(&replay(&[&added["item"], items[1]])).await.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "invalid_encrypted_content");
}

#[tokio::test]
async fn bearers_and_bodies_are_looked_at_first() {
    let server = Server::start().await;
    let url = format!("{}/responses", server.base);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let unparseable = "Could not parse your authentication token. Please try signing in again.";
    let cases = [
        (None, json!({ "detail": "Unauthorized" })),
        (Some("Basic abc"), json!({ "detail": unparseable })),
        (Some("Bearer "), json!({ "detail": unparseable })),
        (
            Some("Bearer simulate-invalidated"),
            json!({ "detail": "Your authentication token has been invalidated." }),
        ),
    ];
    for (bearer, body) in cases {
        let mut call = client.post(&url).json(&request("Hi"));
        if let Some(bearer) = bearer {
            call = call.header("authorization", bearer);
        }
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.json::<Value>().await.unwrap(), body);
    }
    let response = server.post("/responses").body("{\"model\":").send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(server.log.exchanges().last().unwrap().request, Value::Null);
}

#[tokio::test]
async fn new_models_need_a_new_client() {
    let server = Server::start().await;
    let mut body = request("Hi");
    body["model"] = json!("gpt-5.6-luna");
    for (version, status) in [("0.143.9", 400), ("0.144.0", 200), ("1.0.0", 200), ("new", 400)] {
        let call = server.post("/responses").header("version", version).json(&body);
        assert_eq!(call.send().await.unwrap().status(), status, "{version}");
    }
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_told() {
    let server = Server::start().await;
    let response = server.get("/v1/chat/completions").send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({ "detail": "Not Found" }));
    let response = server.get("/responses").send().await.unwrap();
    assert_eq!(response.status(), 405);
}

#[tokio::test]
async fn bodies_may_be_compressed_with_zstd_and_nothing_else() {
    let packed = zstd::bulk::compress(request("Hi").to_string().as_bytes(), 3).unwrap();
    let bomb = zstd::encode_all(std::io::repeat(b' ').take((256 << 20) + 1), 1).unwrap();
    for (takes_zstd, encoding, body, status) in [
        (true, "zstd", &packed[..], 200),
        (true, "ZSTD", &packed, 200),
        (true, "identity", request("Hi").to_string().as_bytes(), 200),
        (true, "zstd", b"{}", 400),
        (true, "zstd", &packed[..packed.len() - 1], 400),
        (true, "zstd", &bomb, 413),
        (true, "gzip", &packed, 415),
        (true, "zstd, zstd", &packed, 415),
        (false, "zstd", &packed, 415),
    ] {
        let server = Server::with(Settings { takes_zstd, ..Settings::default() }).await;
        let order = server.post("/responses").header("content-encoding", encoding);
        let answer = order.body(body.to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{takes_zstd} {encoding}");
        let text = answer.text().await.unwrap();
        let exchange = server.log.exchanges().remove(0);
        assert_eq!(exchange.headers["content-encoding"], encoding);
        if status == 200 {
            assert!(text.contains("response.completed"), "{text}");
            assert_eq!(exchange.request, request("Hi"));
        } else {
            assert_eq!((exchange.outcome, exchange.status), (Outcome::Refused, status));
        }
    }
}
