//! `codex-proxy service …` as a shell sees it.

use std::path::Path;
use std::process::Command;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_codex-proxy");

#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs it in a home, with nothing else in the environment but a path and these variables.
pub fn service(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let output = Command::new(PROGRAM)
        .arg("service")
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .env("USER", "jo")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// The same, which has to go well.
pub fn fine(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let ended = service(home, arguments, variables);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    ended.out
}
