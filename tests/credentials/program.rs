//! The program as a process, with every log line it can write.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use crate::common::Home;

/// What no output may hold: how the simulated service's secrets begin, and every JWT.
const SECRETS: [&str; 6] = [
    "rt_simulated",
    "ac_simulated",
    "sk-simulated",
    "verifier_simulated",
    "deviceauth_simulated",
    "eyJ",
];

/// Fails if a text holds a secret.
pub(crate) fn assert_clean(text: &str) {
    for secret in SECRETS {
        if let Some(at) = text.find(secret) {
            let line = text[..at].matches('\n').count();
            panic!("{secret} shows in line {line} of:\n{text}");
        }
    }
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Fails unless the program ended so and said so, without the noise that was asked for.
    #[track_caller]
    pub(crate) fn with(&self, code: i32, told: &str) {
        let last = self.err.lines().last().unwrap_or_default();
        assert_eq!(self.code, code, "{}\n{last}", self.out);
        if code == 0 {
            assert!(self.out.contains(told), "{told:?} is not in {}", self.out);
        } else {
            assert!(last.starts_with("codex-proxy: "), "{last}");
            assert!(last.contains(told), "{told:?} is not in {last}");
        }
    }
}

pub(crate) fn command(home: &Home, issuer: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .env("XDG_DATA_HOME", home.path().join("data"))
        .env("CODEX_HOME", home.path())
        .env("CODEX_PROXY_AUTH_ISSUER", issuer)
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(home: &Home, issuer: &str, arguments: &[&str]) -> Ended {
    Program::start(home, issuer, arguments).end()
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    said: String,
    err: std::thread::JoinHandle<String>,
}

impl Program {
    pub(crate) fn start(home: &Home, issuer: &str, arguments: &[&str]) -> Self {
        Self::of(command(home, issuer, arguments))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut err = child.stderr.take().unwrap();
        let err = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, out, said: String::new(), err }
    }

    /// Gives the program something to read.
    pub(crate) fn with_input(mut command: Command, input: &str) -> Ended {
        command.stdin(Stdio::piped());
        let mut program = Self::of(command);
        program.child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        program.end()
    }

    /// The next line that satisfies `wanted`, without the spaces around it.
    pub(crate) fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "no such line:\n{}", self.said);
            self.said.push_str(&line);
            if wanted(line.trim()) {
                return line.trim().to_owned();
            }
        }
    }

    pub(crate) fn end(mut self) -> Ended {
        self.out.read_to_string(&mut self.said).unwrap();
        let code = self.child.wait().unwrap().code().unwrap();
        let err = self.err.join().unwrap();
        assert_clean(&self.said);
        assert_clean(&err);
        Ended { code, out: self.said, err }
    }
}
