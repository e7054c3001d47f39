//! Names with a date at their end, as snapshots of models and versions of tools have them.

/// The name without the date at its end, as in `web_search_2025_08_26` and
/// `gpt-5.5-2026-04-23`; the separator is the one in the date.
pub fn without_date(name: &str, separator: char) -> &str {
    let mut rest = name;
    for digits in [2, 2, 4] {
        let Some((before, part)) = rest.rsplit_once(separator) else { return name };
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return name;
        }
        rest = before;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_dates_are_cut_off() {
        for (name, expected) in [
            ("web_search_2025_08_26", "web_search"),
            ("web_search_2025_08", "web_search_2025_08"),
            ("web_search_25_08_26", "web_search_25_08_26"),
            ("web_search_2025_0a_26", "web_search_2025_0a_26"),
            ("web_search-2025-08-26", "web_search-2025-08-26"),
            ("2025_08_26", "2025_08_26"),
            ("", ""),
        ] {
            assert_eq!(without_date(name, '_'), expected);
        }
        assert_eq!(without_date("gpt-5.5-2026-04-23", '-'), "gpt-5.5");
    }
}
