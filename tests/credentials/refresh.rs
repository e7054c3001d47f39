//! When and how often the login is renewed, and what is written.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use codex_proxy::config::Config;
use codex_proxy::credentials::{Error, Login, Store, issuer::Ended};
use codex_proxy::simulator::SignInService;
use codex_proxy::simulator::issuer::{Account, Failure};
use codex_proxy::upstream::Client;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;

use crate::common::{EXPIRED, Service, account, document, renewal_begins, signed_in};
use crate::support::home::Home;

/// What is in a home after a renewal.
const FILES: [&str; 4] = ["auth.json", "auth.json.codex-proxy.lock", "auth.json.lock", "auth.lock"];

fn bearer(login: &Login) -> &str {
    login.access_token.expose_secret()
}

/// A backend that accepts what the service has given out, or nothing.
async fn backend(service: Option<SignInService>) -> String {
    async fn answer(State(service): State<Option<SignInService>>, request: Request) -> Response {
        let value = request.headers()[header::AUTHORIZATION].to_str().unwrap();
        let token = value.strip_prefix("Bearer ").unwrap();
        if service.is_some_and(|service| service.accepts(token)) {
            "data: 1\n\n".into_response()
        } else {
            (StatusCode::UNAUTHORIZED, "{\"detail\":\"Unauthorized\"}").into_response()
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/codex", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

fn client(backend: &str, store: &Store) -> Client {
    let config = Config::from_toml(&format!("[upstream]\nbase_url = \"{backend}\"")).unwrap();
    Client::with_extra_roots(&config.upstream, Arc::new(store.clone()), None).unwrap()
}

async fn respond(client: &Client) -> bool {
    client.respond(Bytes::from_static(b"{}"), uuid::Uuid::nil(), None).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_requests_on_an_expired_token_cause_one_redemption() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    service.handle.set_delay(Duration::from_millis(50));
    let client = client(&backend(Some(service.handle.clone())).await, &service.store(&home));
    let requests: Vec<_> = (0..200)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { respond(&client).await })
        })
        .collect();
    for request in requests {
        assert!(request.await.unwrap());
    }
    assert_eq!(service.handle.redemptions(), 1);
    assert_eq!(service.handle.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_refused_requests_cause_one_redemption() {
    let service = Service::start().await;
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.expire_access_tokens();
    let client = client(&backend(Some(service.handle.clone())).await, &service.store(&home));
    let requests: Vec<_> = (0..200)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { respond(&client).await })
        })
        .collect();
    for request in requests {
        assert!(request.await.unwrap());
    }
    assert_eq!(service.handle.redemptions(), 1);
}

