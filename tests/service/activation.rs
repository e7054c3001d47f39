//! Sockets that a service manager opens for the daemon.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::home::Home;
use crate::support::program::{PROGRAM, Program};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the program as a service manager does: with these sockets as its descriptors from 3 on.
fn start(arguments: &[&str], sockets: Vec<OwnedFd>, variables: &[(&str, &str)]) -> Program {
    // A shell moves the descriptors to their places, from where they have been kept out of the
    // way, and becomes the program: so LISTEN_PID is right.
    let mut script = String::new();
    let mut kept = Vec::new();
    for (index, socket) in sockets.into_iter().enumerate() {
        let socket = rustix::io::fcntl_dupfd_cloexec(socket, 20).unwrap();
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
        write!(script, "exec {}<&{number} {number}<&-; ", 3 + index).unwrap();
        kept.push(socket);
    }
    write!(script, "LISTEN_PID=$$ LISTEN_FDS={} exec \"$0\" \"$@\"", kept.len()).unwrap();
    let mut home = Home::new();
    home.set_all(variables);
    home.spawn(home.command_of("bash", &[&["-c", &script, PROGRAM], arguments].concat()))
}

fn healthy(mut stream: impl std::io::Read + std::io::Write) {
    stream
        .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

fn tcp(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Settings whose address nobody can listen on: it must not matter.
const NOWHERE: &[&str] = &["serve", "--simulate", "--listen", "127.0.0.255:1"];

#[test]
fn it_listens_on_what_it_is_handed_and_stops_in_order() {
    let (listener, address) = tcp("127.0.0.1:0");
    // Somebody is there before the daemon, as always with socket activation.
    let early = TcpStream::connect(address).unwrap();
    let mut program = start(NOWHERE, vec![listener.into()], &[]);
    healthy(early);
    healthy(TcpStream::connect(address).unwrap());
    let log = program.wait_for("set your client to base_url");
    assert!(log.contains(&format!("address={address}")), "{log}");
    program.signal(Signal::TERM);
    let (status, log) = program.ended(PATIENCE);
    assert!(status.success() && log.trim_end().ends_with("stopped"), "{log}");
}

#[test]
fn a_socket_in_the_file_system_stays_its_managers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut program = start(NOWHERE, vec![listener.into()], &[]);
    healthy(UnixStream::connect(&path).unwrap());
    program.signal(Signal::TERM);
    let (status, log) = program.ended(PATIENCE);
    assert!(status.success(), "{log}");
    assert!(log.contains(&format!("address=unix:{}", path.display())), "{log}");
    assert_eq!(names(folder.path()), ["api.sock"]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn several_are_listened_on_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let (one, first) = tcp("127.0.0.1:0");
    let (two, second) = tcp("[::1]:0");
    let _program = start(NOWHERE, vec![one.into(), unix.into(), two.into()], &[]);
    for _ in 0..3 {
        healthy(TcpStream::connect(second).unwrap());
        healthy(UnixStream::connect(&path).unwrap());
        healthy(TcpStream::connect(first).unwrap());
    }
}

#[test]
fn an_address_that_others_can_reach_needs_a_key_whoever_has_opened_it() {
    let (listener, address) = tcp("0.0.0.0:0");
    let mut program = start(NOWHERE, vec![listener.try_clone().unwrap().into()], &[]);
    let (status, log) = program.ended(PATIENCE);
    assert_eq!(status.code(), Some(78), "{log}");
    for piece in ["LISTEN_FDS", &address.to_string(), "codex-proxy key new"] {
        assert!(log.contains(piece), "{piece} is not in {log}");
    }
    let key = [("CODEX_PROXY_SERVER_API_KEYS", "sk-cp-0123456789abcdefghijklmnop")];
    let _program = start(NOWHERE, vec![listener.into()], &key);
    healthy(TcpStream::connect(("127.0.0.1", address.port())).unwrap());
}

#[test]
fn what_nobody_can_connect_to_stops_the_start() {
    let (listener, address) = tcp("127.0.0.1:0");
    let connection = TcpStream::connect(address).unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    for (socket, told) in [
        (OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap()), "not a TCP or Unix stream socket"),
        (file.into(), "not a TCP or Unix stream socket"),
        (connection.into(), "`Accept=` must be `no`"),
    ] {
        let good = listener.try_clone().unwrap();
        let mut program = start(NOWHERE, vec![good.into(), socket], &[]);
        let (status, log) = program.ended(PATIENCE);
        assert_eq!(status.code(), Some(69), "{log}");
        assert!(log.contains("descriptor 4") && log.contains(told), "{log}");
    }
}

#[test]
fn what_is_meant_for_another_process_is_left_alone() {
    let variables = [("LISTEN_PID", "1"), ("LISTEN_FDS", "1")];
    let program = Program::simulating(&variables);
    let address = program.url().replace("http://", "");
    healthy(TcpStream::connect(address).unwrap());
}
