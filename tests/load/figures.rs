//! What a process uses up, as `/proc` has it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Resident memory, in bytes.
    pub(crate) rss: u64,
    /// The most of it since the last [`forget_peak`].
    pub(crate) peak: u64,
    /// Open descriptors.
    pub(crate) descriptors: usize,
    /// Sockets among them.
    pub(crate) sockets: usize,
    /// Threads of the system.
    pub(crate) threads: u64,
    /// Tasks of the runtime.
    pub(crate) tasks: usize,
    /// Processor time that was used up so far, in ticks of 10 ms.
    pub(crate) ticks: u64,
}

impl Figures {
    /// What `/proc` tells of a process; it cannot know the tasks.
    pub(crate) fn of(pid: u32, tasks: usize) -> Self {
        let links = links(pid);
        let status = read(pid, "status");
        // `VmRSS` is off by what the processors have not summed up yet.
        let rollup = read(pid, "smaps_rollup");
        let stat = read(pid, "stat");
        // The name, which may hold blanks, ends at the last parenthesis.
        let times: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = times[11].parse::<u64>().unwrap() + times[12].parse::<u64>().unwrap();
        Self {
            rss: field(&rollup, "Rss:") << 10,
            peak: field(&status, "VmHWM:") << 10,
            descriptors: links.len(),
            sockets: links.iter().filter(|link| link.starts_with("socket:")).count(),
            threads: field(&status, "Threads:"),
            tasks,
            ticks,
        }
    }

    /// What has to be as it was before, once everybody has left: descriptors and sockets.
    pub(crate) fn open(&self) -> (usize, usize) {
        (self.descriptors, self.sockets)
    }

    /// The same, and the tasks.
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        (self.tasks, self.descriptors, self.sockets)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rss, peak, descriptors, sockets, threads, tasks, ticks } = self;
        let (rss, peak) = (Mib(*rss), Mib(*peak));
        write!(
            f,
            "RSS {rss} (peak {peak}), {descriptors} descriptors, {sockets} sockets, {tasks} \
             tasks, {threads} threads, {}.{:02} s of processor time",
            ticks / 100,
            ticks % 100
        )
    }
}

/// Bytes, shown in MiB.
pub(crate) struct Mib(pub(crate) u64);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10) >> 20;
        write!(f, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}

/// Lets the peak of a process start anew.
pub(crate) fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// What the descriptors of a process are, and the ends of the connections among them: for the
/// message when there are too many.
pub(crate) fn descriptors(pid: u32) -> String {
    let table = read(pid, "net/tcp");
    // Columns: number, own address, the peer's, state, …, and the inode.
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let connections: BTreeMap<String, String> = rows
        .filter(|row| row.len() > 9)
        .map(|row| {
            let port = |address: &str| {
                u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap_or_default()
            };
            let text = format!("{} to {} (state {})", port(row[1]), port(row[2]), row[3]);
            (format!("socket:[{}]", row[9]), text)
        })
        .collect();
    let mut names = BTreeMap::<String, usize>::new();
    for link in links(pid) {
        *names.entry(connections.get(&link).cloned().unwrap_or(link)).or_default() += 1;
    }
    names.iter().map(|(name, count)| format!("\n  {count} × {name}")).collect()
}

fn links(pid: u32) -> Vec<String> {
    let folder = format!("/proc/{pid}/fd");
    let entries = std::fs::read_dir(Path::new(&folder)).unwrap();
    // One that was closed meanwhile is not counted.
    entries
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect()
}

fn read(pid: u32, name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
}

#[test]
fn the_figures_of_this_process_are_plausible() {
    let pid = std::process::id();
    let before = Figures::of(pid, 0);
    assert!(before.rss > 1 << 20 && before.peak >= 1 << 20, "{before}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    assert!(descriptors(pid).contains(&format!("{port} to 0")), "{}", descriptors(pid));
    assert_eq!(Mib(3 << 19).to_string(), "1.5 MiB");
}
