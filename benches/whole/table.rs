//! Medians and ratios.

use std::time::Duration;

use crate::cases::{Case, Wire};
use crate::client::Load;
use crate::process::{Figures, Proxy};

/// One run of one case.
pub(crate) struct Sample {
    pub(crate) used: Figures,
    pub(crate) load: Load,
}

/// All runs of one case by one program.
pub(crate) struct Row {
    proxy: Proxy,
    samples: Vec<Sample>,
    /// System calls for each event.
    pub(crate) syscalls: Option<f64>,
}

impl Row {
    pub(crate) fn new(proxy: Proxy) -> Self {
        Self { proxy, samples: Vec::new(), syscalls: None }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// The median over the runs.
    fn of(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        let mut all: Vec<f64> = self.samples.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    /// How far apart the runs are: the largest through the smallest.
    fn noise(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        let all: Vec<f64> = self.samples.iter().map(figure).collect();
        all.iter().copied().fold(0.0, f64::max) / all.iter().copied().fold(f64::MAX, f64::min)
    }
}

fn cpu_per_event(sample: &Sample) -> f64 {
    micros(sample.used.cpu) / sample.load.events as f64
}

fn cpu_per_request(sample: &Sample) -> f64 {
    micros(sample.used.cpu) / sample.load.requests as f64
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    micros(times[(times.len() - 1) * percent / 100])
}

/// What a process is by itself.
#[derive(Default, Clone, Copy)]
struct Rest {
    started: Duration,
    rss: u64,
    /// Bytes for an open stream, over plain HTTP and over HTTP/2.
    held: [Option<u64>; 2],
    /// The longest of a hundred gaps within streams, alone and beside large requests.
    gaps: Option<[f64; 2]>,
}

/// The whole, printed as it comes about.
#[derive(Default)]
pub(crate) struct Table {
    has_head: bool,
    rest: [Rest; 3],
}

impl Table {
    /// What a program is that has only been started.
    pub(crate) fn at_rest(&mut self, proxy: Proxy, started: Duration, figures: &Figures) {
        self.rest[proxy as usize] = Rest { started, rss: figures.rss, ..Rest::default() };
    }

    /// What an open stream takes up.
    pub(crate) fn held(&mut self, proxy: Proxy, wire: Wire, each: u64) {
        self.rest[proxy as usize].held[usize::from(wire == Wire::Tls2)] = Some(each);
    }

    /// The gaps within streams, alone and beside large requests.
    pub(crate) fn beside(&mut self, proxy: Proxy, alone: &[Duration], beside: &[Duration]) {
        self.rest[proxy as usize].gaps = Some([alone, beside].map(|gaps| percentile(gaps, 99)));
    }

    pub(crate) fn print(&mut self, case: &Case, rows: &[Row]) {
        if !std::mem::replace(&mut self.has_head, true) {
            println!(
                "| case | | CPU µs/event | CPU µs/request | requests/s | first µs p50 | p99 | total \
                 µs p50 | p99 | switches/event | calls/event | RSS MiB | noise |"
            );
            println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        }
        let floor = |proxy| rows.iter().find(|row| row.proxy == proxy).unwrap();
        for row in rows {
            let name = match row.proxy {
                Proxy::Hyper => "hyper",
                Proxy::Axum => "axum + reqwest",
                Proxy::Daemon => "**codex-proxy**",
            };
            // The floor that the targets speak of.
            let ratio = |figure: &dyn Fn(&Sample) -> f64| {
                let value = row.of(figure);
                match row.proxy {
                    Proxy::Daemon => {
                        format!("{value:.1} ({:.2} ×)", value / floor(Proxy::Axum).of(figure))
                    }
                    _ => format!("{value:.1}"),
                }
            };
            let added = |figure: &dyn Fn(&Sample) -> f64| {
                let value = row.of(figure);
                match row.proxy {
                    Proxy::Daemon => {
                        format!("{value:.0} ({:+.0})", value - floor(Proxy::Hyper).of(figure))
                    }
                    _ => format!("{value:.0}"),
                }
            };
            println!(
                "| {} | {name} | {} | {} | {} | {} | {} | {} | {} | {:.3} | {} | {:.1} | {:.2} |",
                if row.proxy == Proxy::Hyper { case.name } else { "" },
                ratio(&cpu_per_event),
                ratio(&cpu_per_request),
                ratio(&|sample| sample.load.requests as f64 / sample.load.elapsed.as_secs_f64()),
                added(&|sample| percentile(&sample.load.first, 50)),
                added(&|sample| percentile(&sample.load.first, 99)),
                added(&|sample| percentile(&sample.load.total, 50)),
                added(&|sample| percentile(&sample.load.total, 99)),
                row.of(|sample| sample.used.switches as f64 / sample.load.events as f64),
                row.syscalls.map_or("–".to_owned(), |calls| format!("{calls:.3}")),
                row.of(|sample| sample.used.rss as f64 / f64::from(1 << 20)),
                row.noise(cpu_per_event),
            );
        }
    }

    pub(crate) fn print_processes(&self) {
        println!(
            "\n| process | start to listening ms | RSS at rest MiB | KiB for an open stream | over \
             HTTP/2 | ms from event to event p99, of 10 | beside 2 MiB requests |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|");
        for (proxy, rest) in Proxy::ALL.iter().zip(&self.rest) {
            let [plain, http2] = rest.held.map(|held| {
                held.map_or("–".to_owned(), |held| format!("{:.1}", held as f64 / 1024.0))
            });
            println!(
                "| {proxy:?} | {:.1} | {:.1} | {plain} | {http2} | {} | {} |",
                rest.started.as_secs_f64() * 1e3,
                rest.rss as f64 / f64::from(1 << 20),
                rest.gaps.map_or("–".to_owned(), |[alone, _]| format!("{:.1}", alone / 1e3)),
                rest.gaps.map_or("–".to_owned(), |[_, beside]| format!("{:.1}", beside / 1e3)),
            );
        }
        let binary = std::fs::metadata(env!("CARGO_BIN_EXE_codex-proxy")).unwrap().len();
        println!("\nThe binary has {:.1} MiB.", binary as f64 / f64::from(1 << 20));
        println!(
            "In brackets: the ratio to axum + reqwest; of times, what is added to hyper's. Noise is \
             the largest through the smallest CPU time of the repetitions."
        );
    }
}
