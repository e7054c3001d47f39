//! Limits on what clients may send and hold open: heads, bodies, connections, patience.

use std::time::{Duration, Instant};

use codex_proxy::server::{Limits, raise_descriptor_limit};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::client::{Client, PATIENCE, header};
use crate::support::backend::{Backend, answer};
use crate::support::daemon::{Daemon, hello};

/// The limit of time that a test is about; the others are as in real life.
const SHORT: Duration = Duration::from_millis(150);

const MIB: usize = 1 << 20;

async fn daemon(limits: Limits) -> Daemon {
    Daemon::with_limits("http://127.0.0.1:1", "", limits).await
}

/// One that takes bodies of 1 MiB, before a backend that answers.
async fn small() -> (Backend, Daemon) {
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let daemon = Daemon::with_settings(&backend.base_url, "[server]\nmax_body_mib = 1").await;
    (backend, daemon)
}

/// A chat request that is exactly so long.
fn padded(length: usize) -> String {
    let text = hello().to_string();
    " ".repeat(length - text.len()) + &text
}

fn too_large() -> (Value, Value) {
    (Value::Null, "invalid_request_error".into())
}

#[tokio::test]
async fn clients_that_do_not_send_a_head_in_time_are_left() {
    let daemon = daemon(Limits { head: SHORT, ..Limits::default() }).await;
    for beginning in ["", "GET", "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"] {
        let start = Instant::now();
        let mut client = Client::connect(&daemon.url).await;
        client.send(beginning).await;
        assert_eq!(client.rest().await, "", "{beginning}");
        assert!(start.elapsed() >= SHORT, "{beginning}");
    }
}

