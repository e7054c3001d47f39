//! The model keeps its reasoning although clients cannot carry it: conversations with the
//! simulated backend, which refuses whatever it did not seal itself.

use codex_proxy::simulator::{Exchange, Log, Outcome};
use serde_json::{Value, json};

use crate::support::backend::{Answer, Backend, completed, sse};
use crate::support::daemon::{Daemon, with};
use crate::support::simulator::simulator;

async fn backend() -> (String, Log) {
    let (simulator, base) = simulator().await;
    (format!("{base}/backend-api/codex"), simulator.log())
}

fn tools() -> Value {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": {"type": "object",
            "properties": {"city": {"type": "string"}}, "required": ["city"]}}})
    };
    json!([tool("get_weather"), tool("get_time")])
}

/// A conversation as a client keeps it.
struct Conversation {
    messages: Vec<Value>,
    settings: Value,
}

impl Conversation {
    fn new() -> Self {
        let settings = json!({"model": "gpt-5.5", "reasoning_effort": "medium", "tools": tools()});
        Self { messages: vec![json!({"role": "system", "content": "You are an agent."})], settings }
    }

    fn request(&self) -> Value {
        with(self.settings.clone(), json!({"messages": self.messages}))
    }

    /// Says something and goes on until there are no more calls.
    async fn say(&mut self, daemon: &Daemon, text: &str) {
        self.messages.push(json!({"role": "user", "content": text}));
        loop {
            let (status, answer) = daemon.ask(&self.request()).await;
            assert_eq!(status, 200, "{answer}");
            let message = &answer["choices"][0]["message"];
            let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
            // What chat clients keep, in another spelling than it came in.
            let mut kept = json!({"content": message["content"].as_str().unwrap_or_default(),
                "role": "assistant"});
            if !calls.is_empty() {
                kept["tool_calls"] = calls.iter().map(respelled).collect();
            }
            self.messages.push(kept);
            if calls.is_empty() {
                return;
            }
            for call in &calls {
                self.messages.push(json!({"role": "tool", "tool_call_id": call["id"],
                    "content": format!("outcome of {}", call["id"].as_str().unwrap())}));
            }
        }
    }
}

/// The same call with its arguments written differently.
fn respelled(call: &Value) -> Value {
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    let mut call = call.clone();
    call["function"]["arguments"] = serde_json::to_string_pretty(&arguments).unwrap().into();
    call
}

fn turn(number: usize) -> String {
    match number % 3 {
        0 => format!(
            "[[simulate: commentary \"Let me look, turn {number}.\"]] \
             [[simulate: call get_weather {{\"city\":\"Paris\"}}]] \
             [[simulate: call get_time {{\"city\":\"Paris\"}}]] Turn {number}, please."
        ),
        1 => format!("[[simulate: call get_weather {{\"city\":\"Rome\"}}]] Turn {number}."),
        _ => format!("Turn {number}: just talk."),
    }
}

fn inputs(exchanges: &[Exchange]) -> Vec<Vec<Value>> {
    exchanges.iter().map(|e| e.request["input"].as_array().unwrap().clone()).collect()
}

fn reasoning(input: &[Value]) -> Vec<&Value> {
    input.iter().filter(|item| item["type"] == "reasoning").collect()
}

#[tokio::test]
async fn thirty_turns_come_back_whole_and_every_request_continues_the_one_before() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    let mut conversation = Conversation::new();
    for number in 0..30 {
        conversation.say(&daemon, &turn(number)).await;
    }
    let exchanges = log.exchanges();
    assert_eq!(exchanges.len(), 50, "ten turns of each kind, two with calls");
    assert!(exchanges.iter().all(|exchange| exchange.outcome == Outcome::Completed));
    let inputs = inputs(&exchanges);
    for (number, pair) in inputs.windows(2).enumerate() {
        assert!(pair[1].starts_with(&pair[0]), "request {} is no continuation", number + 1);
        // A user's message or a call's outcome follows what the model has said.
        let added = &pair[1][pair[0].len()..];
        assert_eq!(added[0]["type"], "reasoning", "request {}: {added:?}", number + 1);
    }
    let last = inputs.last().unwrap();
    assert_eq!(reasoning(last).len(), 49, "one for every answer before the last");
    let phases = last.iter().filter(|item| item["phase"].is_string()).count();
    assert!(phases >= 30, "{phases}");
    assert!(last.iter().all(|item| item.get("id").is_none()));
}

