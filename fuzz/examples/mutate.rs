//! The same targets without libFuzzer, for stable compilers: seeds, changed at random.
//!
//! `mutate TARGET SECONDS SEEDS` runs for so long and prints how often. A finding is written to
//! `fuzz/artifacts/TARGET/` and ends the run with an error.

use std::error::Error;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

/// What mutations put in, beside single bytes and pieces of other seeds.
const WORDS: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1e99",
    "\"\"",
    "[]",
    "{}",
    "\\ud800",
    "\u{fffd}",
    "\n\n",
    "\r",
    "data: ",
    "STOP",
    "\"type\":",
    "\"id\":",
    "function_call",
    "\"content\":",
    "🌍",
    ":",
    "\r\n",
    "\u{feff}",
    "\"tokens\":",
    "hush",
];

/// A linear congruential generator: good enough to pick places.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }

    fn range(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(longest)).min(length)
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(6) {
        0 => {
            let range = random.range(input.len(), 64);
            input.drain(range);
        }
        1 => {
            let range = random.range(input.len(), 200);
            let copy = input[range].to_vec();
            input.splice(at..at, copy);
        }
        2 => {
            let other = &seeds[random.below(seeds.len())];
            let range = random.range(other.len(), 300);
            input.splice(at..at, other[range].iter().copied());
        }
        3 => {
            let range = random.range(input.len(), 12);
            input.splice(range, WORDS[random.below(WORDS.len())].bytes());
        }
        4 => {
            input.splice(at..at, WORDS[random.below(WORDS.len())].bytes());
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte = u8::try_from(random.below(256)).unwrap_or(0);
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, target, seconds, folder] = arguments.as_slice() else {
        return Err("usage: mutate request|stream|sse|auth SECONDS SEEDS".into());
    };
    let run = match target.as_str() {
        "request" => codex_proxy_fuzz::request,
        "stream" => codex_proxy_fuzz::stream,
        "sse" => codex_proxy_fuzz::sse,
        "auth" => codex_proxy_fuzz::auth,
        other => return Err(format!("no target {other}").into()),
    };
    let duration = Duration::from_secs(seconds.parse()?);
    let mut seeds = Vec::new();
    for entry in fs::read_dir(folder)? {
        seeds.push(fs::read(entry?.path())?);
    }
    let mut random = Random(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < duration {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..random.below(6) {
            mutate(&mut input, &seeds, &mut random);
        }
        if catch_unwind(|| run(&input)).is_err() {
            let path = keep(target, &input)?;
            return Err(format!("a finding: {}", path.display()).into());
        }
        count += 1;
    }
    println!(
        "{target}: {count} runs, {:.0} per second",
        f64::from(count) / start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn keep(target: &str, input: &[u8]) -> std::io::Result<PathBuf> {
    let folder = Path::new("artifacts").join(target);
    fs::create_dir_all(&folder)?;
    let path = folder.join("crash");
    fs::write(&path, input)?;
    Ok(path)
}