#[tokio::test]
async fn only_the_tokens_and_the_time_change_in_the_file() {
    let service = Service::start().await;
    service.handle.set_token_life(Duration::from_secs(200));
    let old = service.handle.sign_in(&account());
    let home = signed_in(&old);
    service.handle.set_token_life(Duration::from_secs(3600));
    let login = service.store(&home).login().await.unwrap();
    assert_ne!(bearer(&login), old.access_token);

    let text = std::fs::read_to_string(home.file()).unwrap();
    let new = home.read();
    assert_eq!(new["tokens"]["access_token"], bearer(&login));
    assert_ne!(new["tokens"]["id_token"], *old.id_token);
    let refresh_token = new["tokens"]["refresh_token"].as_str().unwrap();
    assert!(service.handle.is_redeemable(refresh_token));
    let time = new["last_refresh"].as_str().unwrap();
    let age = jiff::Timestamp::now().duration_since(time.parse().unwrap());
    assert!(age.as_secs() < 60, "{time}");

    // Everything else, to the letter.
    let mut expected = serde_json::to_string_pretty(&document(&old, time)).unwrap();
    for name in ["id_token", "access_token", "refresh_token"] {
        let before = document(&old, time)["tokens"][name].as_str().unwrap().to_owned();
        expected = expected.replace(&before, new["tokens"][name].as_str().unwrap());
    }
    assert_eq!(text.trim_end(), expected);
    assert_eq!(home.names(), FILES);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(home.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_stays_a_link() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    let elsewhere = Home::new();
    std::fs::rename(home.file(), elsewhere.file()).unwrap();
    std::os::unix::fs::symlink(elsewhere.file(), home.file()).unwrap();
    let login = service.store(&home).login().await.unwrap();
    assert!(home.file().is_symlink());
    assert_eq!(elsewhere.read()["tokens"]["access_token"], bearer(&login));
}

#[tokio::test]
async fn a_login_that_others_renewed_is_adopted_without_asking_the_service() {
    let service = Service::start().await;
    let old = service.handle.sign_in(&account());
    let home = signed_in(&old);
    let store = service.store(&home);
    let before = store.login().await.unwrap();
    let new = service.handle.sign_in(&account());
    home.write(&document(&new, "2026-01-02T00:00:00Z"));
    let after = store.on_unauthorized(&before).await.unwrap();
    assert_eq!(bearer(&after), new.access_token);
    assert_eq!(service.handle.calls(), []);
}

#[tokio::test]
async fn another_account_is_for_the_next_request_only() {
    let service = Service::start().await;
    let home = signed_in(&service.handle.sign_in(&account()));
    let store = service.store(&home);
    let before = store.login().await.unwrap();
    let other = service.handle.sign_in(&Account::new("account-2"));
    let mut file = document(&other, "2026-01-02T00:00:00Z");
    file["tokens"]["account_id"] = "account-2".into();
    home.write(&file);
    assert_eq!(bearer(&store.on_unauthorized(&before).await.unwrap()), bearer(&before));
    assert_eq!(bearer(&store.login().await.unwrap()), other.access_token);
    assert_eq!(service.handle.calls(), []);
}

#[tokio::test]
async fn a_login_that_is_refused_again_is_not_renewed_again() {
    let service = Service::start().await;
    let home = signed_in(&service.handle.sign_in(&account()));
    let client = client(&backend(None).await, &service.store(&home));
    for _ in 0..5 {
        assert!(!respond(&client).await);
    }
    assert_eq!(service.handle.redemptions(), 1);
}

#[tokio::test]
async fn a_new_login_that_ended_on_its_way_is_renewed() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let ended = service.handle.sign_in(&account());
    service.handle.set_token_life(Duration::from_secs(3600));
    let home = Home::new();
    home.write(&document(&ended, &jiff::Timestamp::now().to_string()));
    let store = service.store(&home);
    let refused = store.status().await.unwrap().login;
    assert_eq!(bearer(&refused), ended.access_token);
    let renewed = store.on_unauthorized(&refused).await.unwrap();
    assert!(service.handle.accepts(bearer(&renewed)));
    assert_eq!(service.handle.redemptions(), 1);
}

#[tokio::test]
async fn the_catalogue_never_causes_a_renewal() {
    let service = Service::start().await;
    let home = signed_in(&service.handle.sign_in(&account()));
    let client = client(&backend(None).await, &service.store(&home));
    client.models().await.unwrap_err();
    assert_eq!(service.handle.calls(), []);
}

#[tokio::test]
async fn a_renewal_outlives_the_client_that_caused_it() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    service.handle.set_delay(Duration::from_millis(200));
    let store = service.store(&home);
    tokio::select! {
        _ = store.login() => panic!("the client does not wait for the renewal"),
        () = renewal_begins(&home) => {}
    }
    store.settle().await;
    let token = home.read()["tokens"]["refresh_token"].as_str().unwrap().to_owned();
    assert!(service.handle.is_redeemable(&token));
    assert_eq!(service.handle.redemptions(), 1);
    store.login().await.unwrap();
    assert_eq!(service.handle.redemptions(), 1);
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_old_login_in_use_while_it_lives() {
    let service = Service::start().await;
    service.handle.set_token_life(Duration::from_secs(200));
    let old = service.handle.sign_in(&account());
    let home = signed_in(&old);
    for failure in
        [Failure::ServerError, Failure::Cloudflare, Failure::RateLimited, Failure::Unparseable]
    {
        let store = service.store(&home);
        let before = service.handle.calls().len();
        service.handle.fail_next(failure);
        for _ in 0..3 {
            assert_eq!(bearer(&store.login().await.unwrap()), old.access_token);
        }
        assert_eq!(service.handle.calls().len(), before + 1, "the service is left alone a while");
    }
    assert_eq!(home.names(), FILES);
}

