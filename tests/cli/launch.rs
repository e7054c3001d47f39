//! `codex-proxy run`
#![cfg(unix)]

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::home::{Home, set_mode};
use crate::support::net::free_address;
use crate::support::program::{PROGRAM, until};
use crate::support::secrets::KEY;

/// Prints the daemon's address, and has it answer.
const ASK: &str = "address=${OPENAI_BASE_URL#http://}; echo \"${address%/v1}\"; \
                   exec \"$0\" chat --listen \"${address%/v1}\" 'Hello!'";

fn is_up(home: &Home, address: &str) -> bool {
    home.run(&["health", "--listen", address]).code == Some(0)
}

#[test]
fn a_command_finds_the_daemon_that_runs() {
    let mut home = Home::new();
    home.set("CODEX_PROXY_SERVER_API_KEYS", KEY);
    let daemon = home.simulating();
    let print = "echo \"$OPENAI_BASE_URL $OPENAI_API_BASE $OPENAI_API_KEY $NO_PROXY\"";
    let ended = home.run(&["run", "--listen", &daemon.address, "--", "sh", "-c", print]);
    let base = format!("http://{}/v1", daemon.address);
    let expected = format!("{base} {base} {KEY} 127.0.0.1,localhost,::1\n");
    assert_eq!((ended.code, ended.out), (Some(0), expected));
    assert!(is_up(&home, &daemon.address), "it is not this command's to end");
}

#[test]
fn the_secrets_of_the_daemons_settings_are_not_handed_to_the_command() {
    let mut home = Home::new();
    let other = "sk-cp-another-client-0123456789abcdef";
    home.set("CODEX_PROXY_SERVER_API_KEYS", &format!("{KEY},{other}"));
    home.set("CODEX_PROXY_UPSTREAM_HEADERS", "x-secret=header-secret");
    home.set("CODEX_ACCESS_TOKEN", "token-secret");
    home.set("CODEX_PROXY_LOG_FORMAT", "text");
    home.set("MINE", "of the command");
    let daemon = home.simulating();
    let run = |home: &Home| home.run(&["run", "--listen", &daemon.address, "--", "env"]);
    let ended = run(&home);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for secret in [other, "CODEX_PROXY_SERVER_API_KEYS", "header-secret", "token-secret"] {
        assert!(!ended.out.contains(secret), "{secret}: {}", ended.out);
    }
    let own_key = format!("OPENAI_API_KEY={KEY}");
    for kept in [own_key.as_str(), "CODEX_PROXY_LOG_FORMAT=text", "MINE=of the command"] {
        assert!(ended.out.lines().any(|line| line == kept), "{kept}: {}", ended.out);
    }
    // The key that the daemon pays with is in a variable that the settings name.
    home.set("CODEX_PROXY_UPSTREAM_MODE", "api_key");
    home.set("CODEX_PROXY_UPSTREAM_API_KEY_ENV", "MY_PLATFORM_KEY");
    home.set("MY_PLATFORM_KEY", "sk-platform-secret");
    let ended = run(&home);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.out.contains("sk-platform-secret"), "{}", ended.out);
}

#[test]
fn a_daemon_is_started_and_ends_with_the_command() {
    let mut home = Home::new();
    let _backend = home.simulated_backend();
    home.sign_in("account-1");
    let address = free_address();
    let ended = home.run(&["run", "--listen", &address, "--", "sh", "-c", ASK, PROGRAM]);
    let expected = format!("{address}\nThis is a simulated answer to: Hello!\n");
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), expected.as_str()), "{}", ended.err);
    assert!(!is_up(&home, &address));
}

#[test]
fn a_made_up_backend_is_never_that_of_a_real_daemon() {
    let mut home = Home::new();
    let _backend = home.simulated_backend();
    home.sign_in("account-1");
    let daemon = home.daemon(&["serve"]);
    let ask = ["run", "--simulate", "--listen", &daemon.address, "--", "sh", "-c", ASK, PROGRAM];
    let ended = home.run(&ask);
    let (address, answer) = ended.out.split_once('\n').unwrap();
    assert_eq!(answer, "This is a simulated answer to: Hello!\n", "{}", ended.err);
    assert_ne!(address, daemon.address);
    assert_eq!(ended.err, "");
    assert!(!is_up(&home, address));
    // Where the daemon that runs has one, it will do; and so it does where its port is unknown.
    let simulating = home.simulating();
    for (listen, expected) in [(simulating.address.as_str(), true), ("127.0.0.1:0", false)] {
        let ask = ["run", "--simulate", "--listen", listen, "--", "sh", "-c", ASK, PROGRAM];
        let ended = home.run(&ask);
        let (address, answer) = ended.out.split_once('\n').unwrap();
        assert!(answer.starts_with("This is a simulated answer"), "{answer}\n{}", ended.err);
        assert_eq!(address == simulating.address, expected);
    }
}

#[test]
fn the_command_decides_how_it_ends() {
    let home = Home::new();
    let daemon = home.simulating();
    let run = |command: &[&str]| {
        home.run(&[&["run", "--listen", &daemon.address, "--"], command].concat())
    };
    assert_eq!(run(&["true"]).code, Some(0));
    assert_eq!(run(&["sh", "-c", "exit 3"]).code, Some(3));
    assert_eq!(run(&["sh", "-c", "kill -TERM $$"]).code, Some(143));
    run(&["no-such-command"]).with(127, "cannot run no-such-command");
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    set_mode(&file, 0o600);
    run(&[file.to_str().unwrap()]).with(126, "cannot run");
    // What is the command's own is not taken for ours.
    assert_eq!(run(&["sh", "-c", "echo $*", "sh", "--help"]).out, "--help\n");
    home.run(&["run"]).with(64, "COMMAND");
}

#[test]
fn what_keeps_a_daemon_from_starting_is_said() {
    let mut home = Home::new();
    let address =
        crate::support::net::saying("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    home.run(&["run", "--listen", &address, "--", "true"]).with(69, "is not codex-proxy");
    home.set("CODEX_PROXY_UPSTREAM_MODE", "api_key");
    let ended = home.run(&["run", "--listen", &free_address(), "--", "echo", "no"]);
    ended.with(77, "no API key: set the variable").with(77, "the daemon could not be started");
    assert_eq!(ended.out, "");
}

#[test]
fn signals_reach_the_command() {
    let home = Home::new();
    let script = "trap 'echo hup' HUP; trap 'echo term; exit 5' TERM; echo $OPENAI_BASE_URL; \
                  while :; do sleep 0.02; done";
    let mut command = home.command(&["run", "--simulate", "--", "sh", "-c", script]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let base = lines.next().unwrap();
    let tell = |signal| kill_process(Pid::from_child(&child), signal).unwrap();
    tell(Signal::HUP);
    assert_eq!(lines.next().unwrap(), "hup");
    tell(Signal::TERM);
    assert_eq!(lines.next().unwrap(), "term");
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let address = base.trim_start_matches("http://").trim_end_matches("/v1");
    assert!(!is_up(&home, address));
}

#[test]
fn a_daemon_does_not_outlive_who_started_it() {
    let home = Home::new();
    let script = "echo $OPENAI_BASE_URL; exec cat";
    let mut command = home.command(&["run", "--simulate", "--", "sh", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().trim_start_matches("http://").trim_end_matches("/v1");
    assert!(is_up(&home, address));
    // Nothing of it can do anything about that.
    child.kill().unwrap();
    child.wait().unwrap();
    until(|| !is_up(&home, address), || format!("{address} still answers"));
}
