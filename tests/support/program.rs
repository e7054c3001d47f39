//! The program as it is installed: a process of its own, with its log.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::secrets::{FAKE_ACCOUNT, FAKE_REFRESH_TOKEN, FAKE_TOKEN};

/// How long anything may take that the program is to do at once.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Program {
    child: Child,
    log: Arc<(Mutex<String>, Condvar)>,
    /// Reads the log as it comes: a pipe that is full would stop the program.
    reading: Option<JoinHandle<()>>,
    pub home: TempDir,
}

impl Program {
    /// Signed in with a made-up login, in front of the backend, and listening.
    pub fn start(base_url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let auth = json!({"tokens": {"access_token": FAKE_TOKEN, "id_token": "",
            "refresh_token": FAKE_REFRESH_TOKEN, "account_id": FAKE_ACCOUNT}});
        std::fs::write(home.path().join("auth.json"), auth.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let ours = [
            ("CODEX_PROXY_UPSTREAM_BASE_URL", base_url),
            // Nothing listens there: no test may ever ask the real sign-in service.
            ("CODEX_PROXY_AUTH_ISSUER", "http://127.0.0.1:1"),
        ];
        let program = Self::launch(command, &[&ours, variables].concat(), home);
        program.url();
        program
    }

    /// The simulating daemon on a free port.
    pub fn simulating(variables: &[(&str, &str)]) -> Self {
        Self::with(&["serve", "--simulate", "--listen", "127.0.0.1:0"], variables)
    }

    pub fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(arguments);
        Self::of(command, variables)
    }

    /// What ends up as the program, in a home of its own where nobody is signed in.
    pub fn of(command: Command, variables: &[(&str, &str)]) -> Self {
        Self::launch(command, variables, tempfile::tempdir().unwrap())
    }

    /// With nothing in its environment but what it needs and `variables`.
    fn launch(mut command: Command, variables: &[(&str, &str)], home: TempDir) -> Self {
        let mut child = command
            .env_clear()
            .env("HOME", home.path())
            .env("CODEX_HOME", home.path())
            .envs(variables.iter().copied())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let written = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                written.0.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
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
        let log = self.wait_for("tell your client base_url");
        let at = log.find("http://127.0.0.1:").unwrap();
        log[at..at + log[at..].find("/v1").unwrap()].to_owned()
    }

    pub fn chat(&self) -> String {
        format!("{}/v1/chat/completions", self.url())
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)
            .unwrap();
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
        (status, self.stopped())
    }

    /// The most memory that the program has had at once, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Ends the program and gives all it has said.
    pub fn stop(mut self) -> String {
        self.stopped()
    }

    fn stopped(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
        std::mem::take(&mut self.log.0.lock().unwrap())
    }
}

impl Drop for Program {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        self.stopped();
    }
}