#[tokio::test]
async fn one_tool_loop_stays_on_one_machine_and_the_next_does_not() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    let mut conversation = Conversation::new();
    conversation.say(&daemon, &turn(0)).await;
    conversation.say(&daemon, &turn(1)).await;
    let states: Vec<_> = log
        .exchanges()
        .iter()
        .map(|exchange| exchange.headers.get("x-codex-turn-state").cloned())
        .collect();
    assert_eq!(states.len(), 4);
    assert!(states[0].is_none() && states[2].is_none(), "a new turn: {states:?}");
    assert!(states[1].is_some() && states[3].is_some(), "within the loop: {states:?}");
    assert_ne!(states[1], states[3]);
}

#[tokio::test]
async fn an_edited_turn_is_sent_as_the_client_has_it() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    let mut conversation = Conversation::new();
    conversation.say(&daemon, "One.").await;
    conversation.say(&daemon, "Two.").await;
    conversation.messages[2]["content"] = "I never said that.".into();
    conversation.say(&daemon, "Three.").await;
    let last = inputs(&log.exchanges()).pop().unwrap();
    // The turns after the edit follow another history: they are found by all that precedes them.
    assert!(reasoning(&last).is_empty(), "{last:?}");
    assert_eq!(last[1]["content"][0]["text"], "I never said that.");
}

#[tokio::test]
async fn branches_keep_to_themselves() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    let mut first = Conversation::new();
    first.say(&daemon, "The beginning of both.").await;
    let mut second = Conversation::new();
    second.messages.clone_from(&first.messages);
    first.say(&daemon, "Left.").await;
    second.say(&daemon, "Right.").await;
    first.say(&daemon, "Further left.").await;
    second.say(&daemon, "Further right.").await;
    let inputs = inputs(&log.exchanges());
    let (left, right) = (reasoning(&inputs[3]), reasoning(&inputs[4]));
    assert_eq!((left.len(), right.len()), (2, 2));
    assert_eq!(left[0], right[0], "what both have in common");
    assert_ne!(left[1], right[1]);
}

#[tokio::test]
async fn a_trimmed_history_keeps_the_turns_that_are_known_by_their_calls() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    let mut conversation = Conversation::new();
    conversation.say(&daemon, "One.").await;
    conversation.say(&daemon, &turn(1)).await;
    // Without the first question and its answer.
    conversation.messages.drain(1..3);
    conversation.say(&daemon, "Three.").await;
    let last = inputs(&log.exchanges()).pop().unwrap();
    assert_eq!(reasoning(&last).len(), 1, "{last:?}");
    let at = last.iter().position(|item| item["type"] == "reasoning").unwrap();
    assert_eq!(last[at + 1]["type"], "function_call");
}

/// An answer that was thought about.
fn thoughtful(text: &str) -> String {
    let item = |kind: &str, item: Value| json!({"type": kind, "output_index": 0, "item": item});
    let done = "response.output_item.done";
    sse(&[
        item(done, json!({"type": "reasoning", "summary": [], "encrypted_content": "sealed"})),
        item(
            done,
            json!({"type": "message", "role": "assistant", "phase": "final_answer",
            "content": [{"type": "output_text", "text": text}]}),
        ),
        completed(),
    ])
}

#[tokio::test]
async fn what_the_backend_does_not_take_back_is_left_out_once_and_for_all() {
    for refusal in [
        r#"{"error":{"message":"x","code":"invalid_encrypted_content"}}"#,
        r#"{"error":{"message":"The encrypted content for item rs_1 could not be verified."}}"#,
        r#"{"error":{"message":"Item 'rs_1' of type 'reasoning' was provided without its required following item."}}"#,
        r#"{"error":{"message":"Item with id 'rs_1' not found. Items are not persisted."}}"#,
    ] {
        let backend = Backend::start(&["gpt-5.5"], move |number, call| {
            let is_replayed = String::from_utf8_lossy(&call.body).contains("sealed");
            if is_replayed && number < 3 {
                Answer::error(400, refusal)
            } else {
                Answer::stream(thoughtful(&format!("answer {number}")))
            }
        })
        .await;
        // Sending it again plainly is none of the retries.
        let settings = "[upstream]\nmax_retries = 0";
        let daemon = Daemon::with_settings(&backend.base_url, settings).await;
        let mut conversation = Conversation::new();
        for text in ["One.", "Two.", "Three."] {
            conversation.say(&daemon, text).await;
        }
        let seen = backend.seen();
        let replayed: Vec<_> = seen
            .iter()
            .map(|call| reasoning(call.json()["input"].as_array().unwrap()).len())
            .collect();
        assert_eq!(replayed, [0, 1, 0, 1], "refused, sent again plainly, then only the second");
        let plain = seen[2].json()["input"].as_array().unwrap().clone();
        assert!(seen[3].json()["input"].as_array().unwrap().starts_with(&plain));
    }
}