/// A service that fails is asked once for a while, by all requests together, and each of them is
/// told when to come back.
#[tokio::test]
async fn a_service_that_fails_is_left_alone_for_a_while() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    for (failure, told, least, most) in [
        (Failure::ServerError, "HTTP 500", 0, 2),
        (Failure::Cloudflare, "Cloudflare", 0, 2),
        (Failure::RateLimited, "Too many requests", 0, 2),
        (Failure::RateLimitedFor90s, "Too many requests", 88, 90),
        (Failure::Unparseable, "sent an invalid answer", 0, 2),
    ] {
        let store = service.store(&home);
        let before = service.handle.calls().len();
        service.handle.fail_next(failure);
        for _ in 0..20 {
            let error = store.login().await.unwrap_err();
            assert!(error.is_transient(), "{failure:?}");
            assert!(error.to_string().contains(told), "{failure:?}: {error}");
            let wait = error.retry_in().unwrap().as_secs();
            assert!((least..=most).contains(&wait), "{failure:?}: {wait} s");
        }
        assert_eq!(service.handle.calls().len(), before + 1, "{failure:?}");
        // What somebody else has written meanwhile is used at once.
        let new = service.handle.sign_in(&account());
        home.write(&document(&new, "2026-01-02T00:00:00Z"));
        assert_eq!(bearer(&store.login().await.unwrap()), new.access_token);
        service.handle.set_token_life(EXPIRED);
        home.write(&document(&service.handle.sign_in(&account()), "2026-01-02T00:00:00Z"));
        service.handle.set_token_life(Duration::from_secs(3600));
    }
}

#[tokio::test]
async fn after_the_pause_the_service_is_asked_again() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    let store = service.store(&home);
    service.handle.fail_next(Failure::ServerError);
    let error = store.login().await.unwrap_err();
    tokio::time::sleep(error.retry_in().unwrap()).await;
    store.login().await.unwrap();
    assert_eq!(service.handle.redemptions(), 1);
}

#[tokio::test]
async fn a_refused_country_is_final_until_the_login_changes() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    let store = service.store(&home);
    service.handle.fail_next(Failure::Country);
    for _ in 0..20 {
        let error = store.login().await.unwrap_err();
        assert!(matches!(error, Error::RefusedCountry { .. }), "{error}");
    }
    assert_eq!(service.handle.calls().len(), 1);
    let new = service.handle.sign_in(&account());
    home.write(&document(&new, "2026-01-02T00:00:00Z"));
    assert_eq!(bearer(&store.login().await.unwrap()), new.access_token);
}

/// The first caller goes away, and nobody looks at the result of the renewal that fails.
#[tokio::test]
async fn a_failure_that_nobody_waited_for_is_not_told_later() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    service.handle.set_delay(Duration::from_millis(100));
    service.handle.fail_next(Failure::ServerError);
    let store = service.store(&home);
    tokio::select! {
        _ = store.login() => panic!("the client does not wait for the renewal"),
        () = renewal_begins(&home) => {}
    }
    while store.renewals().failed == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The pause after the failure.
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let login = store.login().await.unwrap();
    assert!(service.handle.accepts(bearer(&login)));
}

/// By a clock that is ahead, every token has ended when it comes.
#[tokio::test]
async fn a_token_that_came_a_moment_ago_is_used_whatever_the_clock_says() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = Home::new();
    let seemingly_ended = service.handle.sign_in(&account());
    home.write(&document(&seemingly_ended, &jiff::Timestamp::now().to_string()));
    let store = service.store(&home);
    for _ in 0..3 {
        assert_eq!(bearer(&store.login().await.unwrap()), seemingly_ended.access_token);
    }
    assert_eq!(service.handle.calls(), []);
    // If the backend refuses it, it is renewed nevertheless.
    let refused = store.login().await.unwrap();
    assert_ne!(
        bearer(&store.on_unauthorized(&refused).await.unwrap()),
        seemingly_ended.access_token
    );
    assert_eq!(service.handle.redemptions(), 1);
}

/// A login whose renewal is refused for good is not sent again once the backend has refused it.
#[tokio::test]
async fn a_dead_login_is_not_sent_again_until_it_changes() {
    let service = Service::start().await;
    let home = signed_in(&service.handle.sign_in(&account()));
    let store = service.store(&home);
    let login = store.login().await.unwrap();
    assert!(store.summary().await.signed_in);
    service.handle.fail_next(Failure::Invalidated);
    store.on_unauthorized(&login).await.unwrap_err();
    for _ in 0..3 {
        let error = store.login().await.unwrap_err();
        assert!(matches!(error, Error::Ended { why: Ended::Invalidated, .. }), "{error}");
        let summary = store.summary().await;
        assert!(!summary.signed_in && !store.is_fresh().await);
        assert!(summary.ended.unwrap().contains("run `codex-proxy login`"));
    }
    assert_eq!(service.handle.calls().len(), 1);
    let new = service.handle.sign_in(&account());
    home.write(&document(&new, "2026-01-02T00:00:00Z"));
    assert_eq!(bearer(&store.login().await.unwrap()), new.access_token);
    assert!(store.summary().await.signed_in);
}

