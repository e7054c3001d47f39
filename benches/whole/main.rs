//! The daemon as a whole beside two programs that only copy bytes, in one run on one machine.
//!
//! `cargo bench --bench whole` prints the table; `-- NAME…` runs only the cases whose names contain
//! one of these, `-- --repetitions N` says how often each is run (5), and `-- --syscalls` counts the
//! system calls too, which takes `strace`. Without `--bench`, as under `cargo test`, every case runs
//! once and very small: that shows that it works, and nothing of speed.
//!
//! | file | holds |
//! |---|---|
//! | `cases.rs` | what is measured |
//! | `upstream.rs`, `tls.rs` | the backend, which streams events in the shape of recorded ones |
//! | `floors.rs` | the two that only copy bytes |
//! | `client.rs` | the load |
//! | `process.rs` | the processes, and what the system says that they used |
//! | `table.rs` | medians and ratios |
//!
//! The load, the backend and what is measured are processes of their own. Figures are medians of
//! the repetitions, in which the three take turns.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs
)]

mod cases;
mod client;
mod floors;
mod process;
mod table;
mod tls;
mod upstream;

use std::time::Duration;

use cases::{Answer, CASES, Case, Wire};
use process::{Program, Proxy};
use table::{Row, Table};

/// Who a process is; the first one, if nothing is said.
const ROLE: &str = "CODEX_PROXY_BENCH_ROLE";

fn main() {
    if let Ok(role) = std::env::var(ROLE) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(async {
            match role.as_str() {
                "upstream" => upstream::run().await,
                "hyper" => floors::hyper().await,
                "axum" => floors::axum().await,
                _ => panic!("{role} is nobody"),
            }
        });
    }
    let options = Options::read();
    rlimit::increase_nofile_limit(16_384).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(&options));
}

/// What was typed.
struct Options {
    /// Parts of the names of the cases to run; all of them if there is none.
    names: Vec<String>,
    repetitions: usize,
    syscalls: bool,
    /// Whether to measure, and not only to see that it works.
    is_bench: bool,
}

impl Options {
    fn read() -> Self {
        let mut options =
            Self { names: Vec::new(), repetitions: 5, syscalls: false, is_bench: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => options.is_bench = true,
                "--syscalls" => options.syscalls = true,
                "--repetitions" => {
                    options.repetitions = arguments.next().unwrap().parse().unwrap();
                }
                _ if argument.starts_with('-') => panic!("{argument} is not known"),
                _ => options.names.push(argument),
            }
        }
        if !options.is_bench {
            options.repetitions = 1;
        }
        options
    }

    fn wants(&self, case: &Case) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| case.name.contains(name.as_str()))
    }
}

async fn measure(options: &Options) {
    let mut table = Table::default();
    let cases: Vec<Case> = CASES
        .iter()
        .filter(|case| options.wants(case))
        .map(|case| if options.is_bench { *case } else { case.tiny() })
        .collect();
    for wire in [Wire::Plain, Wire::Tls1, Wire::Tls2] {
        let cases: Vec<&Case> = cases.iter().filter(|case| case.wire == wire).collect();
        let is_apart = |case: &Case| case.wire == wire && options.wants(case);
        let is_held = Case::HELD.iter().any(is_apart);
        if cases.is_empty() && !is_held && !is_apart(&Case::BESIDE) {
            continue;
        }
        let upstream = upstream::Handle::start(wire);
        let mut proxies = Proxy::ALL.map(|proxy| Program::start(proxy, &upstream));
        if wire == Wire::Plain {
            for program in &proxies {
                table.at_rest(program.proxy, program.started, &program.figures());
            }
        }
        for program in &proxies {
            client::warm_up(program.address).await;
        }
        for case in cases {
            let mut rows = Proxy::ALL.map(Row::new);
            for _ in 0..options.repetitions {
                for (program, row) in proxies.iter_mut().zip(&mut rows) {
                    row.add(once(case, program, &upstream).await);
                }
            }
            if options.syscalls && process::has_strace() {
                for (program, row) in proxies.iter_mut().zip(&mut rows) {
                    let (events, calls) = counted(case, program, &upstream).await;
                    row.syscalls = Some(calls as f64 / events as f64);
                }
            }
            table.print(case, &rows);
        }
        if is_held {
            held(&proxies, &upstream, options.is_bench, &mut table).await;
        }
        if is_apart(&Case::BESIDE) {
            for program in &proxies {
                beside(program, &upstream, options.is_bench, &mut table).await;
            }
        }
    }
    table.print_processes();
}

/// One run of a case.
async fn once(case: &Case, program: &Program, upstream: &upstream::Handle) -> table::Sample {
    upstream.answer(case.answer);
    let before = program.figures();
    let load = client::load(case, program.address).await;
    let after = program.figures();
    table::Sample { used: after.since(&before), load }
}

/// How many events a smaller run of a case has, and how many system calls it takes.
async fn counted(case: &Case, program: &Program, upstream: &upstream::Handle) -> (usize, u64) {
    upstream.answer(case.answer);
    let smaller = Case { requests: case.requests.div_ceil(10).max(case.clients), ..*case };
    let trace = process::Trace::of(program);
    let load = client::load(&smaller, program.address).await;
    (load.events, trace.calls())
}

/// What streams take up that are open and say little. What their beginnings took up besides has gone
/// back to the system by then: allocators keep it for a while.
async fn held(
    programs: &[Program],
    upstream: &upstream::Handle,
    is_bench: bool,
    table: &mut Table,
) {
    upstream.answer(Answer { deltas: 60, pace: Some(Duration::from_secs(1)) });
    let (count, settling) =
        if is_bench { (1000, Duration::from_secs(15)) } else { (5, Duration::ZERO) };
    tokio::time::sleep(settling).await;
    let before: Vec<_> = programs.iter().map(Program::figures).collect();
    let mut streams = Vec::new();
    for program in programs {
        streams.push(client::hold(count, program.address).await);
    }
    tokio::time::sleep(settling).await;
    for (program, before) in programs.iter().zip(before) {
        let taken = program.figures().rss.saturating_sub(before.rss);
        table.held(program.proxy, upstream.wire, taken / count as u64);
    }
    drop(streams);
}

/// What large requests do to streams that go on at the same time.
async fn beside(program: &Program, upstream: &upstream::Handle, is_bench: bool, table: &mut Table) {
    upstream.answer(Answer { deltas: 10_000, pace: Some(Duration::from_millis(10)) });
    let (streams, span) =
        if is_bench { (8, Duration::from_secs(5)) } else { (2, Duration::from_millis(100)) };
    let alone = client::gaps(streams, 0, span, program.address).await;
    let beside = client::gaps(streams, 2 << 20, span, program.address).await;
    table.beside(program.proxy, &alone, &beside);
}
