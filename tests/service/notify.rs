//! What the daemon tells systemd (`Type=notify`, `WatchdogSec=`).

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::program::Program;

const PATIENCE: Duration = Duration::from_secs(20);

/// Stands in for systemd's socket.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    fn path(&self) -> String {
        self.folder.path().join("notify").to_str().unwrap().to_owned()
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("nothing was told");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// The next one that says this; only signs of life may come before.
    fn expect(&self, told: &str) -> String {
        loop {
            let message = self.next();
            if message.lines().any(|line| line == told) {
                return message;
            }
            assert_eq!(message, "WATCHDOG=1\n", "instead of {told}");
        }
    }
}

#[tokio::test]
async fn it_says_that_it_listens_lives_and_stops() {
    let manager = Manager::new();
    let path = manager.path();
    let mut program = Program::simulating(&[
        ("NOTIFY_SOCKET", &path),
        // A sign of life every 0.1 seconds.
        ("WATCHDOG_USEC", "200000"),
        ("CODEX_PROXY_SERVER_SHUTDOWN_SECS", "7"),
    ]);
    let ready = manager.expect("READY=1");
    // It listens by then, and says where.
    let url = program.url();
    let address = url.trim_start_matches("http://");
    assert!(ready.lines().any(|line| line == format!("STATUS=Listening on {address}")), "{ready}");
    assert_eq!(reqwest::get(format!("{url}/health")).await.unwrap().status(), 200);
    for _ in 0..5 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
    program.signal(Signal::TERM);
    let stopping = manager.expect("STOPPING=1");
    let extension = stopping
        .lines()
        .find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="))
        .and_then(|micros| micros.parse::<u64>().ok());
    assert!(extension.is_some_and(|micros| micros >= 9_000_000), "{stopping}");
    let (status, log) = program.ended(PATIENCE);
    assert!(status.success(), "{log}");
    assert!(log.contains("stopping") && log.trim_end().ends_with("stopped"), "{log}");
}

#[test]
fn without_a_watchdog_there_are_no_signs_of_life() {
    let manager = Manager::new();
    let path = manager.path();
    // The second watchdog is meant for another process.
    for variables in [&[][..], &[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]] {
        let variables = [&[("NOTIFY_SOCKET", path.as_str())], variables].concat();
        let mut program = Program::simulating(&variables);
        assert!(manager.next().starts_with("READY=1\n"));
        program.signal(Signal::TERM);
        assert!(manager.next().starts_with("STOPPING=1\n"));
        assert!(program.ended(PATIENCE).0.success());
    }
}

#[test]
fn a_start_that_fails_is_never_ready() {
    let manager = Manager::new();
    let path = manager.path();
    let variables = [("NOTIFY_SOCKET", path.as_str()), ("CODEX_PROXY_SERVER_LISTEN", "nowhere")];
    let mut program = Program::with(&["serve", "--simulate"], &variables);
    assert_eq!(program.ended(PATIENCE).0.code(), Some(78));
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err(), "something was told");
}

#[test]
fn nobody_to_tell_is_no_trouble() {
    let variables = [("NOTIFY_SOCKET", "/nowhere/notify"), ("WATCHDOG_USEC", "20000")];
    let mut program = Program::simulating(&variables);
    program.url();
    program.signal(Signal::TERM);
    assert!(program.ended(PATIENCE).0.success());
}
