//! The Codex CLI's locks on the login: taken around reading, merging and writing, for milliseconds,
//! and never over a request.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use codex_proxy::simulator::issuer::Failure;
use secrecy::ExposeSecret as _;

use crate::common::{EXPIRED, Service, account, document, number, signed_in};
use crate::support::home::Home;

const LOCKS: [&str; 2] = ["auth.lock", "auth.json.lock"];

fn open(path: &Path) -> File {
    File::options().create(true).truncate(false).write(true).open(path).unwrap()
}

async fn with_expired_login() -> (Service, Home) {
    let service = Service::start().await;
    service.handle.set_token_life(EXPIRED);
    let home = signed_in(&service.handle.sign_in(&account()));
    service.handle.set_token_life(Duration::from_secs(3600));
    (service, home)
}

/// The time for which others hold the locks; 45 s shows that a slow disk signs nobody out.
fn held() -> Vec<Duration> {
    match number("CODEX_PROXY_TEST_LOCK_SECS", 0) {
        0 => vec![Duration::from_millis(400)],
        seconds => vec![Duration::from_secs(4), Duration::from_secs(seconds)],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_others_hold_delays_the_write_and_loses_nothing() {
    let cases = LOCKS.iter().flat_map(|name| held().into_iter().map(move |time| (name, time)));
    futures_util::future::join_all(cases.map(|(name, time)| async move {
        let (service, home) = with_expired_login().await;
        let lock = open(&home.path().join(name));
        lock.lock().unwrap();
        let released = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            lock.unlock().unwrap();
            Instant::now()
        });
        let start = Instant::now();
        let store = service.store(&home);
        let logins = futures_util::future::join_all((0..5).map(|_| store.login())).await;
        let took = start.elapsed();
        assert!(released.is_finished(), "{name}: written under somebody else's lock");
        for login in logins {
            assert!(service.handle.accepts(login.unwrap().access_token.expose_secret()), "{name}");
        }
        assert_eq!(service.handle.redemptions(), 1, "{name}");
        let token = home.read()["tokens"]["refresh_token"].as_str().unwrap().to_owned();
        assert!(service.handle.is_redeemable(&token), "{name}");
        eprintln!("{name} held for {time:?}: the login was there after {took:?}");
    }))
    .await;
}

/// Another program redeems the same token, and writes its successor under the locks while the
/// answer to this one is still on its way.
#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_others_write_under_their_locks_is_waited_for() {
    for time in held() {
        let (service, home) = with_expired_login().await;
        let home = Arc::new(home);
        service.handle.set_delay(Duration::from_millis(200));
        service.handle.fail_next(Failure::Reused);
        let new = service.handle.sign_in(&account());
        let other = tokio::spawn({
            let (home, new) = (Arc::clone(&home), new.clone());
            async move {
                let spare = home.path().join(".auth.json.new");
                while !spare.exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let locks = LOCKS.map(|name| open(&home.path().join(name)));
                for lock in &locks {
                    lock.lock().unwrap();
                }
                tokio::time::sleep(time).await;
                home.write(&document(&new, "2026-01-02T00:00:00Z"));
            }
        });
        let store = service.store(&home);
        let logins = futures_util::future::join_all((0..5).map(|_| store.login())).await;
        other.await.unwrap();
        for login in logins {
            assert_eq!(login.unwrap().access_token.expose_secret(), new.access_token);
        }
        assert_eq!(service.handle.calls().len(), 1);
        assert_eq!(home.read()["tokens"]["refresh_token"], *new.refresh_token);
    }
}

/// Watches whether a lock is held, as often as it can.
fn watch(path: PathBuf, over: Arc<AtomicBool>) -> std::thread::JoinHandle<(Duration, usize)> {
    std::thread::spawn(move || {
        let file = open(&path);
        let (mut longest, mut since, mut looks) = (Duration::ZERO, None::<Instant>, 0);
        while !over.load(Ordering::Relaxed) {
            let before = Instant::now();
            match file.try_lock() {
                Ok(()) => {
                    file.unlock().unwrap();
                    since = None;
                }
                Err(TryLockError::WouldBlock) => {
                    let since = *since.get_or_insert(before);
                    longest = longest.max(since.elapsed());
                }
                Err(TryLockError::Error(error)) => panic!("{error}"),
            }
            looks += 1;
            std::thread::sleep(Duration::from_micros(200));
        }
        (longest, looks)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_locks_are_held_for_milliseconds_however_long_the_service_takes() {
    let delay = Duration::from_millis(number("CODEX_PROXY_TEST_SERVICE_MS", 600));
    let (service, home) = with_expired_login().await;
    service.handle.set_delay(delay);
    let over = Arc::new(AtomicBool::new(false));
    let watched = LOCKS.map(|name| watch(home.path().join(name), Arc::clone(&over)));
    let start = Instant::now();
    service.store(&home).login().await.unwrap();
    assert!(start.elapsed() >= delay);
    over.store(true, Ordering::Relaxed);
    for (name, watched) in LOCKS.iter().zip(watched) {
        let (longest, looks) = watched.join().unwrap();
        eprintln!("{name}: held for at most {longest:?}, in {looks} looks over {delay:?}");
        assert!(longest < Duration::from_millis(100), "{name}: {longest:?}");
    }
    assert_eq!(service.handle.redemptions(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn lock_files_are_made_private_and_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let (service, home) = with_expired_login().await;
    service.store(&home).login().await.unwrap();
    for name in ["auth.lock", "auth.json.lock", "auth.json.codex-proxy.lock"] {
        let mode = std::fs::metadata(home.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
