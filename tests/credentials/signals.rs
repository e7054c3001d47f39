//! No signal but SIGKILL cuts off a renewal, of the daemon or of a command.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use codex_proxy::simulator::SignInService;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::common::{EXPIRED, account, renewal_begins, signed_in};
use crate::program::command;
use crate::support::home::Home;
use crate::support::net::free_address;
use crate::support::simulator::simulator;

/// A login that has ended, and a service that takes a while to renew it.
async fn ended_login() -> (SignInService, String, Home) {
    let (simulator, base) = simulator().await;
    let service = simulator.issuer().clone();
    service.set_token_life(EXPIRED);
    let home = signed_in(&service.sign_in(&account()));
    service.set_token_life(Duration::from_secs(3600));
    service.set_delay(Duration::from_millis(500));
    (service, base, home)
}

fn program(home: &Home, base: &str, arguments: &[&str]) -> Command {
    let mut command = command(home, base, arguments);
    command
        .env("CODEX_PROXY_UPSTREAM_BASE_URL", format!("{base}/backend-api/codex"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Asks for an answer, which begins with a renewal.
async fn ask(address: String) -> Option<u16> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    while http.get(format!("http://{address}/health")).send().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let body = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]});
    let request = http.post(format!("http://{address}/v1/chat/completions")).json(&body);
    Some(request.send().await.ok()?.status().as_u16())
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

async fn ended(mut child: Child) -> std::process::ExitStatus {
    tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap()
}

fn assert_renewed(service: &SignInService, home: &Home, what: &str) {
    assert_eq!(service.redemptions(), 1, "{what}");
    let token = home.read()["tokens"]["refresh_token"].as_str().unwrap().to_owned();
    assert!(service.is_redeemable(&token), "{what}: the file holds the spent token");
    assert!(!home.path().join(".auth.json.new").exists(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_ends_in_order_by_every_signal() {
    let signals = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
    futures_util::future::join_all(signals.map(|kind| async move {
        let (service, base, home) = ended_login().await;
        let address = free_address();
        let child = program(&home, &base, &["serve", "--listen", &address]).spawn().unwrap();
        let answer = tokio::spawn(ask(address));
        renewal_begins(&home).await;
        signal(&child, kind);
        assert_eq!(answer.await.unwrap(), Some(200), "{kind:?}: the client gets its answer");
        assert!(ended(child).await.success(), "{kind:?}");
        assert_renewed(&service, &home, &format!("{kind:?}"));
    }))
    .await;
}

/// A client that left does not wait for its answer, and whoever sends signals again and again does
/// not end the renewal either.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_signals_do_not_cut_a_renewal_off() {
    let (service, base, home) = ended_login().await;
    let address = free_address();
    let child = program(&home, &base, &["serve", "--listen", &address]).spawn().unwrap();
    let answer = tokio::spawn(ask(address));
    renewal_begins(&home).await;
    answer.abort();
    for kind in [Signal::HUP, Signal::TERM, Signal::HUP, Signal::INT, Signal::INT] {
        signal(&child, kind);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ended(child).await.success());
    assert_renewed(&service, &home, "repeated signals");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_renew_wait_for_it_before_a_signal_ends_them() {
    let commands = [&["status", "--limits"][..], &["models"], &["doctor"]];
    futures_util::future::join_all(commands.map(|arguments| async move {
        for kind in [Signal::INT, Signal::TERM, Signal::HUP] {
            let (service, base, home) = ended_login().await;
            let mut command = program(&home, &base, arguments);
            command.env("CODEX_PROXY_SERVER_LISTEN", free_address());
            let child = command.spawn().unwrap();
            renewal_begins(&home).await;
            signal(&child, kind);
            let status = ended(child).await;
            assert_eq!(status.code(), Some(130), "{arguments:?} {kind:?}");
            assert_renewed(&service, &home, &format!("{arguments:?} {kind:?}"));
        }
    }))
    .await;
}

/// The quick start of a person who closes the window.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_closes_does_not_cut_a_renewal_off() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let (service, base, home) = ended_login().await;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal: OwnedFd = openpt(flags).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let side = || Stdio::from(File::options().read(true).write(true).open(&name).unwrap());
    let address = free_address();
    let plain = program(&home, &base, &["serve", "--listen", &address]);
    // The program becomes the leader of a session on that terminal.
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(plain.get_program()).args(plain.get_args()).env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    drop(command);
    // Somebody has to read what it prints, or it would stop at a full terminal.
    let mut reader = File::from(terminal.try_clone().unwrap());
    let (close, closed) = std::sync::mpsc::channel::<()>();
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while closed.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty)
            && std::io::Read::read(&mut reader, &mut buffer).is_ok()
        {}
    });
    let answer = tokio::spawn(ask(address));
    renewal_begins(&home).await;
    close.send(()).unwrap();
    // The reader ends with the next line that is printed.
    while !reading.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(terminal);
    assert_eq!(answer.await.unwrap(), Some(200));
    assert!(ended(child).await.success());
    assert_renewed(&service, &home, "a closed terminal");
}
