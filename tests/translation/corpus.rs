//! Recorded streams. They are not part of the repository: `CODEX_PROXY_CORPUS` names the folder that
//! has `responses/**/*.sse`, and this test is ignored unless it is asked for.
//!
//! ```sh
//! CODEX_PROXY_CORPUS=FOLDER cargo nextest run --run-ignored only -E 'test(/^corpus::/)'
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use codex_proxy::translate::plan::Plan;
use codex_proxy::translate::policy::Reasoning;

use crate::answer::{End, read};
use crate::golden::events;

/// After how many events, at most, a stream is cut.
const CUTS: usize = 60;

fn streams(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            streams(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sse") {
            found.push(path);
        }
    }
}

fn check(path: &Path) -> Result<(), String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let events = events(&bytes, 4096);
    let plain = Plan { include_usage: true, ..Plan::default() };
    let plans = [
        Plan { stops: vec![" the ".to_owned(), "\n\n".to_owned()], ..plain.clone() },
        Plan { max_tokens: Some(20), ..plain.clone() },
        Plan { legacy_functions: true, reasoning: Reasoning::Think, ..plain.clone() },
        Plan { json: true, reasoning: Reasoning::None, ..plain.clone() },
    ];
    for plan in plans {
        read(&Arc::new(plan.clone()), events.iter().map(String::as_str)).check(&plan)?;
    }
    let shared = Arc::new(plain.clone());
    let whole = read(&shared, events.iter().map(String::as_str));
    whole.check(&plain)?;
    for count in (0..events.len()).step_by(events.len() / CUTS + 1) {
        let answer = read(&shared, events[..count].iter().map(String::as_str));
        answer.check(&plain)?;
        let is_part = whole.chunks.starts_with(&answer.chunks);
        if !is_part || (answer.end == End::Finished && answer.chunks != whole.chunks) {
            return Err(format!("cut after {count} events it is no part of the whole"));
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs CODEX_PROXY_CORPUS"]
fn every_recorded_stream_keeps_the_rules_also_when_it_is_cut() {
    let folder = env::var_os("CODEX_PROXY_CORPUS").filter(|folder| !folder.is_empty());
    let folder = folder.expect("CODEX_PROXY_CORPUS names no folder");
    let mut paths = Vec::new();
    streams(&Path::new(&folder).join("responses"), &mut paths);
    assert!(!paths.is_empty(), "no streams in {}", folder.display());
    let faults: Vec<String> = paths
        .iter()
        .filter_map(|path| check(path).err().map(|why| format!("{}: {why}", path.display())))
        .collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), paths.len(), faults.join("\n"));
}
