//! The daemon in a process of its own: this very executable, run again in another role.
//!
//! It reads its settings from a file and is put together as the program does it. On standard input
//! it is asked for what only the process itself can tell.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use codex_proxy::config::{self, Config, Listen};
use codex_proxy::credentials::{Issuer, Location, Store};
use codex_proxy::server::{self, Account, App, Limits, raise_descriptor_limit};
use codex_proxy::telemetry;
use codex_proxy::upstream::{Client, http_client};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::figures::{self, Figures};
use crate::mark::CANARY;
use crate::sign_in::SignIn;
use crate::support::secrets;
use crate::upstream::Upstream;

/// The settings file of the daemon: whoever has this variable is one.
const SETTINGS: &str = "CODEX_PROXY_TEST_LOAD_SETTINGS";

/// A library that the daemon is to be started with: a profiler, or another allocator.
const PRELOAD: &str = "CODEX_PROXY_TEST_PRELOAD";

/// What stands before each of its answers: the test harness writes to standard output too.
const ANSWER: &str = "load: ";

/// Not a test but the process under load.
#[test]
fn child() {
    let Ok(settings) = std::env::var(SETTINGS) else { return };
    let (config, _) = config::load(Some(settings.as_ref()), config::Flags::default()).unwrap();
    telemetry::init(config.log.format).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    // A thread, which is no task itself.
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            println!("{ANSWER}{}", handle.metrics().num_alive_tasks());
        }
        std::process::exit(0);
    });
    runtime.block_on(serve(config));
}

/// Serves as the program does, but on one thread, so that all tasks can be counted.
async fn serve(config: Config) {
    let Listen::Tcp(address) = config.server.listen else { panic!("not over TCP") };
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let http = http_client(&config.upstream, &config.auth.issuer).unwrap();
    let named = (&config.upstream.originator, &config.upstream.user_agent);
    let issuer = Issuer::new(http, &config.auth.issuer, named.0, named.1);
    let store = Arc::new(Store::new(Location::of(&config.auth), issuer));
    let client = Client::new(&config.upstream, store.clone()).unwrap();
    let limits = Limits { connections: config.server.max_connections, ..Limits::default() };
    raise_descriptor_limit(limits.connections);
    let app = App::new(config, client, Account::SignedIn(store)).unwrap();
    println!("{ANSWER}{address}");
    server::serve(listener, app.router(), limits, std::future::pending()).await;
}

/// The process, seen from outside.
pub(crate) struct Daemon {
    /// The base of its API.
    pub(crate) url: String,
    child: Child,
    /// Nothing once it is to end.
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    log: Arc<Mutex<Log>>,
    _home: TempDir,
}

/// What the daemon has said on standard error.
#[derive(Default)]
struct Log {
    last: VecDeque<String>,
    alarming: Vec<String>,
}

impl Daemon {
    /// A daemon in front of these services, with more settings as TOML: those of `[upstream]`
    /// first, then other tables.
    pub(crate) fn start(upstream: &Upstream, sign_in: &SignIn, settings: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("auth.json"), sign_in.document()).unwrap();
        let file = home.path().join("settings.toml");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 20000\n\
             [auth]\nissuer = \"{}\"\ncodex_home = \"{}\"\n\
             [upstream]\nbase_url = \"{}\"\nmax_in_flight = 20000\nmax_queued = 20000\n{settings}",
            sign_in.base,
            home.path().display(),
            upstream.base,
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        if let Some(library) = std::env::var_os(PRELOAD) {
            command.env("LD_PRELOAD", library);
        }
        let mut child = command
            .args(["--exact", "daemon::child", "--nocapture"])
            .env(SETTINGS, &file)
            // Free memory goes back to the system after one second instead of ten, so that nobody
            // has to wait for it here.
            .env("_RJEM_MALLOC_CONF", "dirty_decay_ms:1000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().unwrap().note(line);
            }
        });
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut daemon = Self { url: String::new(), child, questions, answers, log, _home: home };
        daemon.url = format!("http://{}/v1", daemon.answer());
        daemon
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process uses up now.
    pub(crate) fn figures(&mut self) -> Figures {
        self.questions.as_mut().unwrap().write_all(b"tasks\n").unwrap();
        let tasks = self.answer().parse().unwrap();
        Figures::of(self.pid(), tasks)
    }

    /// The figures at rest: nobody asks any more, what was kept open for others is closed, and
    /// what the daemon holds has come down to `expected`, or does not change any more.
    pub(crate) async fn at_rest(
        &mut self,
        upstream: &Upstream,
        sign_in: &SignIn,
        expected: Option<Figures>,
    ) -> Figures {
        const PATIENCE: Duration = Duration::from_secs(15);
        // Free memory goes back to the system within a second.
        const CALM: u32 = 40;

        let start = Instant::now();
        let mut last = self.figures();
        let mut calm = 0;
        loop {
            // Again and again: what was still in use a moment ago is idle now.
            upstream.hang_up();
            sign_in.hang_up();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.figures();
            calm = if now.held() == last.held() { calm + 1 } else { 0 };
            last = now;
            let is_down = expected.is_none_or(|expected| now.open() == expected.open());
            if calm >= CALM && is_down || start.elapsed() > PATIENCE {
                return now;
            }
        }
    }

    /// What the daemon has said that it should not have to say.
    pub(crate) fn alarms(&self) -> Vec<String> {
        self.log.lock().unwrap().alarming.clone()
    }

    /// The last lines of the log, and what is open: for messages.
    pub(crate) fn details(&self) -> String {
        let log = self.log.lock().unwrap();
        let lines: String = log.last.iter().map(|line| format!("\n  {line}")).collect();
        format!("open:{}\nlog:{lines}", figures::descriptors(self.pid()))
    }

    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the daemon has ended: {:?}", self.log.lock().unwrap().last);
            // The harness's own words may stand on the same line.
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim().to_owned();
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The end of its input ends the daemon, and lets a profiler write what it has.
        self.questions.take();
        for _ in 0..20 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn note(&mut self, line: String) {
        const KEPT: usize = 10;

        // No log may hold content or tokens.
        let is_secret = line.contains(CANARY) || secrets::find(&line).is_some();
        if is_secret || line.contains("panicked") || line.contains("ERROR") {
            self.alarming.push(line.clone());
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}
