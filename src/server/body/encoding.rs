//! `content-encoding` of requests: what it names, and decoding it piece by piece.

use std::io::{self, Write as _};

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Decoder, Operation as _};

/// The largest window that zstd bodies may ask for, as a power of two: the 8 MiB that RFC 9659
/// sets for HTTP.
const MAX_WINDOW_LOG: u32 = 23;

/// How much is decoded in one step at most, about: both decoders hand out blocks of this size.
const STEP: usize = 128 << 10;

/// How much of an unknown encoding's name is repeated.
const MAX_NAME: usize = 64;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// An encoding that is not decoded, as the client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsupported(pub(super) String);

impl Encoding {
    /// What the head of a request says. Several encodings on top of each other are not taken.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Unsupported> {
        let values: Vec<_> = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let mut found = Self::Identity;
        for name in values.iter().flat_map(|value| value.split(',')).map(str::trim) {
            let encoding = match name.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Self::Gzip,
                "zstd" => Self::Zstd,
                _ => return Err(Unsupported(name.chars().take(MAX_NAME).collect())),
            };
            if found != Self::Identity {
                let all = values.join(", ");
                return Err(Unsupported(all.chars().take(MAX_NAME).collect()));
            }
            found = encoding;
        }
        Ok(found)
    }

    /// What takes the bytes of the body as they come. `room` is made for a body that is not encoded.
    pub(super) fn decoder(self, room: usize) -> io::Result<Decoding> {
        Ok(match self {
            Self::Identity => Decoding::Identity(Vec::with_capacity(room)),
            Self::Gzip => Decoding::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Self::Zstd => {
                let mut decoder = Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
                Decoding::Zstd { decoder, decoded: Vec::new(), is_whole: true }
            }
        })
    }
}

/// A body, decoded as far as it has come.
pub(super) enum Decoding {
    Identity(Vec<u8>),
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd {
        decoder: Decoder<'static>,
        decoded: Vec<u8>,
        /// Whether what has come ends where a frame ends.
        is_whole: bool,
    },
}

impl Decoding {
    /// Decodes some of these bytes, and says how many. What is decoded by one call is limited, however
    /// much the bytes stand for.
    pub(super) fn step(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Identity(decoded) => {
                decoded.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Gzip(decoder) => decoder.write(bytes),
            Self::Zstd { decoder, decoded, is_whole } => {
                let begin = decoded.len();
                decoded.resize(begin + STEP, 0);
                let status = decoder.run_on_buffers(bytes, &mut decoded[begin..]);
                decoded.truncate(begin + status.as_ref().map_or(0, |status| status.bytes_written));
                let status = status?;
                *is_whole = status.remaining == 0;
                Ok(status.bytes_read)
            }
        }
    }

    /// How much has been decoded and can be seen.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Identity(decoded) | Self::Zstd { decoded, .. } => decoded.len(),
            Self::Gzip(decoder) => decoder.get_ref().len(),
        }
    }

    /// After the last bytes: decodes more of what the decoder still holds. False once there is
    /// nothing more.
    pub(super) fn drain(&mut self) -> io::Result<bool> {
        let before = self.len();
        if let Self::Zstd { is_whole: false, .. } = self {
            self.step(&[])?;
        }
        Ok(self.len() > before)
    }

    /// Makes room for a body of this length, if it is not encoded.
    pub(super) fn reserve(&mut self, length: usize) {
        if let Self::Identity(decoded) = self {
            decoded.reserve_exact(length.saturating_sub(decoded.len()));
        }
    }

    /// The whole body. Fails if it ends too early.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early");
        match self {
            Self::Identity(decoded) => Ok(decoded),
            Self::Gzip(decoder) => decoder.finish(),
            Self::Zstd { decoded, is_whole, .. } => {
                if is_whole && !decoded.is_empty() {
                    Ok(decoded)
                } else {
                    Err(cut())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_head_names_one_encoding_or_none() {
        use Encoding::{Gzip, Identity, Zstd};
        let unsupported = |name: &str| Err(Unsupported(name.to_owned()));
        for (values, expected) in [
            (&[][..], Ok(Identity)),
            (&[""], Ok(Identity)),
            (&["identity"], Ok(Identity)),
            (&["gzip"], Ok(Gzip)),
            (&["GZip"], Ok(Gzip)),
            (&["x-gzip"], Ok(Gzip)),
            (&["zstd"], Ok(Zstd)),
            (&[" zstd , identity"], Ok(Zstd)),
            (&["identity", "gzip"], Ok(Gzip)),
            (&["br"], unsupported("br")),
            (&["deflate"], unsupported("deflate")),
            (&["gzip, br"], unsupported("br")),
            (&["gzip, zstd"], unsupported("gzip, zstd")),
            (&["gzip", "gzip"], unsupported("gzip, gzip")),
            (&["aws-chunked,gzip"], unsupported("aws-chunked")),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(Encoding::of(&headers), expected, "{values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, "x".repeat(5000).parse().unwrap());
        assert_eq!(Encoding::of(&headers), Err(Unsupported("x".repeat(MAX_NAME))));
    }

    #[test]
    fn no_step_decodes_much_whatever_the_bytes_stand_for() {
        let zeros = vec![0; 64 << 20];
        let zstd = zstd::bulk::compress(&zeros, 19).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&zeros).unwrap();
        for (encoding, bytes) in [(Encoding::Gzip, gzip.finish().unwrap()), (Encoding::Zstd, zstd)]
        {
            let mut decoding = encoding.decoder(0).unwrap();
            let mut rest = &bytes[..];
            let mut largest = 0;
            let mut step =
                |decoding: &Decoding, before| largest = largest.max(decoding.len() - before);
            while !rest.is_empty() {
                let before = decoding.len();
                rest = &rest[decoding.step(rest).unwrap()..];
                step(&decoding, before);
            }
            loop {
                let before = decoding.len();
                if !decoding.drain().unwrap() {
                    break;
                }
                step(&decoding, before);
            }
            assert!(decoding.finish().unwrap() == zeros, "{encoding:?}");
            assert!(largest <= STEP, "{encoding:?}: {largest}");
        }
    }
}
