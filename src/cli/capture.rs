//! `codex-proxy capture`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::output;
use super::serve::runtime;
use crate::capture::{self, MAX_MINUTES, MAX_REQUESTS, Status};
use crate::config::Config;

/// What to do about it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the content of the next requests and answers to a new file
    On {
        /// The number of requests to record
        #[arg(long, value_name = "N", default_value_t = 20,
            value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_REQUESTS)))]
        requests: u32,
        /// The time limit, in minutes
        #[arg(long, value_name = "M", default_value_t = 10,
            value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_MINUTES)))]
        minutes: u32,
        /// The file, which must not exist yet [default: a new one in the system's state folder]
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
    },
    /// Stop the capture
    Off,
    /// Show whether a capture is running
    Status,
}

/// Tells the running daemon.
pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let daemon = Daemon::of(&config.server)?;
    runtime()?.block_on(async {
        let said = match &arguments.action {
            Action::On { requests, minutes, file } => {
                on(&daemon, *requests, *minutes, file.as_deref()).await?
            }
            Action::Off => match off(&daemon).await? {
                Status::Off => "capture was already off".to_owned(),
                Status::On { file, written, .. } => {
                    let requests = counted(written, "request");
                    format!("capture is off; {requests} in {}", file.display())
                }
            },
            Action::Status => text(&status(daemon.get("/v1/capture").await?)?),
        };
        output::say(&format!("{said}\n"));
        Ok(())
    })
}

async fn on(
    daemon: &Daemon,
    requests: u32,
    minutes: u32,
    file: Option<&Path>,
) -> Result<String, Failure> {
    // A daemon that does not run needs no file.
    daemon.health().await?;
    let unwritable = |message: String| Failure::new(Exit::Unwritable, message);
    let path = match file {
        Some(file) => std::path::absolute(file)
            .map_err(|error| unwritable(format!("cannot find {}: {error}", file.display())))?,
        None => capture::fresh_file(Timestamp::now())
            .ok_or_else(|| unwritable("this system has no state folder; use --file".to_owned()))?,
    };
    let secret = capture::create(&path).map_err(|error| {
        let path = path.display();
        unwritable(format!("cannot create {path}: {error}; a capture needs a new file (--file)"))
    })?;
    let request = json!({ "action": "on", "file": path, "secret": secret, "requests": requests,
        "minutes": minutes });
    match turn(daemon, &request).await {
        Ok(status) => Ok(format!(
            "{}\n\n\
             This includes prompts, answers, tools and their results. Tokens, keys, account ids \
             and the login's\n\
             e-mail address are removed, but review the file before you share it.\n\
             `codex-proxy capture off` stops it; `codex-proxy serve --simulate --replay FILE` \
             answers from it.",
            text(&status)
        )),
        Err(failure) => {
            // It is empty, and of no use.
            let _ = std::fs::remove_file(&path);
            Err(failure)
        }
    }
}

/// Ends it, with a file that proves who sends the request.
async fn off(daemon: &Daemon) -> Result<Status, Failure> {
    let unwritable = |message: String| Failure::new(Exit::Unwritable, message);
    // Beside the capture, where the daemon certainly sees it: a service may see no other folder.
    let Status::On { file, .. } = status(daemon.get("/v1/capture").await?)? else {
        return Ok(Status::Off);
    };
    let path = file.with_extension("off");
    let secret = capture::create(&path)
        .map_err(|error| unwritable(format!("cannot create {}: {error}", path.display())))?;
    let request = json!({ "action": "off", "file": path, "secret": secret });
    let status = turn(daemon, &request).await;
    // It has served its purpose.
    let _ = std::fs::remove_file(&path);
    status
}

async fn turn(daemon: &Daemon, request: &Value) -> Result<Status, Failure> {
    let response = daemon.post("/v1/capture", request).await?;
    let body = response.bytes().await.map_err(|error| daemon.silent(&error))?;
    status(serde_json::from_slice(&body).unwrap_or_default())
}

fn status(json: Value) -> Result<Status, Failure> {
    serde_json::from_value(json).map_err(|_| {
        let message = "the daemon is a different version; restart it with this one";
        Failure::new(Exit::Unavailable, message)
    })
}

fn text(status: &Status) -> String {
    match status {
        Status::Off => "capture is off".to_owned(),
        Status::On { file, until, requests_left, written } => format!(
            "CAPTURE IS ON: the content of the next {} is written, until {}\n{} so far in {}",
            counted(*requests_left, "request"),
            clock(until),
            counted(*written, "request"),
            file.display()
        ),
    }
}

fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The time as it is on the clock here.
fn clock(timestamp: &str) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string(),
        Err(_) => timestamp.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_loudly_what_is_written_where() {
        let status = Status::On {
            file: "/f.jsonl".into(),
            until: "soon".to_owned(),
            requests_left: 1,
            written: 2,
        };
        assert_eq!(
            text(&status),
            "CAPTURE IS ON: the content of the next 1 request is written, until soon\n\
             2 requests so far in /f.jsonl"
        );
        assert_eq!(text(&Status::Off), "capture is off");
    }
}
