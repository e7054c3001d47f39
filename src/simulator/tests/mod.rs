//! The simulator as its clients see it, over real sockets.

mod answers;
mod failures;
mod recorded;
mod refusals;
mod refused;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Log, Settings, Simulator};

/// A simulator that listens until the test ends.
pub(super) struct Server {
    pub(super) base: String,
    pub(super) log: Log,
    client: reqwest::Client,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let simulator = Simulator::new(settings);
        let log = simulator.log();
        tokio::spawn(simulator.serve(listener, std::future::pending()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base, log, client }
    }

    pub(super) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.base)).bearer_auth("fake-token")
    }

    pub(super) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.post_as("account-1", path)
    }

    pub(super) fn post_as(&self, account: &str, path: &str) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}{path}", self.base))
            .bearer_auth("fake-token")
            .header("chatgpt-account-id", account)
    }

    pub(super) async fn send(&self, body: &Value) -> reqwest::Response {
        self.post("/backend-api/codex/responses").json(body).send().await.unwrap()
    }

    /// The events of a whole answer.
    pub(super) async fn events(&self, body: &Value) -> Vec<Value> {
        let response = self.send(body).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        events(&text)
    }
}

/// A request with one user message.
pub(super) fn request(prompt: &str) -> Value {
    json!({
        "model": "gpt-5.5",
        "instructions": "Be brief.",
        "input": [{
            "type": "message",
            "role": "user",
            "content": [{ "type": "input_text", "text": prompt }],
        }],
        "store": false,
        "stream": true,
    })
}

/// A request with more in it.
pub(super) fn request_with(prompt: &str, more: Value) -> Value {
    let mut body = request(prompt);
    let (Value::Object(target), Value::Object(more)) = (&mut body, more) else { unreachable!() };
    target.extend(more);
    body
}

/// A function tool.
pub(super) fn function(name: &str) -> Value {
    json!({
        "type": "function",
        "name": name,
        "strict": false,
        "parameters": {
            "type": "object",
            "properties": { "city": { "type": "string" }, "days": { "type": "integer" } },
            "required": ["city"],
        },
    })
}

/// The events of a body; checks the framing on the way.
pub(super) fn events(text: &str) -> Vec<Value> {
    let text = text.replace("\r\n", "\n");
    text.split_terminator("\n\n")
        .map(|frame| {
            let (kind, data) = frame.split_once('\n').unwrap();
            let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(event["type"], kind.strip_prefix("event: ").unwrap());
            event
        })
        .collect()
}

/// The types of events, repeated ones once, without `response.`.
pub(super) fn order(events: &[Value]) -> Vec<&str> {
    let mut order: Vec<&str> = events
        .iter()
        .map(|event| {
            let kind = event["type"].as_str().unwrap();
            kind.strip_prefix("response.").unwrap_or(kind)
        })
        .collect();
    order.dedup();
    order
}

/// The finished items of an answer.
pub(super) fn items(events: &[Value]) -> Vec<&Value> {
    let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
    done.map(|event| &event["item"]).collect()
}

/// The text of the last message.
pub(super) fn text(events: &[Value]) -> &str {
    let items = items(events);
    let message = items.iter().rfind(|item| item["type"] == "message").unwrap();
    message["content"][0]["text"].as_str().unwrap()
}

/// Everything that deltas of a type add up to.
pub(super) fn deltas(events: &[Value], kind: &str) -> String {
    let deltas = events.iter().filter(|event| event["type"] == kind);
    deltas.map(|event| event["delta"].as_str().unwrap()).collect()
}
