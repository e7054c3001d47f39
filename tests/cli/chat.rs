//! `codex-proxy chat`

use std::io::Read as _;
use std::process::Stdio;

use crate::support::home::Home;
use crate::support::net::free_address;

#[test]
fn an_answer_goes_to_standard_output_and_nothing_else_does() {
    let home = Home::new();
    let daemon = home.simulating();
    let at = ["--listen", &daemon.address];
    let chat = |arguments: &[&str]| home.run(&[&["chat"], &at[..], arguments].concat());
    let ended = chat(&["Hello!"]);
    assert_eq!(ended.out, "This is a simulated answer to: Hello!\n");
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    chat(&["--model", "gpt-5.5", "-e", "high", "-s", "Be brief.", "Hi"]).with(0, "answer to: Hi");
    // Thoughts are for those who look on.
    let ended = chat(&["--reasoning", "Hello!"]);
    assert_eq!(ended.err, "");
    chat(&["Say [[simulate: refusal \"I will not.\"]]"]).with(0, "I will not.\n");
    let ended = chat(&["Say [[simulate: text \"a b c d\"]] [[simulate: length after=1]]"]);
    ended.with(0, "");
    assert!(ended.err.contains("the answer ends here: length"), "{}", ended.err);
}

#[test]
fn questions_are_read_where_there_are_none_or_a_dash() {
    let home = Home::new();
    let daemon = home.simulating();
    let chat = |arguments: &[&str], input: &str| {
        home.run_with(&[&["chat", "--listen", &daemon.address], arguments].concat(), input)
    };
    chat(&[], "From a pipe\n").with(0, "answer to: From a pipe\n");
    chat(&["-"], "From a dash\n").with(0, "answer to: From a dash\n");
    let ended = chat(&["Before:", "-"], "[[simulate: text \"both\"]]");
    assert_eq!(ended.out, "both\n");
    // What is not asked for is not read.
    chat(&["Only this"], "and not that").with(0, "answer to: Only this\n");
    chat(&[], " \n").with(64, "the question is empty");
}

#[test]
fn failures_end_by_their_kind() {
    let home = Home::new();
    let daemon = home.simulating();
    let chat = |arguments: &[&str]| {
        home.run(&[&["chat", "--listen", &daemon.address], arguments].concat())
    };
    chat(&["--model", "gpt-9", "Hi"]).with(64, "The model 'gpt-9' does not exist");
    chat(&["--effort", "huge", "Hi"]).with(64, "Supported values are");
    chat(&["Hi [[simulate: error 429 usage_limit_reached]]"]).with(69, "usage limit");
    chat(&["Hi [[simulate: error 401]]"]).with(77, "codex-proxy login");
    let ended = chat(&["Hi [[simulate: text \"one two\"]] [[simulate: cut after=1]]"]);
    ended.with(69, "codex-proxy: ");
    assert!(ended.out.ends_with('\n'), "the line that was begun is ended: {:?}", ended.out);
    let address = free_address();
    home.run(&["chat", "--listen", &address, "Hi"]).with(69, "no daemon answers");
}

#[cfg(unix)]
#[test]
fn whoever_leaves_ends_the_call() {
    use rustix::process::{Pid, Signal, kill_process};

    for by_signal in [true, false] {
        let home = Home::new();
        let daemon = home.simulating();
        let prompt =
            "Hi [[simulate: deltas 100000]] [[simulate: pace 5]] [[simulate: no-reasoning]]";
        let mut command = home.command(&["chat", "--listen", &daemon.address, prompt]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 1]).unwrap();
        if by_signal {
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        }
        drop(out);
        let status = child.wait().unwrap();
        let expected = if by_signal { None } else { Some(0) };
        assert_eq!(status.code(), expected);
        daemon.wait_for("cancelled");
    }
}
