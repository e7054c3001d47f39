//! The daemon as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::PATIENCE;

pub struct Program {
    child: Child,
    log: Arc<(Mutex<String>, Condvar)>,
    reading: Option<JoinHandle<()>>,
    pub home: tempfile::TempDir,
}

impl Program {
    /// The simulating daemon on a free port.
    pub fn simulating(settings: &[(&str, &str)]) -> Self {
        Self::with(&["serve", "--simulate", "--listen", "127.0.0.1:0"], settings)
    }

    pub fn with(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(arguments);
        Self::of(command, settings)
    }

    /// What ends up as the program, in a home of its own where only `settings` are set.
    pub fn of(mut command: Command, settings: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        command
            .env_clear()
            .env("HOME", home.path())
            .env("CODEX_HOME", home.path())
            .envs(settings.iter().copied())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let written = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
                written.0.lock().unwrap().push_str(&line);
                written.1.notify_all();
                line.clear();
            }
        });
        Self { child, log, reading: Some(reading), home }
    }

    /// Waits until the log says this.
    pub fn wait_for(&self, text: &str) -> String {
        let (log, grown) = &*self.log;
        let log = log.lock().unwrap();
        let (log, waited) =
            grown.wait_timeout_while(log, PATIENCE, |log| !log.contains(text)).unwrap();
        assert!(!waited.timed_out(), "{text:?} is not in the log:\n{log}");
        log.clone()
    }

    /// Waits until it listens, and gives its address.
    pub fn url(&self) -> String {
        let log = self.wait_for("/v1\" and any API key");
        let at = log.find("http://127.0.0.1:").unwrap();
        log[at..at + log[at..].find("/v1").unwrap()].to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, which has to come within `limit`, and gives the log.
    pub fn ended(&mut self, limit: Duration) -> (ExitStatus, String) {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.log.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        };
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
        let log = self.log.0.lock().unwrap();
        (status, log.clone())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