#[tokio::test]
async fn a_head_that_drips_in_has_no_more_time_than_any_other() {
    let daemon = daemon(Limits { head: SHORT, ..Limits::default() }).await;
    let mut client = Client::connect(&daemon.url).await;
    let start = Instant::now();
    let drip = async {
        while tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"G").await.is_ok() {
            sleep(SHORT / 5).await;
        }
    };
    timeout(PATIENCE, drip).await.expect("it drips for ever");
    assert!(start.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_ends_when_it_is_idle() {
    let daemon = daemon(Limits { head: SHORT * 4, ..Limits::default() }).await;
    let mut client = Client::connect(&daemon.url).await;
    let start = Instant::now();
    // Longer in all than a connection may be idle.
    for _ in 0..3 {
        assert_eq!(client.ask_health().await.status, 200);
        sleep(SHORT * 2).await;
    }
    assert_eq!(client.ask_health().await.status, 200);
    assert!(start.elapsed() > SHORT * 4);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn heads_have_at_most_64_headers_and_64_kib() {
    let daemon = daemon(Limits::default()).await;
    // Beside `host`.
    let many = |count: usize| "x: y\r\n".repeat(count);
    let long = |length: usize| format!("x: {}\r\n", "y".repeat(length));
    for (headers, status) in [
        (many(63), 200),
        (many(64), 431),
        (many(500), 431),
        (long(60 << 10), 200),
        (long(64 << 10), 431),
        (long(1 << 20), 431),
    ] {
        let mut client = Client::connect(&daemon.url).await;
        let request = format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        client.send(request).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, status, "{} bytes", headers.len());
        if status == 431 {
            assert_eq!(reply.error(), too_large());
            assert_eq!(header(&reply.head, "content-type"), Some("application/json"));
            assert!(reply.body.contains("64 headers") && reply.body.contains("64 KiB"));
            assert_eq!(client.rest().await, "");
        }
    }
}

#[tokio::test]
async fn other_protocols_end_at_once() {
    let daemon = daemon(Limits::default()).await;
    for greeting in
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "EHLO me\r\n"]
    {
        let mut client = Client::connect(&daemon.url).await;
        client.send(greeting).await;
        let rest = client.rest().await;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_408() {
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let limits = Limits { body: SHORT, ..Limits::default() };
    let daemon = Daemon::with_limits(&backend.base_url, "", limits).await;
    for (headers, beginning) in [
        ("content-length: 100\r\n", ""),
        ("content-length: 100\r\n", "{\"model\""),
        ("transfer-encoding: chunked\r\n", ""),
        ("transfer-encoding: chunked\r\n", "5\r\n{\"mod\r\n"),
        ("transfer-encoding: chunked\r\n", "50\r\n{\"mod"),
    ] {
        let mut client = Client::connect(&daemon.url).await;
        client.send_chat_head(headers).await;
        client.send(beginning).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 408, "{headers}{beginning}");
        assert_eq!(reply.error().1, "invalid_request_error");
        assert!(header(&reply.head, "x-request-id").is_some());
        assert_eq!(client.rest().await, "");
    }
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn a_body_may_take_its_time_as_long_as_it_comes() {
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let limits = Limits { body: SHORT * 4, ..Limits::default() };
    let daemon = Daemon::with_limits(&backend.base_url, "", limits).await;
    let body = hello().to_string();
    let mut client = Client::connect(&daemon.url).await;
    client.send_chat_head(&format!("content-length: {}\r\n", body.len())).await;
    let start = Instant::now();
    for piece in body.as_bytes().chunks(body.len() / 5) {
        client.send(piece).await;
        sleep(SHORT).await;
    }
    assert!(start.elapsed() > SHORT * 4);
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn an_announced_body_that_is_too_large_is_refused_before_it_comes() {
    let (backend, daemon) = small().await;
    for length in [(MIB + 1).to_string(), "1000000000000000000".to_owned()] {
        for expect in ["", "expect: 100-continue\r\n"] {
            let mut client = Client::connect(&daemon.url).await;
            client.send_chat_head(&format!("content-length: {length}\r\n{expect}")).await;
            let reply = client.reply().await;
            assert_eq!(reply.status, 413);
            assert_eq!(reply.error(), too_large());
            assert!(reply.body.contains("larger than 1 MiB"), "{}", reply.body);
        }
    }
    let mut client = Client::connect(&daemon.url).await;
    client.send_chat(&padded(MIB)).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_when_it_does() {
    let (backend, daemon) = small().await;
    for (length, status) in [(MIB, 200), (MIB + 1, 413)] {
        let mut client = Client::connect(&daemon.url).await;
        client.send_chat_head("transfer-encoding: chunked\r\n").await;
        for piece in padded(length).as_bytes().chunks(100_000) {
            client.send(format!("{:x}\r\n", piece.len())).await;
            client.send(piece).await;
            client.send("\r\n").await;
        }
        // The one that is too large never ends.
        client.send(if status == 200 { "0\r\n\r\n" } else { "" }).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, status);
        if status == 413 {
            assert_eq!(reply.error(), too_large());
        }
    }
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn who_sends_far_too_much_can_still_read_why_that_is_wrong() {
    let (_backend, daemon) = small().await;
    let mut client = Client::connect(&daemon.url).await;
    client.send_chat(&padded(64 * MIB)).await;
    assert_eq!(client.reply().await.status, 413);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_while_all_have_requests() {
    let daemon = daemon(Limits { connections: 2, ..Limits::default() }).await;
    let mut first = Client::connect(&daemon.url).await;
    first.begin_chat_of("{", 100).await;
    let mut second = Client::connect(&daemon.url).await;
    second.begin_chat_of("{", 100).await;
    let mut third = Client::connect(&daemon.url).await;
    let early = timeout(SHORT, third.ask_health()).await;
    assert!(early.is_err(), "two requests are under way");
    drop(first);
    // It was asked already.
    assert_eq!(third.reply().await.status, 200);
    // The second one's request was left alone.
    second.send(" ".repeat(99)).await;
    assert_eq!(second.reply().await.status, 400);
}

#[tokio::test]
async fn idle_connections_are_closed_for_new_ones_and_those_with_a_request_are_not() {
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let limits = Limits { connections: 8, ..Limits::default() };
    let daemon = Daemon::with_limits(&backend.base_url, "", limits).await;
    let mut busy = Client::connect(&daemon.url).await;
    let body = hello().to_string();
    busy.begin_chat_of(&body[..10], body.len()).await;
    // Silent ones, and one that has had an answer.
    let mut idle = vec![Client::connect(&daemon.url).await];
    assert_eq!(idle[0].ask_health().await.status, 200);
    for _ in 1..7 {
        idle.push(Client::connect(&daemon.url).await);
    }
    let begun = Instant::now();
    for round in 0..3 {
        let mut client = Client::connect(&daemon.url).await;
        assert_eq!(client.ask_health().await.status, 200, "{round}");
        idle.push(client);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "they waited for the limit of heads");
    // Those went that had been idle longest.
    for client in &mut idle[..3] {
        assert_eq!(client.rest().await, "");
    }
    assert_eq!(idle[9].ask_health().await.status, 200);
    busy.send(&body[10..]).await;
    assert_eq!(busy.reply().await.status, 200);
}

#[tokio::test]
async fn a_connection_is_not_idle_before_its_answer_is_with_its_client() {
    let piece = "x".repeat(1 << 16);
    let backend = Backend::streaming(&answer(&vec![piece.as_str(); 400])).await;
    let limits = Limits { connections: 2, ..Limits::default() };
    let daemon = Daemon::with_limits(&backend.base_url, "", limits).await;
    let mut slow = Client::with_little_room(&daemon.url).await;
    slow.send_chat(&hello().to_string()).await;
    slow.read_past("HTTP/1.1 200 OK").await;
    // All of the answer has been handed over by now, and most of it waits for the client.
    let mut others = Vec::new();
    for _ in 0..4 {
        let mut other = Client::connect(&daemon.url).await;
        assert_eq!(other.ask_health().await.status, 200);
        // It stays open, and has to go for the next.
        others.push(other);
    }
    let reply = slow.reply().await;
    assert!(reply.body.len() > 400 << 16);
}

#[tokio::test]
async fn bodies_that_drip_keep_nobody_out() {
    let limits =
        Limits { connections: 4, body_grace: SHORT, body_rate: 1_000_000, ..Limits::default() };
    let daemon = daemon(limits).await;
    let mut drips = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(&daemon.url).await;
        client.begin_chat_of("{", 1000).await;
        drips.push(client);
    }
    let mut client = Client::connect(&daemon.url).await;
    let drip = async {
        loop {
            for client in &mut drips {
                // It may have been answered meanwhile.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, b" ").await;
            }
            sleep(SHORT / 10).await;
        }
    };
    tokio::select! {
        reply = client.ask_health() => assert_eq!(reply.status, 200),
        () = drip => unreachable!("it drips for ever"),
    }
    for client in &mut drips {
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.error()), (408, too_large()));
    }
}

#[tokio::test]
async fn a_body_has_a_longest_time_however_fast_it_comes() {
    let limits = Limits { body_total: SHORT, ..Limits::default() };
    let daemon = daemon(limits).await;
    let mut client = Client::connect(&daemon.url).await;
    client.send_chat_head("transfer-encoding: chunked\r\n").await;
    let start = Instant::now();
    let flow = async {
        let chunk = format!("{:x}\r\n{}\r\n", 1000, " ".repeat(1000));
        while tokio::io::AsyncWriteExt::write_all(&mut client.stream, chunk.as_bytes())
            .await
            .is_ok()
        {
            sleep(SHORT / 20).await;
        }
    };
    // The answer stops nobody from sending; what is sent then is thrown away, and after a while the
    // connection ends.
    timeout(PATIENCE, flow).await.expect("it flows for ever");
    assert!(start.elapsed() >= SHORT);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends_and_frees_its_place() {
    let piece = "x".repeat(1 << 16);
    let body = answer(&vec![piece.as_str(); 400]);
    let mut backend = Backend::streaming(&body).await;
    let limits = Limits { send: SHORT * 4, ..Limits::default() };
    let settings = "[upstream]\nmax_in_flight = 1\nmax_queued = 0";
    let daemon = Daemon::with_limits(&backend.base_url, settings, limits).await;
    let request = crate::support::daemon::with(hello(), json!({"stream": true})).to_string();
    let mut client = Client::with_little_room(&daemon.url).await;
    client.send_chat(&request).await;
    // The client reads nothing more.
    backend.wait_for_calls(1).await;
    let start = Instant::now();
    while daemon.ask(&hello()).await.0 == 429 {
        assert!(start.elapsed() < PATIENCE, "it keeps its place");
        sleep(SHORT / 10).await;
    }
    backend.wait_for_leave(1).await;
    drop(client);
}

#[tokio::test]
async fn silent_connections_make_room_by_themselves() {
    let limits = Limits { connections: 8, head: SHORT, ..Limits::default() };
    let daemon = daemon(limits).await;
    let mut silent = Vec::new();
    for _ in 0..24 {
        silent.push(Client::connect(&daemon.url).await);
    }
    let mut client = Client::connect(&daemon.url).await;
    assert_eq!(client.ask_health().await.status, 200);
}

/// One in which all bodies together may take up 1 or 2 MiB.
async fn tight(said: &str, mib: usize) -> (Backend, Daemon) {
    let backend = Backend::streaming(said).await;
    let settings = format!("[server]\nmax_body_mib = {mib}\nmax_body_total_mib = {mib}");
    let daemon = Daemon::with_settings(&backend.base_url, &settings).await;
    (backend, daemon)
}

#[tokio::test]
async fn bodies_wait_for_the_memory_of_others() {
    let (_backend, daemon) = tight(&answer(&["Hello."]), 1).await;
    let body = padded(MIB);
    let mut first = Client::connect(&daemon.url).await;
    first.begin_chat_of(&body[..MIB / 2], MIB).await;
    // Nothing of the second one is asked for, though there is room for half of it.
    let mut second = Client::connect(&daemon.url).await;
    second.send_chat_head(&format!("content-length: {MIB}\r\nexpect: 100-continue\r\n")).await;
    let early = timeout(SHORT, second.read_past("\r\n\r\n")).await;
    assert!(early.is_err(), "the first one has all memory");
    // What needs none does not wait.
    assert_eq!(daemon.get("/v1/models").await.status(), 200);
    first.send(&body[MIB / 2..]).await;
    assert_eq!(first.reply().await.status, 200);
    second.read_past("HTTP/1.1 100 Continue\r\n\r\n").await;
    drop(second);
    // It has been given back, however the requests have ended.
    for _ in 0..20 {
        let mut client = Client::connect(&daemon.url).await;
        client.send_chat(&body).await;
        assert_eq!(client.reply().await.status, 200);
        let mut leaving = Client::connect(&daemon.url).await;
        leaving.begin_chat_of("{", MIB).await;
    }
}

#[tokio::test]
async fn bodies_of_unknown_length_do_not_wait_for_each_other_for_ever() {
    let (_backend, daemon) = tight(&answer(&["Hello."]), 2).await;
    let body = padded(2 * MIB - 10);
    let (beginning, rest) = body.split_at(2 * MIB / 3);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    // The second one has to hold memory before the first one wants more, which nothing outside of
    // the daemon can tell: otherwise both are answered.
    for _ in 0..20 {
        let mut clients = [Client::connect(&daemon.url).await, Client::connect(&daemon.url).await];
        for client in &mut clients {
            client.send_chat_head("transfer-encoding: chunked\r\n").await;
            client.send(chunk(beginning)).await;
        }
        let start = Instant::now();
        let [first, second] = &mut clients;
        let end = async |client: &mut Client| {
            // One that is refused need not take it all.
            let text = chunk(rest) + "0\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, text.as_bytes()).await;
            client.reply().await
        };
        let (one, two) = tokio::join!(end(first), end(second));
        let (good, other) = if one.status == 200 { (one, two) } else { (two, one) };
        assert_eq!(good.status, 200, "{}", good.body);
        assert!(start.elapsed() < Duration::from_secs(8), "one has waited for the other");
        if other.status == 200 {
            continue;
        }
        assert_eq!(other.status, 503, "{}", other.body);
        assert_eq!(other.error(), ("memory_limit_reached".into(), "server_error".into()));
        assert_eq!(header(&other.head, "retry-after"), Some("5"));
        return;
    }
    panic!("no request was refused");
}

#[tokio::test]
async fn whole_answers_have_their_share_of_the_memory() {
    let piece = "x".repeat(1 << 16);
    let (_backend, daemon) = tight(&answer(&vec![piece.as_str(); 40]), 1).await;
    for _ in 0..3 {
        let response = daemon.post(hello().to_string()).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["x-should-retry"], "false");
        let text = response.text().await.unwrap();
        assert!(text.contains("memory_limit_reached") && text.contains("stream: true"), "{text}");
        // As a stream it takes up next to nothing.
        let (status, chunks) = daemon.stream(&hello()).await;
        assert_eq!((status, crate::support::daemon::content(&chunks, 0).len()), (200, 40 << 16));
    }
    // With more memory it comes whole, and gives it back.
    let backend = Backend::streaming(&answer(&vec![piece.as_str(); 40])).await;
    let settings = "[server]\nmax_body_total_mib = 24";
    let daemon = Daemon::with_settings(&backend.base_url, settings).await;
    for _ in 0..5 {
        let (status, body) = daemon.ask(&hello()).await;
        assert_eq!(status, 200);
        let text = body["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(text.len(), 40 << 16);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_beginnings_of_requests_do_not_hinder_a_call() {
    // Both ends are in this process.
    raise_descriptor_limit(4200);
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let limits = Limits { connections: 4096, ..Limits::default() };
    let daemon = Daemon::with_limits(&backend.base_url, "", limits).await;
    let mut open = Vec::new();
    for n in 0..2000 {
        let mut client = Client::connect(&daemon.url).await;
        client
            .send(if n % 2 == 0 { "POST /v1/chat/completions HTTP/1.1\r\nhost: " } else { "" })
            .await;
        open.push(client);
    }
    let start = Instant::now();
    let (status, reply) = daemon.ask(&hello()).await;
    assert_eq!(status, 200, "{reply}");
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    eprintln!("a call beside 2000 beginnings: {taken:?}");
}

#[cfg(unix)]
mod as_a_process {
    use rustix::process::Signal;

    use super::*;
    use crate::support::home::Home;
    use crate::support::program::{PROGRAM, Program};

    #[tokio::test]
    async fn a_spell_at_the_limit_is_told_once() {
        let mut program = Program::simulating(&[("CODEX_PROXY_SERVER_MAX_CONNECTIONS", "2")]);
        let url = program.url();
        for _ in 0..10 {
            let mut first = Client::connect(&url).await;
            let mut second = Client::connect(&url).await;
            assert_eq!(first.ask_health().await.status, 200);
            assert_eq!(second.ask_health().await.status, 200);
        }
        program.signal(Signal::TERM);
        let (status, log) = program.ended(PATIENCE);
        assert!(status.success(), "{log}");
        assert_eq!(log.matches("`[server] max_connections` reached").count(), 1, "{log}");
    }

    #[tokio::test]
    async fn running_out_of_descriptors_is_survived_and_told_once() {
        let script = "ulimit -n 64; exec \"$0\" serve --simulate --listen 127.0.0.1:0";
        let home = Home::new();
        let shell = home.command_of("/bin/sh", &["-c", script, PROGRAM]);
        let mut program = home.spawn(shell);
        let url = program.url();
        program.wait_for("the system allows fewer open file descriptors");
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(Client::connect(&url).await);
        }
        program.wait_for("accept failed; retrying");
        // The ones that were accepted in time are served, and when there is room everybody is.
        silent.truncate(1);
        assert_eq!(silent[0].ask_health().await.status, 200);
        let mut client = Client::connect(&url).await;
        client
            .send_chat(&json!({"model": "gpt-5.5", "messages": hello()["messages"]}).to_string())
            .await;
        assert_eq!(client.reply().await.status, 200);
        program.signal(Signal::TERM);
        let (status, log) = program.ended(PATIENCE);
        assert!(status.success(), "{log}");
        assert_eq!(log.matches("accept failed; retrying").count(), 1, "{log}");
    }

    #[tokio::test]
    async fn the_limit_of_descriptors_is_raised_where_that_is_allowed() {
        let script = "ulimit -S -n 64; exec \"$0\" serve --simulate --listen 127.0.0.1:0";
        let home = Home::new();
        let shell = home.command_of("/bin/sh", &["-c", script, PROGRAM]);
        let program = home.spawn(shell);
        let url = program.url();
        let mut open = Vec::new();
        for _ in 0..200 {
            let mut client = Client::connect(&url).await;
            assert_eq!(client.ask_health().await.status, 200);
            open.push(client);
        }
    }
}