#[tokio::test]
async fn a_request_goes_on_with_the_account_that_it_was_made_for() {
    let service = Service::start().await;
    let home = signed_in(&service.handle.sign_in(&account()));
    let store = service.store(&home);
    let prepared = store.login().await.unwrap();
    // A newer token of the same account is taken.
    let newer = service.handle.sign_in(&account());
    home.write(&document(&newer, "2026-01-02T00:00:00Z"));
    assert_eq!(bearer(&store.login_for(&prepared).await.unwrap()), newer.access_token);
    // One of another account, and a key, are not.
    let mut other =
        document(&service.handle.sign_in(&Account::new("account-2")), "2026-01-02T00:00:00Z");
    other["tokens"]["account_id"] = "account-2".into();
    let key = serde_json::json!({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-fake"});
    for file in [other, key] {
        home.write(&file);
        assert_eq!(bearer(&store.login_for(&prepared).await.unwrap()), bearer(&prepared));
    }
    // Without any login there is none to go on with.
    std::fs::remove_file(home.file()).unwrap();
    store.login_for(&prepared).await.unwrap_err();
}

/// Nobody ever writes to it: who opens it in the usual way waits for ever.
#[cfg(unix)]
#[tokio::test]
async fn a_fifo_in_the_place_of_a_file_holds_nobody_up() {
    let service = Service::start().await;
    for name in ["auth.json", "auth.lock", "auth.json.lock", "auth.json.codex-proxy.lock"] {
        service.handle.set_token_life(EXPIRED);
        let home = signed_in(&service.handle.sign_in(&account()));
        service.handle.set_token_life(Duration::from_secs(3600));
        let path = home.path().join(name);
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let store = service.store(&home);
        let asked = tokio::time::timeout(Duration::from_secs(10), store.login()).await.unwrap();
        // Without the Codex CLI's locks the login is written all the same; without its own it would
        // be renewed by several at once.
        assert_eq!(asked.is_ok(), matches!(name, "auth.lock" | "auth.json.lock"), "{name}");
        if let Err(error) = asked {
            assert!(error.to_string().contains("it is not a regular file"), "{name}: {error}");
        }
        assert_eq!(store.summary().await.signed_in, name != "auth.json", "{name}");
    }
}

#[tokio::test]
async fn a_stale_file_beside_the_keyring_is_named() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    let config = "cli_auth_credentials_store = \"keyring\"";
    std::fs::write(home.path().join("config.toml"), config).unwrap();
    service.handle.fail_next(Failure::Expired);
    let error = service.store(&home).login().await.unwrap_err().to_string();
    assert!(error.contains("in the system's keyring") && error.contains(config), "{error}");
    assert!(error.contains("the file is outdated"), "{error}");
}

#[tokio::test]
async fn what_is_final_is_remembered_until_the_file_changes() {
    let invalid_grant = Ended::Refused { code: Some("invalid_grant".to_owned()) };
    let cases = [
        (Failure::Expired, Ended::Expired),
        (Failure::Reused, Ended::Reused),
        (Failure::Invalidated, Ended::Invalidated),
        (Failure::InvalidGrant, invalid_grant),
        (Failure::Unauthorized, Ended::Refused { code: None }),
    ];
    futures_util::future::join_all(cases.map(|(failure, ended)| async move {
        let service = Service::start().await;
        service.handle.set_token_life(EXPIRED);
        let home = signed_in(&service.handle.sign_in(&account()));
        service.handle.set_token_life(Duration::from_secs(3600));
        let store = service.store(&home);
        service.handle.fail_next(failure);
        for _ in 0..3 {
            let error = store.login().await.unwrap_err();
            assert!(error.to_string().contains("run `codex-proxy login`"), "{error}");
            match error {
                Error::Ended { why, .. } => assert_eq!(why, ended),
                other => panic!("{other}"),
            }
        }
        assert_eq!(service.handle.calls().len(), 1, "{failure:?}");
        // A login while the daemon runs is used by the next request.
        let new = service.handle.sign_in(&account());
        home.write(&document(&new, "2026-01-02T00:00:00Z"));
        assert_eq!(bearer(&store.login().await.unwrap()), new.access_token);
    }))
    .await;
}

#[tokio::test]
async fn a_token_that_another_program_redeemed_first_is_replaced_by_its_successor() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let old = service.handle.sign_in(&account());
    let home = signed_in(&old);
    service.handle.set_token_life(Duration::from_secs(3600));
    let store = service.store(&home);
    // The other program has redeemed the token and takes its time to write.
    let new = service.handle.sign_in(&account());
    service.handle.fail_next(Failure::Reused);
    let (login, ()) = tokio::join!(store.login(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        home.write(&document(&new, "2026-01-02T00:00:00Z"));
    });
    assert_eq!(bearer(&login.unwrap()), new.access_token);
}

