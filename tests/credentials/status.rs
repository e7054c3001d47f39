//! What `codex-proxy status` says, and the login of a running daemon.

use serde_json::{Value, json};

use crate::common::{Service, account, document, signed_in};
use crate::program::{command, run};
use crate::support::home::Home;
use crate::support::program::Program;
use crate::support::simulator::simulator;

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_masked_unless_asked_for() {
    let service = Service::start().await;
    let home = signed_in(&service.handle.sign_in(&account()));
    let status = |arguments: &[&str]| run(&home, &service.base, arguments);
    let ended = status(&["status"]);
    ended.with_last(0, "a***@example.com");
    assert!(!ended.out.contains("account-1"), "{}", ended.out);
    status(&["status", "--show"]).with_last(0, "account-1@example.com");
    let report: Value = serde_json::from_str(&status(&["status", "--json"]).out).unwrap();
    assert_eq!(report["signed_in"], json!(true));
    assert_eq!(report["plan"], "plus");
    assert_eq!(report["store"], "codex");
    assert_eq!(report["last_refresh"], "2026-01-01T00:00:00Z");
    assert_eq!(service.handle.calls(), [], "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_of_the_login_forges_a_line_or_steers_the_terminal() {
    let service = Service::start().await;
    let odd = "one\nplan     forged\u{1b}[2J\u{202e}\u{9b}";
    let tokens = json!({"access_token": "opaque", "refresh_token": "rt", "account_id": odd});
    let home = Home::new();
    home.write(&json!({ "tokens": tokens }));
    let ended = run(&home, &service.base, &["status", "--show"]);
    ended.with_last(0, "id       one\\u000aplan     forged\\u001b[2J\\u202e\\u009b\n");
    assert_eq!(ended.out.matches("\nplan ").count(), 1, "{}", ended.out);
    let json = run(&home, &service.base, &["status", "--show", "--json"]);
    assert!(json.out.chars().all(|c| c == '\n' || !c.is_control()), "{}", json.out);
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["account_id"], odd);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_there_is_a_message_and_an_exit_code() {
    let (service, home) = (Service::start().await, Home::new());
    run(&home, &service.base, &["status"]).with_last(77, "run `codex-proxy login`");
    let ended = run(&home, &service.base, &["status", "--json"]);
    assert_eq!(ended.code, Some(77));
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["signed_in"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_are_asked_for_when_wanted() {
    let (simulator, base) = simulator().await;
    let home = signed_in(&simulator.issuer().sign_in(&account()));
    let mut command = command(&home, &base, &["status", "--limits"]);
    command.env("CODEX_PROXY_UPSTREAM_BASE_URL", format!("{base}/backend-api/codex"));
    let ended = home.spawn(command).end();
    ended.with_last(0, "12 % of 5 hours used");
    assert!(ended.out.contains("5 % of 7 days used"), "{}", ended.out);
}

/// A daemon that is ended with its test.
struct Daemon {
    program: Program,
    base: String,
}

impl Daemon {
    fn start(home: &Home, service: &str) -> Self {
        let base_url = format!("{service}/backend-api/codex");
        Self::with(home, service, &[("CODEX_PROXY_UPSTREAM_BASE_URL", &base_url)])
    }

    fn with(home: &Home, service: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = command(home, service, &["serve", "--listen", "127.0.0.1:0"]);
        command.envs(variables.iter().copied());
        let program = home.spawn(command).listening();
        let base = format!("http://{}", program.address);
        Self { program, base }
    }

    async fn complete(&self) -> (u16, String) {
        let body = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]});
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/v1/chat/completions", self.base)).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// How often the login was renewed, with this result.
    async fn renewals(&self, result: &str) -> String {
        let text = reqwest::get(format!("{}/metrics", self.base)).await.unwrap();
        let text = text.text().await.unwrap();
        let start = format!("codex_proxy_login_renewals_total{{result=\"{result}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    /// Ends it, and gives its log.
    fn log(self) -> String {
        self.program.stop()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_uses_and_renews_whatever_login_there_is() {
    let (simulator, base) = simulator().await;
    let home = Home::new();
    let daemon = Daemon::start(&home, &base);
    let mut said = String::new();

    let (status, body) = daemon.complete().await;
    assert_eq!(status, 401, "{body}");
    assert!(body.contains("codex-proxy login"), "{body}");
    said.push_str(&body);

    // A sign-in, and then one that ends.
    let service = simulator.issuer();
    home.write(&document(&service.sign_in(&account()), "2026-01-01T00:00:00Z"));
    let (status, body) = daemon.complete().await;
    assert_eq!(status, 200, "{body}");
    said.push_str(&body);
    service.expire_access_tokens();
    let (status, body) = daemon.complete().await;
    assert_eq!(status, 200, "{body}");
    said.push_str(&body);
    assert_eq!(service.redemptions(), 1);

    // One that has ended for good.
    service.set_token_life(std::time::Duration::ZERO);
    home.write(&document(&service.sign_in(&account()), "2026-01-01T00:00:00Z"));
    service.fail_next(codex_proxy::simulator::issuer::Failure::Expired);
    let (status, body) = daemon.complete().await;
    assert_eq!(status, 401, "{body}");
    said.push_str(&body);
    for (result, count) in [("renewed", "1"), ("refused", "1"), ("failed", "0")] {
        assert_eq!(daemon.renewals(result).await, count, "{result}");
    }

    let log = daemon.log();
    assert!(log.contains("TRACE") && log.contains("renewed the login"), "logs are on");
    crate::support::secrets::assert_clean(&said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_platform_goes_to_its_api_without_an_account() {
    let (simulator, base) = simulator().await;
    let home = signed_in(&simulator.issuer().sign_in(&account()));
    let variables = [
        ("CODEX_PROXY_UPSTREAM_MODE", "api_key"),
        ("CODEX_PROXY_UPSTREAM_BASE_URL", &base),
        ("OPENAI_API_KEY", "sk-simulated-fake"),
    ];
    let daemon = Daemon::with(&home, &base, &variables);
    let (status, body) = daemon.complete().await;
    assert_eq!(status, 200, "{body}");
    let exchange = simulator.log().exchanges().pop().unwrap();
    assert_eq!(exchange.headers.get("chatgpt-account-id"), None);
    let log = daemon.log();
    assert!(log.contains("TRACE"), "logs are on");

    // The same for a file that the Codex CLI would take the key from, without a restart: first
    // with a plan, then with the key.
    let home = signed_in(&simulator.issuer().sign_in(&account()));
    let variables = [("CODEX_PROXY_UPSTREAM_BASE_URL", &*base)];
    let daemon = Daemon::with(&home, &base, &variables);
    for (is_key, header) in [(false, Some("account-1")), (true, None)] {
        if is_key {
            let key = json!({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-simulated-fake"});
            home.write(&key);
        }
        let (status, body) = daemon.complete().await;
        assert_eq!(status, 200, "{body}");
        let exchange = simulator.log().exchanges().pop().unwrap();
        let account = exchange.headers.get("chatgpt-account-id").map(String::as_str);
        assert_eq!((account, exchange.headers.contains_key("originator")), (header, !is_key));
    }
    daemon.log();
    run(&home, &base, &["status"]).with_last(0, "an API key of the OpenAI platform");
    run(&home, &base, &["status", "--limits"]).with_last(64, "an API key has no plan");

    // Without any key nothing starts.
    let home = Home::new();
    let mut command = command(&home, &base, &["serve", "--listen", "127.0.0.1:0"]);
    command.env("CODEX_PROXY_UPSTREAM_MODE", "api_key");
    home.spawn(command).end().with_last(77, "no API key: set the variable OPENAI_API_KEY");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_login_looks_like_it_everywhere() {
    let (simulator, base) = simulator().await;
    let service = simulator.issuer();
    let home = signed_in(&service.sign_in(&account()));
    let daemon = Daemon::start(&home, &base);
    assert_eq!(daemon.complete().await.0, 200);
    let of_daemon = |arguments: &[&str]| {
        let mut command = command(&home, &base, arguments);
        command.env("CODEX_PROXY_SERVER_LISTEN", daemon.base.strip_prefix("http://").unwrap());
        home.spawn(command).end()
    };
    of_daemon(&["health"]).with_last(0, "signed in");
    of_daemon(&["status"]).with_last(0, "renewed automatically");

    service.expire_access_tokens();
    service.fail_next(codex_proxy::simulator::issuer::Failure::Invalidated);
    let mut calls = Vec::new();
    for _ in 0..3 {
        let (status, body) = daemon.complete().await;
        assert_eq!(status, 401, "{body}");
        assert!(body.contains("codex-proxy login"), "{body}");
        calls.push(simulator.log().exchanges().len());
    }
    assert_eq!(calls[0], calls[2], "the dead token is not sent again");

    let health: Value =
        reqwest::get(format!("{}/health", daemon.base)).await.unwrap().json().await.unwrap();
    assert_eq!(health["credentials"], false);
    assert!(health["login_error"].as_str().unwrap().contains("signed out elsewhere"), "{health}");
    for arguments in [&["health"][..], &["status"]] {
        let ended = of_daemon(arguments);
        assert_eq!(ended.code, Some(77), "{arguments:?}: {}", ended.out);
        assert!(ended.out.contains("run `codex-proxy login`"), "{arguments:?}: {}", ended.out);
    }
    let report = of_daemon(&["status", "--json"]);
    assert_eq!(report.code, Some(77));
    assert_eq!(serde_json::from_str::<Value>(&report.out).unwrap()["signed_in"], false);

    let log = daemon.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    let told = warnings.iter().filter(|line| line.contains("run `codex-proxy login`")).count();
    assert_eq!(told, 1, "{warnings:#?}");
}
