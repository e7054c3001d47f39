//! The program as it is installed: a process of its own, with what it prints and logs.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::home::Home;
use super::secrets::{FAKE_ACCOUNT, KEY, assert_clean};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_codex-proxy");

/// How long anything may take that the program is to do at once.
const AT_MOST: Duration = Duration::from_secs(30);

/// How a program has ended.
#[derive(Debug)]
pub struct Ended {
    /// Nothing if a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self::new(output.status, text(&output.stdout), text(&output.stderr))
    }

    /// Runs a command with something on its standard input.
    pub fn with_input(mut command: Command, input: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Self::of(&child.wait_with_output().unwrap())
    }

    fn new(status: ExitStatus, out: String, err: String) -> Self {
        assert_clean(&out);
        assert_clean(&err);
        assert!(!err.contains(KEY), "{err}");
        Self { code: status.code(), out, err }
    }

    /// Fails unless it ended so, and said so: on standard output if all went well, on standard
    /// error otherwise.
    #[track_caller]
    pub fn with(&self, code: i32, told: &str) -> &Self {
        let text = if code == 0 { &self.out } else { &self.err };
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        assert!(text.contains(told), "{told:?} is not in:\n{text}");
        self
    }

    /// The same where standard error has a log as well: an error is in its last line.
    #[track_caller]
    pub fn with_last(&self, code: i32, told: &str) {
        let last = self.err.lines().last().unwrap_or_default();
        assert_eq!(self.code, Some(code), "{}\n{last}", self.out);
        if code == 0 {
            assert!(self.out.contains(told), "{told:?} is not in {}", self.out);
        } else {
            assert!(last.starts_with("codex-proxy: "), "{last}");
            assert!(last.contains(told), "{told:?} is not in {last}");
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// What comes out of a pipe, line by line. It is read all the time: a pipe that is full would stop
/// the program.
struct Lines {
    text: Arc<(Mutex<String>, Condvar)>,
    reading: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let written = Arc::clone(&text);
        let reading = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                written.0.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                written.1.notify_all();
                line.clear();
            }
        });
        Self { text, reading: Some(reading) }
    }

    fn text(&self) -> String {
        self.text.0.lock().unwrap().clone()
    }

    /// Waits until something is found.
    fn wait<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + AT_MOST;
        let (text, grown) = &*self.text;
        let mut text = text.lock().unwrap();
        loop {
            if let Some(found) = find(&text) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let has_ended = self.reading.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(!left.is_zero() && !has_ended, "{what} is not in:\n{text}");
            // The end of the pipe is not announced.
            text = grown.wait_timeout(text, left.min(Duration::from_millis(50))).unwrap().0;
        }
    }

    /// Waits for the end of the pipe.
    fn rest(&mut self) -> String {
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
        self.text()
    }
}

/// A running program. It ends when this is dropped.
pub struct Program {
    child: Child,
    out: Lines,
    /// How much of `out` was asked for.
    read: usize,
    log: Lines,
    pub home: Home,
    /// Where it listens, once [`listening`](Self::listening) has waited for that.
    pub address: String,
}

impl Program {
    /// Signed in with a made-up login, in front of the backend, and listening.
    pub fn start(base_url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut home = Home::new();
        home.sign_in_renewable(FAKE_ACCOUNT);
        home.set_backend(base_url);
        home.set_all(variables);
        let program = home.start(&[&["--listen", "127.0.0.1:0"], arguments].concat());
        program.url();
        program
    }

    /// The simulating daemon on a free port.
    pub fn simulating(variables: &[(&str, &str)]) -> Self {
        Self::with(&["serve", "--simulate", "--listen", "127.0.0.1:0"], variables)
    }

    /// In a home of its own where nobody is signed in.
    pub fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut home = Home::new();
        home.set_all(variables);
        home.start(arguments)
    }

    /// What ends up as the program.
    pub fn of(mut command: Command, home: Home) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = Lines::of(child.stdout.take().unwrap());
        let log = Lines::of(child.stderr.take().unwrap());
        Self { child, out, read: 0, log, home, address: String::new() }
    }

    /// Waits until it listens.
    pub fn listening(mut self) -> Self {
        self.address = self.log.wait("\"is listening\"", |log| {
            let mut lines = log.lines().filter(|line| line.contains(" is listening"));
            let (_, address) = lines.find_map(|line| line.split_once("address="))?;
            address.split_whitespace().next().map(str::to_owned)
        });
        self
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits until the log says this, and gives the log.
    pub fn wait_for(&self, text: &str) -> String {
        self.log.wait(&format!("{text:?}"), |log| log.contains(text).then(|| log.to_owned()))
    }

    /// The next line on standard output that satisfies `wanted`, without the spaces around it.
    pub fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let read = self.read;
        let (line, read) = self.out.wait("such a line", |out| {
            let mut end = read;
            out[read..].split_inclusive('\n').find_map(|line| {
                end += line.len();
                wanted(line.trim()).then(|| (line.trim().to_owned(), end))
            })
        });
        self.read = read;
        line
    }

    /// Waits until it listens, and gives its address.
    pub fn url(&self) -> String {
        let log = self.wait_for("set your client to base_url");
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

    /// Asks it to end, and gives its exit code; nothing if a signal ended it.
    #[cfg(unix)]
    pub fn terminate(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.ended(AT_MOST).0.code()
    }

    /// Waits for the end, which has to come within `limit`, and gives the log.
    pub fn ended(&mut self, limit: Duration) -> (ExitStatus, String) {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, self.stopped())
    }

    /// Waits for the end, and gives all that it has printed.
    pub fn end(mut self) -> Ended {
        let (status, err) = self.ended(AT_MOST);
        Ended::new(status, self.out.rest(), err)
    }

    /// The most memory that the program has had at once, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Ends the program and gives its log.
    pub fn stop(mut self) -> String {
        self.kill();
        self.stopped()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn stopped(&mut self) -> String {
        let log = self.log.rest();
        assert_clean(&log);
        log
    }
}

impl Drop for Program {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something is so, which nobody tells.
pub fn until(mut is_so: impl FnMut() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + AT_MOST;
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(10));
    }
}
