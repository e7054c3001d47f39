//! The program as it is installed: a process of its own, with its log.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use serde_json::json;

use super::daemon::FAKE_TOKEN;

/// What the made-up login holds beside [`FAKE_TOKEN`]: nothing of it may ever be seen elsewhere.
pub const FAKE_REFRESH_TOKEN: &str = "fake-refresh-canary";
pub const FAKE_ACCOUNT: &str = "account-canary";

/// What is asked.
pub const PROMPT: &str = "canary-prompt-4711";

pub struct Program {
    child: Child,
    pub url: String,
    log: Arc<Mutex<String>>,
    /// Reads the log as it comes: a pipe that is full would stop the program.
    listener: Option<JoinHandle<()>>,
    _home: tempfile::TempDir,
}

impl Program {
    /// Starts it in front of the backend.
    pub fn start(base_url: &str, arguments: &[&str], rust_log: Option<&str>) -> Self {
        let variable = rust_log.map(|filter| ("RUST_LOG", filter));
        Self::with_variables(base_url, arguments, variable.as_slice())
    }

    /// The same, with nothing in its environment but what it needs and `variables`.
    pub fn with_variables(base_url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let auth = json!({"tokens": {"access_token": FAKE_TOKEN, "id_token": "",
            "refresh_token": FAKE_REFRESH_TOKEN, "account_id": FAKE_ACCOUNT}});
        std::fs::write(home.path().join("auth.json"), auth.to_string()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_codex-proxy"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .env("CODEX_HOME", home.path())
            .env("CODEX_PROXY_UPSTREAM_BASE_URL", base_url)
            // Nothing listens there: no test may ever ask the real sign-in service.
            .env("CODEX_PROXY_AUTH_ISSUER", "http://127.0.0.1:1")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (tell, told) = mpsc::channel();
        let noted = Arc::clone(&log);
        let listener = std::thread::spawn(move || {
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).into_owned();
                noted.lock().unwrap().push_str(&text);
                let url = text.find("http://127.0.0.1:").map(|at| &text[at..]);
                if let Some((url, _)) = url.and_then(|url| url.split_once("/v1")) {
                    let _ = tell.send(url.to_owned());
                }
                line.clear();
            }
        });
        let url = told.recv().unwrap_or_else(|_| panic!("ended early: {}", log.lock().unwrap()));
        Self { child, url, log, listener: Some(listener), _home: home }
    }

    /// Asks [`PROMPT`], and gives the whole body of the answer.
    #[allow(dead_code)]
    pub async fn ask(&self, is_streamed: bool) -> String {
        let body = json!({"model": "gpt-5.5", "stream": is_streamed,
            "messages": [{"role": "user", "content": PROMPT}]});
        let request = reqwest::Client::new().post(self.chat()).bearer_auth("client-key-canary");
        request.body(body.to_string()).send().await.unwrap().text().await.unwrap()
    }

    pub fn chat(&self) -> String {
        format!("{}/v1/chat/completions", self.url)
    }

    /// The most memory that the program has had at once, in bytes.
    #[cfg(target_os = "linux")]
    #[allow(dead_code)]
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Ends the program and gives all it has said.
    pub fn stop(mut self) -> String {
        self.end();
        std::mem::take(&mut self.log.lock().unwrap())
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Drop for Program {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        self.end();
    }
}
