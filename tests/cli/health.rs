//! `codex-proxy health`

use serde_json::json;

use crate::support::home::Home;
use crate::support::net::{free_address, saying};
use crate::support::secrets::KEY;

#[test]
fn a_daemon_that_runs_is_told_in_one_line() {
    let home = Home::new();
    let daemon = home.simulating();
    let ended = home.run(&["health", "--listen", &daemon.address]);
    let version = env!("CARGO_PKG_VERSION");
    let line = format!("codex-proxy {version} answers at http://{}, simulated\n", daemon.address);
    assert_eq!((ended.code, ended.out, ended.err.as_str()), (Some(0), line, ""));
    let ended = home.run(&["health", "--json", "--listen", &daemon.address]);
    let expected = json!({"running": true, "address": format!("http://{}", daemon.address),
        "status": "ok", "version": version, "credentials": true, "simulated": true});
    assert_eq!((ended.code, ended.json()), (Some(0), expected));
}

#[test]
fn where_nobody_answers_the_exit_code_says_so() {
    let home = Home::new();
    let address = free_address();
    let ended = home.run(&["health", "--listen", &address]);
    ended.with(69, &format!("no daemon answers at http://{address}")).with(69, "`codex-proxy`");
    assert_eq!(ended.out, "");
    let ended = home.run(&["health", "--json", "--listen", &address]);
    assert_eq!((ended.code, ended.json()["running"].as_bool()), (Some(69), Some(false)));
    home.run(&["health", "--listen", "127.0.0.1:0"]).with(64, "--listen");
}

#[test]
fn somebody_else_is_not_taken_for_a_daemon() {
    let home = Home::new();
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"status\":\"sick\"}",
    ] {
        let address = saying(answer);
        home.run(&["health", "--listen", &address]).with(69, "is not codex-proxy");
    }
}

#[test]
fn without_the_key_it_says_less_and_ends_the_same() {
    let mut home = Home::new();
    let keys = home.path().join("keys");
    std::fs::write(&keys, format!("# one\n{KEY}\n")).unwrap();
    home.set("CODEX_PROXY_SERVER_API_KEY_FILE", keys.to_str().unwrap());
    let daemon = home.simulating();
    home.run(&["health", "--listen", &daemon.address]).with(0, "simulated");
    std::fs::remove_file(&keys).unwrap();
    let ended = home.run(&["health", "--listen", &daemon.address]);
    ended.with(0, "rejects the key");
    home.set("CODEX_PROXY_SERVER_API_KEY_FILE", "");
    home.run(&["health", "--listen", &daemon.address]).with(0, "rejects the key");
    home.run(&["models", "--listen", &daemon.address]).with(78, "rejects the key");
}

#[cfg(unix)]
#[test]
fn a_socket_is_reached_as_well() {
    let home = Home::new();
    let socket = format!("unix:{}", home.path().join("s").display());
    let ended = home.run(&["health", "--listen", &socket]);
    ended.with(69, &format!("no daemon answers at {socket}"));
    let daemon = home.daemon(&["serve", "--simulate", "--listen", &socket]);
    assert_eq!(daemon.address, socket);
    home.run(&["health", "--listen", &socket]).with(0, "simulated");
    home.run(&["chat", "--listen", &socket, "Hello!"]).with(0, "simulated answer to: Hello!");
    home.run(&["run", "--listen", &socket, "--", "true"]).with(64, "listen on a TCP address");
}
