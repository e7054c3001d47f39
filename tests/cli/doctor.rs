//! `codex-proxy doctor`: what it finds on machines where something is wrong.

use std::collections::BTreeMap;
use std::net::TcpListener;

use crate::support::home::{Home, set_mode};
use crate::support::net::{free_address, saying};
use crate::support::program::Ended;
use crate::support::secrets::KEY;

/// The level of each finding, by its code.
fn levels(ended: &Ended) -> BTreeMap<String, String> {
    let json = ended.json();
    assert_eq!(json["exit"].as_i64(), ended.code.map(i64::from), "{json:#}");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let findings = json["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(&finding["code"]), text(&finding["level"]))).collect()
}

#[track_caller]
fn assert_found(ended: &Ended, code: i32, expected: &[(&str, &str)]) {
    let found = levels(ended);
    for (finding, level) in expected {
        assert_eq!(found.get(*finding).map(String::as_str), Some(*level), "{finding}: {found:#?}");
    }
    assert_eq!(ended.code, Some(code), "{found:#?}");
    assert!(!ended.out.contains(KEY), "{}", ended.out);
}

fn doctor(home: &Home, arguments: &[&str]) -> Ended {
    home.run(&[&["doctor", "--json"], arguments].concat())
}

/// A machine on which all is well, but that no daemon runs.
fn well() -> (Home, crate::support::program::Program) {
    let mut home = Home::new();
    let backend = home.simulated_backend();
    let issuer = format!("http://{}", backend.address);
    home.set("CODEX_PROXY_AUTH_ISSUER", &issuer);
    home.set("CODEX_PROXY_SERVER_LISTEN", &free_address());
    home.sign_in("account-1");
    (home, backend)
}

#[test]
fn where_all_is_well_it_says_so() {
    let (home, _backend) = well();
    let daemon = home.daemon(&[]);
    let ended = doctor(&home, &["--listen", &daemon.address]);
    let expected = [
        ("settings.defaults", "good"),
        ("login.plan", "good"),
        ("address.daemon", "good"),
        ("network.answers", "good"),
        ("backend.models", "good"),
        ("backend.limit", "good"),
        ("clients.nothing", "good"),
    ];
    assert_found(&ended, 0, &expected);
    assert!(!levels(&ended).contains_key("backend.call"), "nothing is spent unasked");
    let ended = doctor(&home, &["--live", "--listen", &daemon.address]);
    assert_found(&ended, 0, &[("backend.call", "good")]);
    let text = home.run(&["doctor", "--listen", &daemon.address]);
    text.with(0, "Login\n  ok      ");
    assert!(!text.out.contains('\u{1b}') && text.err.is_empty(), "{}", text.out);
}

#[test]
fn colours_are_for_those_who_want_them() {
    let (mut home, _backend) = well();
    let coloured = |home: &Home| {
        let ended = home.run(&["doctor", "--offline"]);
        assert_eq!(ended.code, Some(0), "{}", ended.out);
        ended.out.contains('\u{1b}')
    };
    assert!(!coloured(&home));
    home.set("CLICOLOR_FORCE", "1");
    assert!(coloured(&home));
    home.set("NO_COLOR", "1");
    assert!(!coloured(&home));
}

#[test]
fn offline_nobody_is_asked() {
    let (mut home, backend) = well();
    drop(backend);
    home.set("CODEX_PROXY_UPSTREAM_BASE_URL", "https://never.invalid");
    let ended = doctor(&home, &["--offline"]);
    assert_found(&ended, 0, &[("login.plan", "good"), ("address.free", "note")]);
    assert!(levels(&ended).keys().all(|code| !code.starts_with("network.")));
    doctor(&home, &["--offline", "--live"]).with(64, "--live");
}

#[test]
fn wrong_settings_come_first() {
    let home = Home::new();
    let file = home.path().join("c.toml");
    std::fs::write(&file, "[server]\nlistne = 1\n[compat]\nstrict = 2\n").unwrap();
    let ended = doctor(&home, &["--config", file.to_str().unwrap()]);
    assert_found(&ended, 78, &[("settings.wrong", "problem"), ("settings.unfinished", "note")]);
    assert!(ended.out.contains("c.toml:2: [server] listne") && ended.out.contains("c.toml:4"));
    doctor(&home, &["--config", "/no/such.toml"]).with(78, "");
}

#[test]
fn logins_are_looked_at() {
    let (mut home, _backend) = well();
    let file = home.path().join("auth.json");
    #[cfg(unix)]
    {
        set_mode(&file, 0o644);
        assert_found(&doctor(&home, &[]), 0, &[("login.open", "warning")]);
    }
    let codex = home.path().join("config.toml");
    std::fs::write(&codex, "cli_auth_credentials_store = \"keyring\"").unwrap();
    assert_found(&doctor(&home, &[]), 0, &[("login.elsewhere", "warning")]);
    std::fs::remove_file(&file).unwrap();
    let ended = doctor(&home, &[]);
    assert_found(&ended, 77, &[("login.none", "problem")]);
    assert!(ended.out.contains("keyring"));
    std::fs::write(&file, "{").unwrap();
    assert_found(&doctor(&home, &[]), 77, &[("login.none", "problem")]);
    home.set("CODEX_PROXY_UPSTREAM_MODE", "api_key");
    assert_found(&doctor(&home, &[]), 77, &[("login.no-key", "problem")]);
    home.set("OPENAI_API_KEY", "sk-any");
    assert_found(&doctor(&home, &["--offline"]), 0, &[("login.key", "good")]);
}

#[test]
fn other_programs_at_the_address_are_named() {
    let (home, _backend) = well();
    let address = saying("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let ended = doctor(&home, &["--offline", "--listen", &address]);
    assert_found(&ended, 69, &[("address.taken", "problem")]);
    if cfg!(target_os = "linux") {
        let us = format!("process {}", std::process::id());
        assert!(ended.out.contains(&us), "{us} is not in {}", ended.out);
    }
    let ended = doctor(&home, &["--offline", "--listen", "192.0.2.1:80"]);
    ended.with(78, "");
}

#[test]
fn a_daemon_with_other_settings_is_told_from_ours() {
    let (mut home, _backend) = well();
    home.set("CODEX_PROXY_SERVER_API_KEYS", KEY);
    let daemon = home.simulating();
    let at = ["--offline", "--listen", &daemon.address];
    assert_found(&doctor(&home, &at), 0, &[("address.simulated", "note"), ("keys.needed", "good")]);
    home.set("CODEX_PROXY_SERVER_API_KEYS", "another-0123456789-abcdefgh");
    assert_found(&doctor(&home, &at), 0, &[("address.other-key", "warning")]);
}

#[test]
fn each_step_on_the_way_to_the_backend_can_fail() {
    let (mut home, _backend) = well();
    let mut with = |base: &str| {
        home.set_backend(base);
        doctor(&home, &[])
    };
    let problem = |code| [(code, "problem")];
    // No name has a part that long, and nobody has to be asked about it.
    let name = format!("https://{}.example", "a".repeat(64));
    assert_found(&with(&name), 69, &problem("network.dns"));
    let nobody = format!("http://{}", free_address());
    assert_found(&with(&nobody), 69, &problem("network.connect"));
    let plain = saying("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    assert_found(&with(&format!("https://{plain}")), 69, &problem("network.tls"));
    let silent = saying("");
    assert_found(&with(&format!("http://{silent}")), 69, &problem("network.http"));
    let page = saying(
        "HTTP/1.1 403 Forbidden\r\ncf-mitigated: challenge\r\ncontent-type: text/html\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n",
    );
    let found = [("network.blocked", "warning"), ("backend.refused", "problem")];
    assert_found(&with(&format!("http://{page}")), 69, &found);
    let late = saying(
        "HTTP/1.1 401 Unauthorized\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    );
    let found = [("network.clock-wrong", "problem"), ("backend.refused", "problem")];
    assert_found(&with(&format!("http://{late}")), 77, &found);
}

#[test]
fn proxies_and_certificates_are_looked_at() {
    let (mut home, _backend) = well();
    home.set("SSL_CERT_FILE", "/no/such.pem");
    assert_found(&doctor(&home, &[]), 78, &[("network.bad-certificates", "problem")]);
    let roots = home.path().join("roots.pem");
    std::fs::write(&roots, include_str!("../../src/upstream/two-roots.pem")).unwrap();
    home.set("SSL_CERT_FILE", roots.to_str().unwrap());
    assert_found(&doctor(&home, &[]), 0, &[("network.certificates", "good")]);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    home.set_backend("https://backend.example");
    home.set("HTTPS_PROXY", &format!("http://jo:hush@{gone}"));
    let ended = doctor(&home, &[]);
    assert_found(&ended, 69, &[("network.proxy", "note"), ("network.connect", "problem")]);
    assert!(!ended.out.contains("hush"));
    home.set("HTTPS_PROXY", &format!("socks5://{gone}"));
    assert_found(&doctor(&home, &[]), 78, &[("network.socks", "problem")]);
}

#[test]
fn what_leads_clients_astray_is_found() {
    let (mut home, _backend) = well();
    home.set("OPENAI_BASE_URL", "https://api.openai.com/v1");
    home.set("ALL_PROXY", "http://proxy.example:1");
    let expected = [("clients.other-base", "warning"), ("clients.proxy", "warning")];
    assert_found(&doctor(&home, &["--offline"]), 0, &expected);
    home.set("NO_PROXY", "127.0.0.1");
    home.set("CODEX_PROXY_SERVER_API_KEYS", KEY);
    home.set("CODEX_PROXY_SERVER_LISTEN", "127.0.0.1:7");
    home.set("OPENAI_BASE_URL", "http://localhost:7/v1");
    let expected = [("clients.base", "good"), ("clients.no-key", "warning")];
    assert_found(&doctor(&home, &["--offline"]), 0, &expected);
    home.set("OPENAI_API_KEY", KEY);
    let ended = doctor(&home, &["--offline"]);
    assert_found(&ended, 0, &[("clients.base", "good")]);
    assert!(levels(&ended).values().all(|level| level != "warning"), "{}", ended.out);
}
