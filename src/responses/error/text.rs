//! What only the text of a message tells.

use std::time::Duration;

use super::BackendError;

impl BackendError {
    /// The request field at fault: the one given, or else the one that the message names.
    pub fn field(&self) -> Option<&str> {
        self.param.as_deref().or_else(|| {
            let (start, _) = opening(self.message.as_deref()?)?;
            let name = match start.strip_prefix('\'') {
                Some(quoted) => quoted.split('\'').next()?,
                None => start.split_whitespace().next()?.trim_end_matches('.'),
            };
            (!name.is_empty()).then_some(name)
        })
    }

    /// The code: the one given, or else the one that belongs to the message.
    pub fn code_or_implied(&self) -> Option<&str> {
        self.code.as_deref().or_else(|| {
            let message = self.message.as_deref()?;
            // Reasoning that another account has sealed; some layers leave out the code.
            if is_of_sealed_content(message) {
                return Some("invalid_encrypted_content");
            }
            opening(message)?.1
        })
    }

    /// How long the message asks to wait: "try again in 11.054s", "350ms", "1m30s", "2 seconds".
    pub fn delay(&self) -> Option<Duration> {
        const BEFORE: &str = "try again in ";
        // Lower case in ASCII keeps every byte where it is.
        let message = self.message.as_deref()?.to_ascii_lowercase();
        let mut rest = &message[message.find(BEFORE)? + BEFORE.len()..];
        let mut total = None;
        while let Some((part, after)) = duration(rest) {
            total = Some(total.unwrap_or(Duration::ZERO).saturating_add(part));
            rest = after;
        }
        total
    }
}

/// Whether it is about encrypted reasoning of another account or model, which cannot be opened.
pub fn is_of_sealed_content(message: &str) -> bool {
    let has = |part| message.contains(part);
    (has("ncrypted content") && (has("could not be verified") || has("could not be decrypted")))
        || message.starts_with("could not be decrypted")
}

/// Whether a message begins as those do that name what is wrong in a request.
pub(super) fn names_a_mistake(message: &str) -> bool {
    opening(message).is_some()
        || ["Invalid value: ", "Unsupported value: "].iter().any(|start| message.starts_with(start))
}

/// For a message that begins by naming a field: the text from that name on, and the code that
/// OpenAI gives such messages.
fn opening(message: &str) -> Option<(&str, Option<&'static str>)> {
    const OPENINGS: &[(&str, Option<&str>)] = &[
        ("Unsupported parameter: ", Some("unsupported_parameter")),
        ("Unknown parameter: ", Some("unknown_parameter")),
        ("Missing required parameter: ", Some("missing_required_parameter")),
        ("Invalid type for ", Some("invalid_type")),
        ("Invalid '", None),
    ];
    if message.starts_with("Unsupported service_tier: ") {
        return Some(("service_tier", None));
    }
    if message.starts_with("Unsupported tool type: ") {
        return Some(("tools", None));
    }
    OPENINGS.iter().find_map(|(opening, code)| {
        let rest = message.strip_prefix(opening)?;
        // The quote that ends an opening begins the name.
        let start = message.len() - rest.len() - usize::from(opening.ends_with('\''));
        Some((&message[start..], *code))
    })
}

/// A number and its unit, and what follows them.
fn duration(text: &str) -> Option<(Duration, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let amount: f64 = text[..end].parse().ok()?;
    let text = text[end..].trim_start_matches(' ');
    let unit = text.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    let seconds = match unit {
        "ms" => amount / 1000.0,
        "s" | "sec" | "second" | "seconds" => amount,
        "m" | "min" | "minute" | "minutes" => amount * 60.0,
        "h" | "hour" | "hours" => amount * 3600.0,
        _ => return None,
    };
    Some((Duration::try_from_secs_f64(seconds).ok()?, &text[unit.len()..]))
}
