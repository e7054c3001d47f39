//! A home of its own, and programs that run beside the one that is tested.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing of the made-up login may show anywhere.
pub const SECRETS: [&str; 2] = ["fake-access-token-canary", "fake-refresh-canary"];
/// A key that the settings take.
pub const KEY: &str = "kx3-09Zqv_T1bWm4RsYd7A";
/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A home, and the settings of all programs that run in it.
pub struct World {
    pub home: TempDir,
    variables: Vec<(String, String)>,
}

/// How a program has ended.
pub struct Ended {
    /// Nothing if a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl World {
    /// A home where nobody is signed in, without proxies and colours, from where nobody asks the
    /// real services.
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap().to_owned();
        let variables = [
            ("HOME", path.as_str()),
            ("CODEX_HOME", path.as_str()),
            ("XDG_CONFIG_HOME", path.as_str()),
            ("XDG_DATA_HOME", path.as_str()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("CODEX_PROXY_UPSTREAM_BASE_URL", "http://127.0.0.1:1"),
            ("CODEX_PROXY_AUTH_ISSUER", "http://127.0.0.1:1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { variables: variables.to_vec(), home }
    }

    /// With a variable for all programs from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(set, _)| set != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// With the backend at this address.
    pub fn backend(&mut self, base: &str) {
        self.set("CODEX_PROXY_UPSTREAM_BASE_URL", base);
    }

    /// With a made-up login of a plan.
    pub fn sign_in(&self) {
        let file = self.home.path().join("auth.json");
        let auth = json!({"tokens": {"access_token": SECRETS[0], "id_token": "",
            "refresh_token": SECRETS[1], "account_id": "account-1"}});
        std::fs::write(&file, auth.to_string()).unwrap();
        #[cfg(unix)]
        set_mode(&file, 0o600);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.command(arguments).output().unwrap())
    }

    /// The same with something to read.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ended::of(&child.wait_with_output().unwrap())
    }

    /// A daemon on a free port.
    pub fn daemon(&self, arguments: &[&str]) -> Running {
        let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
        Running::start(self.command(&arguments), "codex-proxy is listening", "address=")
    }

    /// A daemon with a made-up backend.
    pub fn simulating(&self) -> Running {
        self.daemon(&["serve", "--simulate"])
    }

    /// The made-up backend alone, which is this world's from now on.
    pub fn simulated_backend(&mut self) -> Running {
        let command = self.command(&["simulate", "--listen", "127.0.0.1:0"]);
        let running = Running::start(command, "simulated Codex backend is listening", "address=");
        self.backend(&format!("http://{}/backend-api/codex", running.address));
        running
    }
}

impl Ended {
    fn of(output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let ended = Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        for secret in SECRETS.iter().chain([&KEY]) {
            assert!(!ended.err.contains(secret), "{}", ended.err);
        }
        ended
    }

    /// Fails unless it ended so, and said so where such things are said.
    #[track_caller]
    pub fn with(&self, code: i32, told: &str) -> &Self {
        let text = if code == 0 { &self.out } else { &self.err };
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        assert!(text.contains(told), "{told:?} is not in:\n{text}");
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A program that runs until this is dropped.
pub struct Running {
    child: Child,
    pub address: String,
    pub log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Running {
    /// Waits for a line of the log, and takes the address behind `mark` from it.
    pub fn start(mut command: Command, line: &str, mark: &str) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            let read = stderr.read_line(&mut said).unwrap();
            assert!(read > 0, "it has ended:\n{said}");
            let new = &said[before..];
            if new.contains(line) {
                let at = new.find(mark).unwrap() + mark.len();
                break new[at..].split_whitespace().next().unwrap().to_owned();
            }
        };
        let log = Arc::new(Mutex::new(said));
        let written = Arc::clone(&log);
        // A pipe that nobody reads would stop the program.
        let reading = std::thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|count| count > 0) {
                written.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        Self { child, address, log, reading: Some(reading) }
    }

    /// Waits until the log says this.
    pub fn wait_for(&self, text: &str) {
        until(
            || self.log.lock().unwrap().contains(text),
            || format!("{text:?} is not in:\n{}", self.log.lock().unwrap()),
        );
    }

    /// Asks it to end, and gives its exit code; nothing if it had to be killed.
    #[cfg(unix)]
    pub fn terminate(mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let mut code = None;
        until(
            || {
                code = self.child.try_wait().unwrap();
                code.is_some()
            },
            || "it does not end".to_owned(),
        );
        code.and_then(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}

/// Waits until something is so, which nobody tells.
pub fn until(mut is_so: impl FnMut() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An address that nobody listens on for the moment.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Something that takes every connection, waits for a request, and says this.
pub fn saying(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = BufReader::new(&stream);
                let mut line = String::new();
                while head.read_line(&mut line).is_ok_and(|count| count > 2) {
                    line.clear();
                }
                let _ = (&stream).write_all(answer.as_bytes());
            });
        }
    });
    address
}

#[cfg(unix)]
pub fn set_mode(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}