#[tokio::test]
async fn a_sign_in_while_the_service_thinks_is_not_overwritten() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    service.handle.set_delay(Duration::from_millis(200));
    let store = service.store(&home);
    let new = service.handle.sign_in(&Account::new("account-1"));
    let (login, ()) = tokio::join!(store.login(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        home.write(&document(&new, "2026-01-02T00:00:00Z"));
    });
    assert_eq!(bearer(&login.unwrap()), new.access_token);
    assert_eq!(home.read()["tokens"]["access_token"], *new.access_token);
    assert_eq!(home.names(), FILES);
}

#[tokio::test]
async fn stores_of_several_processes_take_turns() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    service.handle.set_delay(Duration::from_millis(50));
    // Each store has locks and memories of its own, as a process has.
    let stores: Vec<_> = (0..4).map(|_| service.store(&home)).collect();
    let logins = futures_util::future::join_all(stores.iter().map(Store::login)).await;
    let bearers: HashSet<_> =
        logins.iter().map(|login| bearer(login.as_ref().unwrap()).to_owned()).collect();
    assert_eq!(bearers.len(), 1);
    assert_eq!(service.handle.calls().len(), 1);
}

#[tokio::test]
async fn a_renewal_that_was_cut_off_before_the_rename_is_completed() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let old = service.handle.sign_in(&account());
    let home = signed_in(&old);
    service.handle.set_token_life(Duration::from_secs(3600));
    let new = service.handle.sign_in(&account());
    let spare = home.path().join(".auth.json.new");
    let write = |time: &str| {
        std::fs::write(&spare, serde_json::to_vec(&document(&new, time)).unwrap()).unwrap();
    };
    write("2026-01-01T00:00:01Z");
    assert_eq!(bearer(&service.store(&home).login().await.unwrap()), new.access_token);
    assert_eq!(service.handle.calls(), []);
    assert!(!spare.exists());

    // One that is older than the file, or damaged, is not.
    home.write(&document(&old, "2026-01-03T00:00:00Z"));
    write("2026-01-02T00:00:00Z");
    assert_ne!(bearer(&service.store(&home).login().await.unwrap()), new.access_token);
    assert_eq!(service.handle.redemptions(), 1);
    assert!(!spare.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_spent_that_could_not_be_written() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let old = service.handle.sign_in(&account());
    let home = signed_in(&old);
    // A folder in the way: also root cannot write a file there.
    std::fs::create_dir(home.path().join(".auth.json.new")).unwrap();
    let error = service.store(&home).login().await.unwrap_err();
    assert!(matches!(error, Error::Unwritable { .. }), "{error}");
    assert_eq!(service.handle.calls(), []);
    assert!(service.handle.is_redeemable(&old.refresh_token));
}

/// The disk gives way between the service's answer and the write: here, the new file is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_could_not_be_written_is_kept_and_written_with_the_next_request() {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let old = service.handle.sign_in(&account());
    let home = signed_in(&old);
    service.handle.set_token_life(Duration::from_secs(3600));
    service.handle.set_delay(Duration::from_millis(200));
    let store = service.store(&home);
    let asked = tokio::spawn({
        let store = store.clone();
        async move { store.login().await }
    });
    let spare = home.path().join(".auth.json.new");
    while !spare.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    std::fs::remove_file(&spare).unwrap();
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unsaved { .. }), "{error}");
    assert_eq!(home.read()["tokens"]["refresh_token"], *old.refresh_token, "as it was");
    assert!(!service.handle.is_redeemable(&old.refresh_token), "and spent");

    let login = store.login().await.unwrap();
    assert_eq!(home.read()["tokens"]["access_token"], bearer(&login));
    let token = home.read()["tokens"]["refresh_token"].as_str().unwrap().to_owned();
    assert!(service.handle.is_redeemable(&token));
    assert_eq!(service.handle.redemptions(), 1);
    assert_eq!(home.read()["alpha"], "kept");
}
