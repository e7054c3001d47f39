//! Which process listens somewhere, as Linux tells it in `/proc`; nobody elsewhere, and nobody
//! where another user's processes are not to be seen.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::super::facts::Holder;
use crate::cli::daemon::Place;

/// The process that listens there.
pub(super) fn listening(place: &Place) -> Option<Holder> {
    let read = |file: &str| fs::read_to_string(Path::new("/proc/net").join(file)).ok();
    let inode = match place {
        Place::Tcp(address) => ["tcp", "tcp6"]
            .into_iter()
            .filter_map(read)
            .find_map(|table| inode_of_address(&table, *address)),
        Place::Unix(path) => inode_of_socket(&read("unix")?, path),
    }?;
    holder(&format!("socket:[{inode}]"))
}

/// The socket that listens on an address, or on all addresses of its port, in a table such as
/// `/proc/net/tcp`.
fn inode_of_address(table: &str, address: SocketAddr) -> Option<u64> {
    const LOCAL: usize = 1;
    const STATE: usize = 3;
    const LISTENING: &str = "0A";
    const INODE: usize = 9;

    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (ip, port) = fields.get(LOCAL)?.split_once(':')?;
        let ip = ip_of(ip)?.to_canonical();
        let is_meant = u16::from_str_radix(port, 16).ok()? == address.port()
            && (ip == address.ip().to_canonical() || ip.is_unspecified())
            && *fields.get(STATE)? == LISTENING;
        if is_meant { fields.get(INODE)?.parse().ok() } else { None }
    })
}

/// Words of four bytes in the machine's own order, each in hexadecimal.
fn ip_of(hex: &str) -> Option<IpAddr> {
    const WORD: usize = 8;
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at * WORD..(at + 1) * WORD)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes: Vec<u8> = (0..4).map(word).collect::<Option<Vec<_>>>()?.concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
        }
        _ => None,
    }
}

/// The socket at a path that takes connections, in `/proc/net/unix`.
fn inode_of_socket(table: &str, path: &Path) -> Option<u64> {
    const FLAGS: usize = 3;
    const ACCEPTS: u32 = 0x0001_0000;
    const INODE: usize = 6;
    const PATH: usize = 7;

    let path = path.to_str()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let flags = u32::from_str_radix(fields.get(FLAGS)?, 16).ok()?;
        let is_meant = fields.get(PATH..)?.join(" ") == path && flags & ACCEPTS != 0;
        if is_meant { fields.get(INODE)?.parse().ok() } else { None }
    })
}

/// The process that has this open.
fn holder(target: &str) -> Option<Holder> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        open.any(|file| fs::read_link(file.path()).is_ok_and(|link| link == Path::new(target)))
            .then_some(())?;
        let program = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(Holder { pid, program: program.trim().to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux writes it on machines whose words begin with the least byte.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_listening_socket_is_found_and_no_other() {
        let v4 = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:28D7 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4713 1
";
        let v6 = "\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:28D7 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 88
   1: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 89
";
        for (table, address, expected) in [
            (v4, "127.0.0.1:10455", Some(4711)),
            (v4, "127.0.0.1:80", Some(4712)),
            (v4, "127.0.0.2:10455", None),
            (v4, "127.0.0.1:8080", None),
            (v6, "[::1]:10455", Some(88)),
            (v6, "127.0.0.1:81", Some(89)),
            ("", "127.0.0.1:80", None),
            ("x\njunk\n0: zz:1 a 0A", "127.0.0.1:80", None),
        ] {
            assert_eq!(inode_of_address(table, address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn the_socket_that_takes_connections_is_found_by_its_path() {
        let table = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000: 00000003 00000000 00000000 0001 03 21 /run/api.sock
0000: 00000002 00000000 00010000 0001 01 22 /run/api.sock
0000: 00000002 00000000 00010000 0001 01 23 /run/with space
0000: 00000002 00000000 00010000 0001 01 24
";
        for (path, expected) in
            [("/run/api.sock", Some(22)), ("/run/with space", Some(23)), ("/run/none", None)]
        {
            assert_eq!(inode_of_socket(table, Path::new(path)), expected, "{path}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found_by_what_it_listens_on() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = listening(&Place::Tcp(listener.local_addr().unwrap())).unwrap();
        assert_eq!(holder.pid, std::process::id());
    }
}