#[tokio::test]
async fn several_choices_stopped_and_failed_turns_are_not_remembered() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    for more in
        [json!({"n": 2}), json!({"stop": ["simulated"]}), json!({"max_completion_tokens": 2})]
    {
        let mut conversation = Conversation::new();
        conversation.messages.push(json!({"role": "user", "content": more.to_string()}));
        let (_, answer) = daemon.ask(&with(conversation.request(), more.clone())).await;
        let text = answer["choices"][0]["message"]["content"].clone();
        conversation.messages.push(json!({"role": "assistant", "content": text}));
        conversation.say(&daemon, "Go on.").await;
        let last = inputs(&log.exchanges()).pop().unwrap();
        assert!(reasoning(&last).is_empty(), "{more}: {last:?}");
    }
    let mut conversation = Conversation::new();
    let failing = "[[simulate: length after=2]] Tell me.";
    conversation.say(&daemon, failing).await;
    conversation.say(&daemon, "Go on.").await;
    assert!(reasoning(&inputs(&log.exchanges()).pop().unwrap()).is_empty());
}

#[tokio::test]
async fn models_of_other_families_get_nothing() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    let mut conversation = Conversation::new();
    conversation.say(&daemon, "One.").await;
    conversation.settings["model"] = "gpt-5.6-terra".into();
    conversation.say(&daemon, "Two.").await;
    assert!(reasoning(&inputs(&log.exchanges()).pop().unwrap()).is_empty());
}

#[tokio::test]
async fn another_account_gets_nothing() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    let mut conversation = Conversation::new();
    conversation.say(&daemon, "One.").await;
    daemon.sign_in_as("account-2");
    conversation.say(&daemon, "Two.").await;
    let exchanges = log.exchanges();
    assert_eq!(exchanges.len(), 2, "nothing was refused");
    assert_ne!(
        exchanges[0].headers["chatgpt-account-id"],
        exchanges[1].headers["chatgpt-account-id"]
    );
    assert!(reasoning(&inputs(&exchanges).pop().unwrap()).is_empty());
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::with_settings(&base_url, "[continuity]\nenabled = false").await;
    let mut conversation = Conversation::new();
    conversation.say(&daemon, "One.").await;
    conversation.say(&daemon, "Two.").await;
    assert!(reasoning(&inputs(&log.exchanges()).pop().unwrap()).is_empty());
}

#[tokio::test]
async fn clients_that_can_carry_reasoning_bring_it_back_to_another_daemon() {
    let (base_url, log) = backend().await;
    let settings = "[output]\nreasoning_details = true";
    for is_streamed in [false, true] {
        let first = Daemon::with_settings(&base_url, settings).await;
        let ask = json!({"model": "gpt-5.5", "reasoning_effort": "medium",
            "messages": [{"role": "user", "content": "One."}]});
        let message = if is_streamed {
            let (_, chunks) = first.stream(&ask).await;
            let details: Vec<_> = chunks
                .iter()
                .filter(|chunk| chunk["choices"][0]["delta"].get("reasoning_details").is_some())
                .map(|chunk| chunk["choices"][0]["delta"]["reasoning_details"].clone())
                .collect();
            assert_eq!(details.len(), 1, "all in one chunk");
            json!({"role": "assistant", "content": crate::support::daemon::content(&chunks, 0),
                "reasoning_details": details[0]})
        } else {
            first.ask(&ask).await.1["choices"][0]["message"].clone()
        };
        let detail = &message["reasoning_details"][0];
        assert_eq!(detail["type"], "reasoning.encrypted");
        assert_eq!(detail["index"], 0);
        // Another process remembers nothing.
        let second = Daemon::with_settings(&base_url, settings).await;
        let (status, answer) = second
            .ask(&json!({"model": "gpt-5.5", "messages": [ask["messages"][0], message,
                {"role": "user", "content": "Two."}]}))
            .await;
        assert_eq!(status, 200, "{answer}");
        let last = inputs(&log.exchanges()).pop().unwrap();
        assert_eq!(reasoning(&last).len(), 1);
        assert_eq!(last[1]["type"], "reasoning");
        assert_eq!(last[2]["role"], "assistant");
    }
}

