//! Which version of the Codex CLI this program says that it is as new as: the backend offers a model
//! only to clients that are new enough for it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use crate::plain_file;

/// The version that is known to work, and the day when it came out. The list of models that this
/// program holds is of the same version.
const BUILT_IN: (&str, &str) = ("0.171.0", "2026-11-20T00:00:00Z");

/// The Codex CLI's cache holds long prompts, but is not larger than this.
const CACHE_LIMIT: u64 = 16 << 20;

/// `[upstream] client_version`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientVersion {
    /// The newer one of the built-in one and that of the Codex CLI which uses the same folder.
    Auto {
        /// The CLI's cache of models, which names its version.
        cache: PathBuf,
    },
    /// This one.
    Exact(String),
}

/// A version that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As in `0.171.0`.
    pub version: String,
    /// A time at which it was the newest one; nothing if that is not known.
    pub as_of: Option<Timestamp>,
}

impl ClientVersion {
    /// The word for [`ClientVersion::Auto`].
    pub(super) const AUTO: &'static str = "auto";

    /// That of the settings; `codex_home` is the Codex CLI's folder.
    pub(super) fn new(text: &str, codex_home: &Path) -> Self {
        if text == Self::AUTO {
            Self::Auto { cache: codex_home.join("models_cache.json") }
        } else {
            Self::Exact(text.to_owned())
        }
    }

    /// The version to name now. Reads the CLI's cache; never fails.
    pub fn in_force(&self) -> Named {
        let built_in = built_in();
        match self {
            Self::Auto { cache } => cached(cache)
                .filter(|cached| numbers(&cached.version) > numbers(&built_in.version))
                .unwrap_or(built_in),
            Self::Exact(version) => {
                // A newer one than is known here is of an unknown day.
                let is_known = numbers(version) <= numbers(&built_in.version);
                let as_of = built_in.as_of.filter(|_| is_known);
                Named { version: version.clone(), as_of }
            }
        }
    }
}

fn built_in() -> Named {
    Named { version: BUILT_IN.0.to_owned(), as_of: BUILT_IN.1.parse().ok() }
}

/// The version of the Codex CLI that has asked for the models last, and when it did.
fn cached(path: &Path) -> Option<Named> {
    #[derive(Deserialize)]
    struct Cache {
        client_version: String,
        #[serde(default)]
        fetched_at: serde_json::Value,
    }
    let content = plain_file::read(path, CACHE_LIMIT).ok()?;
    let cache: Cache = serde_json::from_slice(&content).ok()?;
    numbers(&cache.client_version)?;
    let as_of = cache.fetched_at.as_str().and_then(|text| text.parse().ok());
    Some(Named { version: cache.client_version, as_of })
}

/// `MAJOR.MINOR.PATCH`, and nothing else.
pub(super) fn numbers(version: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = version.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_one_of_the_built_in_version_and_the_codex_clis_is_named() {
        let built_in = built_in();
        assert!(built_in.as_of.is_some() && numbers(&built_in.version).is_some());
        for (cache, expected, as_of) in [
            (None, BUILT_IN.0, Some(BUILT_IN.1)),
            (
                Some(
                    r#"{"fetched_at":"2027-01-02T03:04:05.678901Z","client_version":"0.180.1","models":[]}"#,
                ),
                "0.180.1",
                Some("2027-01-02T03:04:05.678901Z"),
            ),
            (Some(r#"{"client_version":"1.0.0"}"#), "1.0.0", None),
            (Some(r#"{"client_version":"0.171.1"}"#), "0.171.1", None),
            // By numbers, not by letters.
            (Some(r#"{"client_version":"0.99.0"}"#), BUILT_IN.0, Some(BUILT_IN.1)),
            (Some(r#"{"client_version":"0.171.0"}"#), BUILT_IN.0, Some(BUILT_IN.1)),
            (Some(r#"{"client_version":"0.147.0"}"#), BUILT_IN.0, Some(BUILT_IN.1)),
            (Some(r#"{"client_version":"0.180"}"#), BUILT_IN.0, Some(BUILT_IN.1)),
            (Some(r#"{"client_version":"0.180.0-alpha.1"}"#), BUILT_IN.0, Some(BUILT_IN.1)),
            (Some(r#"{"client_version":"9\r\n.0.0"}"#), BUILT_IN.0, Some(BUILT_IN.1)),
            (Some(r#"{"client_version":7}"#), BUILT_IN.0, Some(BUILT_IN.1)),
            (Some("half"), BUILT_IN.0, Some(BUILT_IN.1)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            if let Some(cache) = cache {
                std::fs::write(folder.path().join("models_cache.json"), cache).unwrap();
            }
            let named = ClientVersion::new("auto", folder.path()).in_force();
            assert_eq!(named.version, expected, "{cache:?}");
            assert_eq!(named.as_of, as_of.map(|time| time.parse().unwrap()), "{cache:?}");
        }
    }

    #[test]
    fn a_version_that_is_set_is_the_one() {
        for (text, is_dated) in [("0.150.0", true), ("0.171.0", true), ("0.172.0", false)] {
            let named = ClientVersion::new(text, Path::new("/nowhere")).in_force();
            assert_eq!((named.version.as_str(), named.as_of.is_some()), (text, is_dated));
        }
    }
}
