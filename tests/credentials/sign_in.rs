//! Signing in and out, by the program itself.

use std::path::Path;
use std::time::Duration;

use codex_proxy::credentials::sign_in::{Browser, Error};
use codex_proxy::simulator::issuer::{Account, Consent, Failure, Settings};
use serde_json::json;

use crate::common::{Service, account, document, signed_in};
use crate::program::{command, run, start};
use crate::support::home::Home;
use crate::support::program::{Ended, Program};

/// Opens a page as a browser does and gives what it shows.
async fn visit(address: &str) -> String {
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();
    browser.get(address).send().await.unwrap().text().await.unwrap()
}

fn browser(home: &Home, service: &Service) -> Program {
    start(home, &service.base, &["login", "--no-browser", "--port", "0"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_with_a_browser_writes_what_the_codex_cli_would() {
    let (service, home) = (Service::start().await, Home::new());
    let mut program = browser(&home, &service);
    let address = program.line(|line| line.starts_with("http://"));
    for piece in [
        "response_type=code",
        "client_id=app_EMoamEEZ73f0CkXaXp7hrann",
        "code_challenge_method=S256",
        "id_token_add_organizations=true",
        "codex_cli_simplified_flow=true",
        "originator=codex-proxy",
        "offline_access",
    ] {
        assert!(address.contains(piece), "{piece} is not in {address}");
    }
    let page = visit(&address).await;
    assert!(page.contains("<h1>Signed in</h1>"), "{page}");
    program.end().with_last(0, "Signed in as s***@example.com, plan plus");

    let file = home.read();
    let names: Vec<_> = std::fs::read_to_string(home.file())
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().split_once(':').map(|(name, _)| name.to_owned()))
        .collect();
    let expected = [
        "\"auth_mode\"",
        "\"OPENAI_API_KEY\"",
        "\"tokens\"",
        "\"id_token\"",
        "\"access_token\"",
        "\"refresh_token\"",
        "\"account_id\"",
        "\"last_refresh\"",
    ];
    assert_eq!(names, expected);
    assert_eq!(file["auth_mode"], "chatgpt");
    assert_eq!(file["tokens"]["account_id"], "simulated-account");
    assert!(service.handle.accepts(file["tokens"]["access_token"].as_str().unwrap()));
    let refresh_token = file["tokens"]["refresh_token"].as_str().unwrap();
    assert!(service.handle.is_redeemable(refresh_token));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_has_its_own_message_and_exit_code() {
    for (consent, failure, code, told) in [
        (Consent::WrongState, None, 76, "wrong state"),
        (Consent::Deny, None, 67, "declined: The resource owner denied"),
        (Consent::NoEntitlement, None, 67, "may not use Codex"),
        (Consent::Grant, Some(Failure::Cloudflare), 68, "Cloudflare"),
        (Consent::Grant, Some(Failure::ServerError), 69, "HTTP 500"),
        (Consent::Grant, Some(Failure::InvalidGrant), 69, "Invalid grant. (invalid_grant)"),
        (Consent::Grant, Some(Failure::Unparseable), 69, "sent an invalid answer"),
    ] {
        let (service, home) = (Service::start().await, Home::new());
        service.handle.set_consent(consent);
        if let Some(failure) = failure {
            service.handle.fail_next(failure);
        }
        let mut program = browser(&home, &service);
        let page = visit(&program.line(|line| line.starts_with("http://"))).await;
        assert!(page.contains("<h1>Not signed in</h1>"), "{page}");
        program.end().with_last(code, told);
        assert!(!home.file().exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_with_the_known_addition_is_accepted() {
    let (service, home) = (Service::start().await, Home::new());
    service.handle.set_consent(Consent::ExtendedState);
    let mut program = browser(&home, &service);
    visit(&program.line(|line| line.starts_with("http://"))).await;
    program.end().with_last(0, "Signed in as");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_browser_ends() {
    let (service, home) = (Service::start().await, Home::new());
    let arguments = ["login", "--no-browser", "--port", "0", "--timeout", "1"];
    run(&home, &service.base, &arguments).with_last(75, "the sign-in was not finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_stays_taken_is_told() {
    let (service, home) = (Service::start().await, Home::new());
    let other = Service::start().await;
    let port = other.base.rsplit(':').next().unwrap();
    let told = format!("cannot listen on 127.0.0.1:{port}");
    run(&home, &service.base, &["login", "--no-browser", "--port", port]).with_last(71, &told);
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_second_sign_in_takes_the_port_from_the_first() {
    let service = Service::start().await;
    let port = free_port();
    let first = Browser::start(service.client(), &[port]).await.unwrap();
    let first = tokio::spawn(first.finish(Duration::from_secs(60)));
    let second = Browser::start(service.client(), &[port]).await.unwrap();
    assert!(matches!(first.await.unwrap(), Err(Error::Cancelled)));
    let address = second.address().to_string();
    let (login, page) = tokio::join!(second.finish(Duration::from_secs(60)), visit(&address));
    assert_eq!(login.unwrap().login().account_id.as_deref(), Some("simulated-account"));
    assert!(page.contains("Signed in"));
}

#[tokio::test]
async fn the_other_port_is_used_if_the_first_stays_taken() {
    let service = Service::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [taken.local_addr().unwrap().port(), free_port()];
    let sign_in = Browser::start(service.client(), &ports).await.unwrap();
    let address = sign_in.address().to_string();
    assert!(address.contains(&format!("localhost%3A{}%2F", ports[1])), "{address}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_with_a_code_waits_until_it_is_typed_in() {
    let (service, home) = (Service::start().await, Home::new());
    let mut program = start(&home, &service.base, &["login", "--device"]);
    let code = program.line(|line| line.starts_with("SIM"));
    let polls =
        || service.handle.calls().iter().filter(|call| call.path.ends_with("/token")).count();
    while polls() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let statuses: Vec<_> = service.handle.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses[..3], [200, 403, 404], "both mean not yet");
    visit(&format!("{}/codex/device?user_code={code}", service.base)).await;
    program.end().with_last(0, "Signed in as s***@example.com");
    assert_eq!(home.read()["tokens"]["account_id"], "simulated-account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_with_a_code_fails_in_its_own_ways() {
    let home = Home::new();
    let service = Service::start().await;
    run(&home, &service.base, &["login", "--device", "--timeout", "1"])
        .with_last(75, "not finished within");
    service.handle.fail_next(Failure::Cloudflare);
    run(&home, &service.base, &["login", "--device"]).with_last(68, "Cloudflare");
    let off = Service::with(Settings { device_flow: false, ..Settings::default() }).await;
    run(&home, &off.base, &["login", "--device"]).with_last(69, "disabled device codes");
    let closed = format!("http://127.0.0.1:{}", free_port());
    run(&home, &closed, &["login", "--device"]).with_last(69, "cannot be reached");
    assert!(!home.file().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_is_replaced_only_if_that_is_wanted() {
    let service = Service::start().await;
    let old = service.handle.sign_in(&account());
    let home = signed_in(&old);
    service.handle.set_account(Account::new("account-2"));
    let mut program = browser(&home, &service);
    visit(&program.line(|line| line.starts_with("http://"))).await;
    program.end().with_last(64, "a***@example.com, plan plus is already signed in and was kept");
    assert_eq!(home.read()["tokens"]["access_token"], *old.access_token);
    assert_eq!(service.handle.calls().last().unwrap().path, "/oauth/revoke");

    let mut program =
        start(&home, &service.base, &["login", "--no-browser", "--port", "0", "--yes"]);
    visit(&program.line(|line| line.starts_with("http://"))).await;
    program.end().with_last(0, "Signed in as");
    let file = home.read();
    assert_eq!(file["tokens"]["account_id"], "account-2");
    assert_eq!(file["alpha"], "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_from_elsewhere_is_taken_as_it_is() {
    let (service, home) = (Service::start().await, Home::new());
    let tokens = service.handle.sign_in(&account());
    let text = document(&tokens, "2026-01-01T00:00:00Z").to_string();
    let login = || command(&home, &service.base, &["login", "--with-token"]);
    Ended::with_input(login(), &text).with_last(0, "Signed in as a***@example.com");
    assert_eq!(std::fs::read_to_string(home.file()).unwrap(), text);
    for (wrong, told) in [("", "damaged"), ("{}", "no access token")] {
        Ended::with_input(login(), wrong).with_last(77, told);
    }
    assert_eq!(std::fs::read_to_string(home.file()).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_its_own_leaves_that_of_the_codex_cli_alone() {
    let service = Service::start().await;
    let shared = service.handle.sign_in(&account());
    let home = signed_in(&shared);
    let own = |arguments: &[&str]| {
        let mut command = command(&home, &service.base, arguments);
        command.env("CODEX_PROXY_AUTH_STORE", "own");
        command
    };
    let mut program = home.spawn(own(&["login", "--device"]));
    program.line(|line| line.starts_with("SIM"));
    service.handle.enter_device_code();
    program.end().with_last(0, "Signed in as s***@example.com");
    assert_eq!(home.read()["tokens"]["access_token"], *shared.access_token);
    let file = home.path().join("data/codex-proxy/auth.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let own_file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let token = own_file["tokens"]["refresh_token"].as_str().unwrap();

    home.spawn(own(&["logout"])).end().with_last(0, "Signed out");
    assert!(!file.exists() && home.file().exists());
    assert!(!service.handle.is_redeemable(token));
    assert!(service.handle.is_redeemable(&shared.refresh_token));
    home.spawn(own(&["logout"])).end().with_last(77, "not signed in");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shared_login_is_signed_out_only_if_that_is_wanted() {
    let service = Service::start().await;
    let tokens = service.handle.sign_in(&account());
    let home = signed_in(&tokens);
    run(&home, &service.base, &["logout"]).with_last(64, "use --shared");
    assert!(service.handle.is_redeemable(&tokens.refresh_token));
    run(&home, &service.base, &["logout", "--shared"]).with_last(0, "Signed out");
    assert!(!home.file().exists());
    assert!(!service.handle.is_redeemable(&tokens.refresh_token));
}

/// Needs Chromium; where there is none, the flow above stands for it. An empty profile, and
/// nothing that would call home.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_browser_signs_in() {
    let Some(chromium) = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
        .into_iter()
        .find(|p| Path::new(p).exists())
    else {
        println!("SKIPPED: there is no Chromium here, so no real browser has signed in");
        return;
    };
    let (service, home) = (Service::start().await, Home::new());
    let mut program = browser(&home, &service);
    let address = program.line(|line| line.starts_with("http://"));
    let profile = home.path().join("profile");
    let page = std::process::Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .env("HOME", home.path())
        .args([&format!("--user-data-dir={}", profile.display()), "--dump-dom", &address])
        .output()
        .unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("<h1>Signed in</h1>"), "{page}");
    program.end().with_last(0, "Signed in as s***@example.com");
    assert_eq!(home.read()["auth_mode"], json!("chatgpt"));
}
