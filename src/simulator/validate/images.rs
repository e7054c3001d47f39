//! Addresses and data of images and files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Checked, Object, one_of, string};
use crate::simulator::refusal::Refusal;

/// What the first bytes of an image may be.
const SIGNATURES: &[&[u8]] = &[b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF"];

/// An `input_image` part: an http(s) address or a data URL of an image.
pub(super) fn check(part: &Object, path: &str) -> Checked {
    if let Some(detail) = part.get("detail").filter(|detail| !detail.is_null()) {
        one_of(detail, &format!("{path}.detail"), &["low", "high", "auto", "original"])?;
    }
    let path = format!("{path}.image_url");
    let Some(url) = part.get("image_url").filter(|url| !url.is_null()) else {
        return if part.contains_key("file_id") { Ok(()) } else { Err(Refusal::missing(&path)) };
    };
    let url = string(url, &path, None)?;
    if is_web_address(url) {
        return Ok(());
    }
    let Some((mime, data)) = data_url(url) else {
        return Err(invalid(
            &path,
            "Expected a valid URL, but got a value with an invalid format.",
        ));
    };
    let expected = "Expected a base64-encoded data URL with an image MIME type (e.g. \
                    'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got";
    if !mime.starts_with("image/") {
        return Err(invalid(&path, &format!("{expected} unsupported MIME type '{mime}'.")));
    }
    if data.is_empty() {
        return Err(invalid(&path, &format!("{expected} empty base64-encoded bytes.")));
    }
    match STANDARD.decode(data) {
        Ok(bytes) if SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) => Ok(()),
        _ => Err(Refusal::invalid(
            "The image data you provided does not represent a valid image. Please check your \
             input and try again with one of the following image formats: ['image/jpeg', \
             'image/png', 'image/gif', 'image/webp'].",
            Some("input"),
            Some("invalid_image"),
        )),
    }
}

/// An `input_file` part: data as a data URL, or an address.
pub(super) fn check_file(part: &Object, path: &str) -> Checked {
    let text = |key| part.get(key).and_then(Value::as_str);
    if let Some(url) = text("file_url") {
        let path = format!("{path}.file_url");
        return if is_web_address(url) {
            Ok(())
        } else {
            Err(invalid(&path, "Expected a valid URL, but got a value with an invalid format."))
        };
    }
    let Some(data) = text("file_data") else {
        let path = format!("{path}.file_data");
        return match part.get("file_id").and_then(Value::as_str) {
            Some(_) => Ok(()),
            None => Err(Refusal::missing(&path)),
        };
    };
    let sound =
        data_url(data).is_some_and(|(_, data)| !data.is_empty() && STANDARD.decode(data).is_ok());
    if sound {
        return Ok(());
    }
    Err(invalid(
        &format!("{path}.file_data"),
        "Expected a base64-encoded data URL with an application/pdf MIME type (e.g. \
         'data:application/pdf;base64,JVBERi0xLjQ='), but got an invalid value.",
    ))
}

fn is_web_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// The MIME type and the data of `data:<mime>;base64,<data>`.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let mime = head.strip_suffix(";base64")?;
    Some((mime, data))
}

fn invalid(path: &str, text: &str) -> Refusal {
    let message = format!("Invalid '{path}'. {text}");
    Refusal::invalid(&message, Some(path), Some("invalid_value"))
}
