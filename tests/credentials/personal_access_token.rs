//! Personal access tokens: used as they are, with the account that the sign-in service knows.

use codex_proxy::credentials::{Error, Location, Store};
use codex_proxy::simulator::issuer::Failure;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::common::{Service, account, location, signed_in};
use crate::support::home::Home;

fn in_file(token: &str) -> Home {
    let home = Home::new();
    home.write(&json!({"auth_mode": "personalAccessToken", "personal_access_token": token}));
    home
}

fn in_variable(home: &Home, value: &str) -> Location {
    Location { access_token: Some(value.into()), ..location(home) }
}

#[tokio::test]
async fn the_account_is_asked_for_once() {
    let service = Service::start().await;
    let token = service.handle.personal_access_token(&account());
    let home = in_file(&token);
    let variable = Store::new(in_variable(&Home::new(), &token), service.client());
    for store in [service.store(&home), variable] {
        let before = service.handle.calls().len();
        let logins = futures_util::future::join_all((0..20).map(|_| store.login())).await;
        for login in logins {
            let login = login.unwrap();
            assert_eq!(login.access_token.expose_secret(), token);
            assert_eq!(login.account_id.as_deref(), Some("account-1"));
            assert_eq!(login.plan.as_deref(), Some("plus"));
        }
        assert_eq!(service.handle.calls().len(), before + 1);
        // Nothing renews it: what the backend refuses is refused.
        let login = store.login().await.unwrap();
        let again = store.on_unauthorized(&login).await.unwrap();
        assert_eq!(again.access_token.expose_secret(), token);
        assert_eq!(store.status().await.unwrap().login.plan.as_deref(), Some("plus"));
        assert!(!store.status().await.unwrap().is_renewable);
        assert_eq!(service.handle.calls().len(), before + 1);
    }
}

#[tokio::test]
async fn a_service_that_fails_is_left_alone_and_one_that_refuses_is_not_asked_again() {
    let service = Service::start().await;
    let home = in_file(&service.handle.personal_access_token(&account()));
    for (failure, is_final) in [
        (Failure::ServerError, false),
        (Failure::RateLimitedFor90s, false),
        (Failure::Unauthorized, true),
        (Failure::Country, true),
    ] {
        let store = service.store(&home);
        let before = service.handle.calls().len();
        service.handle.fail_next(failure);
        for _ in 0..5 {
            let error = store.login().await.unwrap_err();
            assert_eq!(matches!(error, Error::RefusedToken { .. }), is_final, "{error}");
            assert_eq!(matches!(error, Error::UnknownAccount { .. }), !is_final, "{error}");
            assert!(error.to_string().contains("auth.json"), "{error}");
        }
        assert_eq!(service.handle.calls().len(), before + 1, "{failure:?}");
        assert_eq!(store.summary().await.ended.is_some(), is_final, "{failure:?}");
    }
}

#[tokio::test]
async fn the_variable_goes_before_the_file_and_holds_no_other_kind() {
    let service = Service::start().await;
    let home = signed_in(&service.handle.sign_in(&account()));
    let token = service.handle.personal_access_token(&account());
    let store = Store::new(in_variable(&home, &token), service.client());
    assert_eq!(store.login().await.unwrap().access_token.expose_secret(), token);

    let store = Store::new(in_variable(&home, "e30.e30.c2ln"), service.client());
    let error = store.login().await.unwrap_err();
    assert!(matches!(error, Error::UnsupportedVariable), "{error}");
    let text = error.to_string();
    assert!(text.contains("CODEX_ACCESS_TOKEN") && text.contains("agent identities"), "{text}");
}
