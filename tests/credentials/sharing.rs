//! Two daemons and the Codex CLI on one login: nobody is ever signed out, and nobody sees a file that
//! is half there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use codex_proxy::credentials::{Claims, Store};
use codex_proxy::simulator::SignInService;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::common::{Service, account, number, signed_in};
use crate::support::home::Home;

/// A number between 0 and `below`, another one each time.
fn random(below: u64) -> u64 {
    u64::try_from(uuid::Uuid::new_v4().as_u128() % u128::from(below)).unwrap()
}

#[derive(Debug, Default)]
struct Tally {
    uses: AtomicUsize,
    torn_reads: AtomicUsize,
    cli_redeemed: AtomicUsize,
    cli_came_late: AtomicUsize,
    cli_dropped_tokens: AtomicUsize,
    cli_signed_out: AtomicUsize,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Uses the login at random moments, as requests do.
async fn daemon(store: Store, service: SignInService, tally: Arc<Tally>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let login = store.login().await.expect("signed in");
        // It may end on the way; then the next one is good.
        if !service.accepts(login.access_token.expose_secret()) {
            let login = store.on_unauthorized(&login).await.expect("signed in");
            assert!(service.accepts(login.access_token.expose_secret()));
        }
        count(&tally.uses);
        sleep(Duration::from_millis(random(60))).await;
    }
}

fn lives(file: &Value) -> bool {
    let end = Claims::of(file["tokens"]["access_token"].as_str().unwrap()).unwrap().expires_at;
    end.unwrap() > jiff::Timestamp::now().as_second()
}

/// What the Codex CLI does (seen with 0.171): it redeems without a lock, then takes `auth.lock` and
/// `auth.json.lock`, for which it waits up to 5 s before it drops the new tokens, reads the file
/// again, merges, and replaces it. One that was refused reads the file again.
async fn codex_cli(
    home: Arc<Home>,
    service: SignInService,
    base: String,
    tally: Arc<Tally>,
    over: Arc<AtomicBool>,
) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let lock_file = |name: &str| {
        let path = home.path().join(name);
        std::fs::File::options().create(true).truncate(false).write(true).open(path).unwrap()
    };
    let read = || {
        let content = std::fs::read(home.file()).unwrap();
        serde_json::from_slice::<Value>(&content).ok().or_else(|| {
            count(&tally.torn_reads);
            None
        })
    };
    while !over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(100 + random(1500))).await;
        let Some(mut file) = read() else { continue };
        // Half of the time when everybody else does too.
        let waits = random(2) == 0;
        while waits && lives(&file) {
            sleep(Duration::from_millis(20)).await;
            let Some(newer) = read() else { continue };
            file = newer;
        }
        let body = json!({
            "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
            "grant_type": "refresh_token",
            "refresh_token": file["tokens"]["refresh_token"],
        });
        let answer = http.post(format!("{base}/oauth/token")).json(&body).send().await.unwrap();
        if !answer.status().is_success() {
            let refusal: Value = answer.json().await.unwrap();
            assert_eq!(refusal["error"]["code"], "refresh_token_reused");
            count(&tally.cli_came_late);
            // It adopts the set of another program if that is there within a moment.
            let spent = file["tokens"]["refresh_token"].as_str().unwrap().to_owned();
            let start = std::time::Instant::now();
            while read().is_none_or(|file| file["tokens"]["refresh_token"] == *spent) {
                if start.elapsed() > Duration::from_secs(5) {
                    count(&tally.cli_signed_out);
                    break;
                }
                sleep(Duration::from_millis(10)).await;
            }
            continue;
        }
        let tokens: Value = answer.json().await.unwrap();
        let (first, second) = (lock_file("auth.lock"), lock_file("auth.json.lock"));
        let first = tokio::task::spawn_blocking(move || first.lock().map(|()| first));
        let first = first.await.unwrap().unwrap();
        let start = std::time::Instant::now();
        while second.try_lock().is_err() {
            if start.elapsed() > Duration::from_secs(5) {
                count(&tally.cli_dropped_tokens);
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(random(10))).await;
        let Some(mut file) = read() else { panic!("the file is torn before it is merged") };
        for name in ["id_token", "access_token", "refresh_token"] {
            file["tokens"][name] = tokens[name].clone();
        }
        file["last_refresh"] = jiff::Timestamp::now().to_string().into();
        let text = serde_json::to_string_pretty(&file).unwrap();
        let temporary = home.path().join(format!(".auth-{:06}", random(1_000_000)));
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(&temporary, home.file()).unwrap();
        drop((first, second));
        let token = tokens["refresh_token"].as_str().unwrap();
        if service.is_redeemable(token) {
            count(&tally.cli_redeemed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_out_by_sharing() {
    let seconds = number("CODEX_PROXY_TEST_SHARING_SECS", 8);
    let service = Service::start().await;
    service.handle.set_token_life(Duration::from_secs(2));
    service.handle.set_delay(Duration::from_millis(30));
    let home = Arc::new(signed_in(&service.handle.sign_in(&account())));
    let (tally, over) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let store = service.store(&home);
        users.spawn(daemon(store, service.handle.clone(), Arc::clone(&tally), Arc::clone(&over)));
    }
    users.spawn(codex_cli(
        Arc::clone(&home),
        service.handle.clone(),
        service.base.clone(),
        Arc::clone(&tally),
        Arc::clone(&over),
    ));
    sleep(Duration::from_secs(seconds)).await;
    over.store(true, Ordering::Relaxed);
    while let Some(user) = users.join_next().await {
        user.unwrap();
    }
    let reused = service.handle.calls().iter().filter(|call| call.status != 200).count();
    eprintln!(
        "{seconds} s: {tally:?}, {} redemptions, {reused} came late",
        service.handle.redemptions()
    );
    for never in [&tally.torn_reads, &tally.cli_dropped_tokens, &tally.cli_signed_out] {
        assert_eq!(never.load(Ordering::Relaxed), 0, "{tally:?}");
    }
    assert!(tally.uses.load(Ordering::Relaxed) > 10);
    assert!(service.handle.redemptions() > 1);
    let token = home.read()["tokens"]["refresh_token"].as_str().unwrap().to_owned();
    assert!(service.handle.is_redeemable(&token));
    assert_eq!(home.read()["alpha"], "kept");
}

/// Readers without patience see the old file or the new one.
#[tokio::test(flavor = "multi_thread")]
async fn no_reader_sees_half_a_file() {
    let service = Service::start().await;
    service.handle.set_token_life(Duration::ZERO);
    let home = Arc::new(signed_in(&service.handle.sign_in(&account())));
    let over = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (home, over) = (Arc::clone(&home), Arc::clone(&over));
        move || {
            let mut reads = 0;
            while !over.load(Ordering::Relaxed) {
                home.read();
                reads += 1;
            }
            reads
        }
    });
    let store = service.store(&home);
    let mut login = store.login().await.unwrap();
    for _ in 1..200 {
        login = store.on_unauthorized(&login).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let reads: usize = reader.join().unwrap();
    eprintln!("{reads} reads during 200 renewals");
    assert_eq!(service.handle.redemptions(), 200);
    assert!(reads > 200);
}
