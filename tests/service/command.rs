//! `codex-proxy service …` as a shell sees it.

use std::path::Path;
use std::process::Command;

use crate::support::program::{Ended, PROGRAM};

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
    Ended::of(&output)
}

/// The same, which has to go well.
pub fn fine(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let ended = service(home, arguments, variables);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    ended.out
}
