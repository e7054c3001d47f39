//! The processes, and what the system says that they used.

use std::io::{BufRead, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::{ROLE, upstream};

/// What is measured: both floors, and the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxy {
    Hyper,
    Axum,
    Daemon,
}

impl Proxy {
    pub(crate) const ALL: [Self; 3] = [Self::Hyper, Self::Axum, Self::Daemon];
}

/// This very executable in another role.
pub(crate) fn role(role: &str, arguments: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The next line of what a process says.
pub(crate) fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert_ne!(output.read_line(&mut line).unwrap(), 0, "a process has ended");
    line.trim().to_owned()
}

/// One of the three, running.
pub(crate) struct Program {
    pub(crate) proxy: Proxy,
    pub(crate) address: SocketAddr,
    /// From its start until it listened.
    pub(crate) started: Duration,
    child: Child,
    _home: TempDir,
}

impl Program {
    pub(crate) fn start(proxy: Proxy, upstream: &upstream::Handle) -> Self {
        let home = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let roots = upstream.roots.to_str().unwrap();
        let (mut child, address) = match proxy {
            Proxy::Hyper => floor("hyper", &upstream.base, roots),
            Proxy::Axum => floor("axum", &upstream.base, roots),
            Proxy::Daemon => daemon(&upstream.base, Path::new(roots), home.path()),
        };
        let started = begin.elapsed();
        assert!(child.try_wait().unwrap().is_none());
        Self { proxy, address, started, child, _home: home }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has used up so far.
    pub(crate) fn figures(&self) -> Figures {
        Figures::of(self.pid())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn floor(name: &str, base: &str, roots: &str) -> (Child, SocketAddr) {
    let mut child = role(name, &[base, roots]);
    let address = line(&mut BufReader::new(child.stdout.take().unwrap()));
    (child, address.parse().unwrap())
}

/// The program as it is installed, with a login that is good for a while.
fn daemon(base: &str, roots: &Path, home: &Path) -> (Child, SocketAddr) {
    use base64::Engine as _;
    let encode = |value: serde_json::Value| {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
    };
    let claims = encode(json!({"exp": 4_000_000_000_u64}));
    let token = format!("{}.{claims}.c2lnbmF0dXJl", encode(json!({"alg": "RS256"})));
    let login = json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null,
        "tokens": {"id_token": token, "access_token": token, "refresh_token": "rt",
            "account_id": "account"},
        "last_refresh": "2026-01-01T00:00:00Z"});
    std::fs::write(home.join("auth.json"), login.to_string()).unwrap();
    let settings = home.join("settings.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 4096\n\
         [auth]\ncodex_home = \"{}\"\n\
         [upstream]\nbase_url = \"{base}\"\nmax_in_flight = 4096\nmax_queued = 4096\n",
        home.display(),
    );
    std::fs::write(&settings, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
    command.arg("--config").arg(&settings).args(["--log-format", "json"]);
    if roots.exists() {
        command.env("CODEX_CA_CERTIFICATE", roots);
    }
    let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = loop {
        let line = line(&mut log);
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = entry["address"].as_str() {
            break address.parse().unwrap();
        }
    };
    // Its log has to go somewhere, or it would wait.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (child, address)
}

/// What a process has used up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Time of the processor.
    pub(crate) cpu: Duration,
    /// How often it waited, or had to make way.
    pub(crate) switches: u64,
    /// Resident memory, in bytes.
    pub(crate) rss: u64,
}

impl Figures {
    fn of(pid: u32) -> Self {
        let mut figures = Self::default();
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let task = task.unwrap().path();
            // Threads may end meanwhile. The workers of the runtime do not.
            let read = |name| std::fs::read_to_string(task.join(name)).unwrap_or_default();
            let time = read("schedstat");
            let nanos = time.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
            figures.cpu += Duration::from_nanos(nanos);
            let switches = read("status");
            figures.switches += switches
                .lines()
                .filter_map(|line| line.split_once("ctxt_switches:")?.1.trim().parse::<u64>().ok())
                .sum::<u64>();
        }
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        figures.rss = rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
        figures
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            switches: self.switches.saturating_sub(before.switches),
            rss: self.rss,
        }
    }
}

/// Whether system calls can be counted.
pub(crate) fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// System calls being counted.
pub(crate) struct Trace {
    child: Child,
    table: tempfile::NamedTempFile,
}

impl Trace {
    pub(crate) fn of(program: &Program) -> Self {
        let table = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new("strace")
            .args(["-f", "-c", "-U", "calls,name", "-o"])
            .arg(table.path())
            .args(["-p", &program.pid().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It says when it is there.
        let mut said = [0; 1];
        child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
        Self { child, table }
    }

    pub(crate) fn calls(mut self) -> u64 {
        let id = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(id).unwrap(),
            rustix::process::Signal::INT,
        )
        .unwrap();
        let _ = self.child.wait();
        let table = std::fs::read_to_string(self.table.path()).unwrap();
        let total = table.lines().rev().find(|line| line.trim_end().ends_with("total"));
        total.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}
