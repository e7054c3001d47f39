//! Escapes of half a character, which some models write and no JSON reader takes.

/// The data with unpaired surrogate escapes replaced, which JSON readers refuse; `None` if there
/// are none.
pub fn repair_surrogates(data: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &data.as_bytes()[at..]) {
        let here = at + found;
        let escaped = data.as_bytes().get(here + 1);
        if escaped != Some(&b'u') {
            // The escaped character is skipped with its backslash; it may be more than a byte.
            at = here + 1 + data[here + 1..].chars().next().map_or(0, char::len_utf8);
            continue;
        }
        let unit = |from: usize| u16::from_str_radix(data.get(from..from + 4)?, 16).ok();
        let low_follows = || {
            data.get(here + 6..here + 8) == Some("\\u")
                && unit(here + 8).is_some_and(|unit| (0xDC00..0xE000).contains(&unit))
        };
        at = here + 2;
        match unit(here + 2) {
            Some(0xD800..0xDC00) if low_follows() => at = here + 12,
            Some(0xD800..0xE000) => {
                out.push_str(&data[copied..here]);
                out.push_str("\\ufffd");
                at = here + 6;
                copied = at;
            }
            _ => {}
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&data[copied..]);
    Some(out)
}

/// The second half of a character that the JSON text of a string begins with.
pub(super) fn leading_half(text: &str) -> Option<u16> {
    unit(text).filter(|unit| (0xDC00..0xE000).contains(unit))
}

/// The first half of a character that the JSON text of a string ends with.
pub(super) fn trailing_half(text: &str) -> Option<u16> {
    let (before, last) = text.split_at_checked(text.len().checked_sub(6)?)?;
    // A backslash that is escaped itself begins nothing.
    let is_escaped = before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
    unit(last).filter(|unit| !is_escaped && (0xD800..0xDC00).contains(unit))
}

/// The character of two halves.
pub fn join_halves(first: u16, second: u16) -> Option<char> {
    char::decode_utf16([first, second]).next()?.ok()
}

/// The escape that this begins with.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpaired_surrogates_are_replaced_and_pairs_are_kept() {
        for (given, wanted) in [
            (r#""\ud83d\ude00""#, None),
            (r#""plain""#, None),
            (r#""\\ud83d""#, None),
            (r#""a\ud83d""#, Some(r#""a\ufffd""#)),
            (r#""\ude00\ud83d\ud83d\ude00é""#, Some(r#""\ufffd\ufffd\ud83d\ude00é""#)),
            (r#""\é\ud800x""#, Some(r#""\é\ufffdx""#)),
        ] {
            assert_eq!(repair_surrogates(given).as_deref(), wanted, "{given}");
        }
    }
}