/// What one account has sealed goes out with its own token, also when another one signs in while
/// the request waits for its turn.
#[tokio::test]
async fn another_account_that_signs_in_meanwhile_gets_nothing_either() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::with_settings(&base_url, "[upstream]\nmax_in_flight = 1").await;
    let mut conversation = Conversation::new();
    conversation.say(&daemon, "[[simulate: call get_weather {\"city\":\"Rome\"}]] One.").await;
    let slow = json!({"model": "gpt-5.5", "reasoning_effort": "none", "messages": [
        {"role": "user", "content": "[[simulate: deltas 8]] [[simulate: pace 60]] Slowly."}]});
    let before = log.exchanges().len();
    let waits = async || {
        let metrics = daemon.get("/metrics").await.text().await.unwrap();
        let waiting = metrics.lines().find(|line| line.starts_with("codex_proxy_requests_queued "));
        waiting.unwrap_or_else(|| panic!("{metrics}")).ends_with(" 1")
    };
    let request = {
        conversation.messages.push(json!({"role": "user", "content": "Two."}));
        conversation.request()
    };
    let (occupying, waiting, ()) = tokio::join!(
        daemon.ask(&slow),
        async {
            while log.exchanges().len() == before {
                tokio::task::yield_now().await;
            }
            daemon.ask(&request).await
        },
        async {
            while !waits().await {
                tokio::task::yield_now().await;
            }
            daemon.sign_in_as("account-2");
        }
    );
    assert_eq!((occupying.0, waiting.0), (200, 200), "{waiting:?}");
    let exchange = log.exchanges().pop().unwrap();
    assert_eq!(exchange.headers["chatgpt-account-id"], "account-1");
    assert_eq!(reasoning(&inputs(&[exchange])[0]).len(), 2);
    // The next request is the other account's, with nothing of the first one's.
    conversation.say(&daemon, "Three.").await;
    let exchange = log.exchanges().pop().unwrap();
    assert_eq!(exchange.headers["chatgpt-account-id"], "account-2");
    assert!(reasoning(&inputs(&[exchange])[0]).is_empty());
}

/// Turns with searches and pictures are turns like others: their items go back in their order, and
/// the picture comes back with the client's message.
#[tokio::test]
async fn turns_with_searches_and_pictures_are_remembered() {
    let (base_url, log) = backend().await;
    let daemon = Daemon::start(&base_url).await;
    let mut messages = vec![json!({"role": "user", "content": "Please search for it."})];
    let request = |messages: &[Value]| {
        json!({"model": "gpt-5.5", "reasoning_effort": "medium", "messages": messages,
            "tools": [{"type": "web_search"}, {"type": "image_generation"}]})
    };
    for next in ["Now draw it.", "Make it blue."] {
        let (status, answer) = daemon.ask(&request(&messages)).await;
        assert_eq!(status, 200, "{answer}");
        messages.push(answer["choices"][0]["message"].clone());
        messages.push(json!({"role": "user", "content": next}));
    }
    let (status, answer) = daemon.ask(&request(&messages)).await;
    assert_eq!(status, 200, "{answer}");
    let exchanges = log.exchanges();
    assert_eq!(exchanges.len(), 3, "nothing was refused");
    let inputs = inputs(&exchanges);
    let kinds: Vec<&str> = inputs[1].iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "reasoning", "web_search_call", "message", "message"]);
    assert_eq!(inputs[2][..5], inputs[1][..], "the prefix stays");
    let picture = inputs[2].iter().find_map(|item| item["content"][0]["image_url"].as_str());
    assert!(picture.unwrap().starts_with("data:image/png;base64,"), "{:?}", inputs[2]);
}
