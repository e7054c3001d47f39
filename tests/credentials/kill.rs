//! `kill -9` at any moment of a renewal.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use codex_proxy::credentials::{Location, Store};
use serde_json::Value;

use crate::common::{Service, account, issuer, number, signed_in};

const CHILD_HOME: &str = "CODEX_PROXY_TEST_CHILD_HOME";
const CHILD_ISSUER: &str = "CODEX_PROXY_TEST_CHILD_ISSUER";

/// Not a test but the process that is killed: it renews and renews.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let (Ok(home), Ok(base)) = (std::env::var(CHILD_HOME), std::env::var(CHILD_ISSUER)) else {
        return;
    };
    let store = Store::new(Location::shared(home.as_ref()), issuer(&base));
    let mut login = store.login().await.unwrap();
    loop {
        login = store.on_unauthorized(&login).await.unwrap();
    }
}

fn refresh_token(file: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(file).ok()?;
    Some(value["tokens"]["refresh_token"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_leaves_the_old_login_or_the_new_one() {
    let kills = number("CODEX_PROXY_TEST_KILLS", 30);
    let service = Service::start().await;
    service.handle.set_token_life(Duration::ZERO);
    let mut home = signed_in(&service.handle.sign_in(&account()));
    let (mut untouched, mut completed, mut lost) = (0, 0, 0);
    for _ in 0..kills {
        let before = service.handle.redemptions();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture"])
            .env(CHILD_HOME, home.path())
            .env(CHILD_ISSUER, &service.base)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while service.handle.redemptions() == before {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let moment = u64::try_from(uuid::Uuid::new_v4().as_u128() % 20_000).unwrap();
        tokio::time::sleep(Duration::from_micros(moment)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        // What the child had sent is answered by now, to nobody.
        tokio::time::sleep(Duration::from_millis(5)).await;

        let token = refresh_token(&std::fs::read(home.file()).unwrap()).expect("parseable");
        if service.handle.is_redeemable(&token) {
            untouched += 1;
            continue;
        }
        // Spent: the successor is beside it, or the kill came before anything could be written.
        let spare = std::fs::read(home.path().join(".auth.json.new")).unwrap_or_default();
        if refresh_token(&spare).is_some_and(|token| service.handle.is_redeemable(&token)) {
            service.store(&home).login().await.unwrap();
            completed += 1;
        } else {
            home = signed_in(&service.handle.sign_in(&account()));
            lost += 1;
        }
    }
    eprintln!(
        "{kills} kills: {untouched} with a good file, {completed} completed from beside it, \
         {lost} between the answer and the write"
    );
    assert!(lost * 2 < kills, "the time between the answer and the write is short: {lost}");
}

/// How long the one moment is in which a crash loses the login. On one thread, whose log is not
/// mixed with that of tests beside it.
#[tokio::test]
async fn the_moment_between_answer_and_write_is_short() {
    let service = Service::start().await;
    service.handle.set_token_life(Duration::ZERO);
    let home = signed_in(&service.handle.sign_in(&account()));
    let log = SharedLog::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let store = service.store(&home);
    let start = Instant::now();
    let mut login = store.login().await.unwrap();
    for _ in 1..200 {
        login = store.on_unauthorized(&login).await.unwrap();
    }
    let each = start.elapsed() / 200;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for (field, name) in [("noted_us", "handed to the system"), ("saved_us", "on disk")] {
        let value = |line| serde_json::from_str::<Value>(line).ok()?["fields"][field].as_u64();
        let mut micros: Vec<u64> = text.lines().filter_map(value).collect();
        micros.sort_unstable();
        assert_eq!(micros.len(), 200);
        let (median, most, worst) = (micros[100], micros[197], micros[199]);
        eprintln!(
            "from the answer until {name}: median {median} us, 99 % {most} us, worst {worst} us"
        );
        assert!(median < 250_000, "{micros:?}");
    }
    eprintln!("a whole renewal: {each:?}");
    crate::support::secrets::assert_clean(&text);
}

#[derive(Clone, Default)]
struct SharedLog(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for SharedLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for SharedLog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
