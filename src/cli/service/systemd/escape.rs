//! How texts are written in unit files, where blanks, quotes and percent signs mean something.

/// A word of a list, such as a path in `ReadWritePaths=` or an assignment in `Environment=`.
pub(super) fn word(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '%' => quoted.push_str("%%"),
            _ => quoted.push(character),
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=,@:%".contains(c);
    if !quoted.is_empty() && quoted.chars().all(is_plain) {
        return quoted;
    }
    format!("\"{quoted}\"")
}

/// A word of a command line, where variables are replaced as well.
pub(super) fn argument(text: &str) -> String {
    word(&text.replace('$', "$$"))
}

/// A path in `BindPaths=`, which is taken apart twice, the second time at colons and blanks.
pub(super) fn bind(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            '"' | '\'' | '\\' | ':' | ' ' => escaped.extend(['\\', character]),
            '%' => escaped.push_str("%%"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// What takes up all of its line, such as the path of a socket.
pub(super) fn line(text: &str) -> String {
    text.replace('%', "%%")
}

/// What [`line`] has written.
pub(super) fn read_line(text: &str) -> String {
    text.replace("%%", "%")
}

/// The words of a command line that [`argument`] has written.
pub(super) fn read_arguments(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ' ' if !is_quoted => words.extend(word.take()),
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ => {
                let is_double = "%$".contains(character) && characters.peek() == Some(&character);
                if is_double {
                    characters.next();
                }
                word.get_or_insert_default().push(character);
            }
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_means_something_is_written_otherwise() {
        for (text, as_word, as_argument, as_bind) in [
            ("/usr/bin/x-1.0", "/usr/bin/x-1.0", "/usr/bin/x-1.0", "/usr/bin/x-1.0"),
            ("/my home/x", "\"/my home/x\"", "\"/my home/x\"", "/my\\ home/x"),
            ("/100%/x", "/100%%/x", "/100%%/x", "/100%%/x"),
            ("/a$b", "\"/a$b\"", "\"/a$$b\"", "/a$b"),
            ("/a\"b\\c'd", "\"/a\\\"b\\\\c'd\"", "\"/a\\\"b\\\\c'd\"", "/a\\\"b\\\\c\\'d"),
            ("/a:b;#c", "\"/a:b;#c\"", "\"/a:b;#c\"", "/a\\:b;#c"),
            ("", "\"\"", "\"\"", ""),
            ("/ö", "\"/ö\"", "\"/ö\"", "/ö"),
        ] {
            assert_eq!(word(text), as_word);
            assert_eq!(argument(text), as_argument);
            assert_eq!(bind(text), as_bind);
        }
        assert_eq!(line("/100% sure"), "/100%% sure");
        assert_eq!(read_line("/100%% sure"), "/100% sure");
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_again(words in prop::collection::vec("[^\\p{Cc}]*", 0..5)) {
            let line = words.iter().map(|word| argument(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(read_arguments(&line), words);
        }
    }
}
