//! Request bodies that are compressed.

use std::io::Read as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};

use super::refusal::Refusal;

/// The largest body that is unpacked: a few bytes can stand for any number of them.
const MAX_DECODED: usize = 256 << 20;

/// The body as it was before it was compressed, if it is.
pub(super) fn unpacked(
    headers: &HeaderMap,
    body: Bytes,
    takes_zstd: bool,
) -> Result<Bytes, Refusal> {
    let encoding = headers.get(header::CONTENT_ENCODING);
    match encoding.map(|name| name.as_bytes().to_ascii_lowercase()).as_deref() {
        None | Some(b"identity") => Ok(body),
        Some(b"zstd") if takes_zstd => unpack(&body, MAX_DECODED),
        Some(_) => {
            let detail = "Unsupported content encoding";
            Err(Refusal::gateway(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

fn unpack(body: &[u8], largest: usize) -> Result<Bytes, Refusal> {
    let damaged = |_| Refusal::detail("The request body is not valid zstd");
    let decoder = zstd::Decoder::with_buffer(body).map_err(damaged)?;
    let mut unpacked = Vec::new();
    decoder.take(largest as u64 + 1).read_to_end(&mut unpacked).map_err(damaged)?;
    if unpacked.len() > largest {
        return Err(Refusal::gateway(StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large"));
    }
    Ok(unpacked.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unpacked_has_a_limit() {
        let bomb = zstd::bulk::compress(&vec![b' '; 1 << 20], 3).unwrap();
        assert!(bomb.len() < 200);
        assert_eq!(unpack(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        let refusal = unpack(&bomb, (1 << 20) - 1).unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
