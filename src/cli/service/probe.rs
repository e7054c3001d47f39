//! Whether the daemon answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::config::Listen;

/// How long the daemon may take: it is on this machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for `/health` where the daemon should listen; else says why there is no answer.
pub(super) async fn health(listen: &Listen) -> Result<(), String> {
    let builder = reqwest::Client::builder().tls_certs_only([]).no_proxy().timeout(PATIENCE);
    let (builder, base) = match listen {
        Listen::Unix(path) => (builder.unix_socket(path.as_path()), "http://localhost".to_owned()),
        Listen::Tcp(address) => {
            let mut address = *address;
            match address.ip() {
                IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
                _ => {}
            }
            (builder, format!("http://{address}"))
        }
    };
    let client = builder.build().map_err(|error| error.to_string())?;
    let answer = client.get(format!("{base}/health")).send().await.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        cause.to_string()
    })?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(format!("HTTP {}", status.as_u16())) }
}
