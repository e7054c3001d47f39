//! The forms that values are written in: what TOML has, and what fits in a variable or flag.

use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;
use toml::de::{DeString, DeValue};
use toml::{Spanned, Value};

use super::Listen;

/// A form that values are written in.
pub(super) trait FromSource: Sized {
    /// What it is called in messages.
    const NAME: &'static str;

    /// Reads it from the settings file.
    fn from_toml(value: &DeValue<'_>) -> Option<Self>;

    /// Reads it from a variable or flag.
    fn from_text(text: &str) -> Option<Self>;
}

impl FromSource for String {
    const NAME: &'static str = "a string";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl FromSource for u64 {
    const NAME: &'static str = "a whole number";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let integer = value.as_integer()?;
        Self::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }
}

impl FromSource for bool {
    const NAME: &'static str = "true or false";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }
}

/// In a variable: separated by commas.
impl FromSource for Vec<String> {
    const NAME: &'static str = "a list of strings";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_array()?.iter().map(|item| String::from_toml(item.get_ref())).collect()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(split(text).map(str::to_owned).collect())
    }
}

/// One entry of a table with free keys.
pub(super) struct TableEntry {
    /// Its key.
    pub(super) name: String,
    /// Its value, if that is a string.
    pub(super) text: Option<String>,
    /// Where it stands in the settings file, in bytes.
    pub(super) offset: Option<usize>,
}

/// In a variable: `name=text`, separated by commas.
impl FromSource for Vec<TableEntry> {
    const NAME: &'static str = "a table of strings";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let pair = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| TableEntry {
            name: name.get_ref().clone().into_owned(),
            text: String::from_toml(value.get_ref()),
            offset: Some(name.span().start),
        };
        Some(value.as_table()?.iter().map(pair).collect())
    }

    fn from_text(text: &str) -> Option<Self> {
        let pair = |piece: &str| {
            let (name, text) = piece.split_once('=')?;
            let (name, text) = (name.trim().to_owned(), Some(text.trim().to_owned()));
            Some(TableEntry { name, text, offset: None })
        };
        split(text).map(pair).collect()
    }
}

/// The pieces between commas.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|piece| !piece.is_empty())
}

/// An effective value that `codex-proxy config` can print.
pub(super) trait ToToml {
    /// The value as the settings file would have it.
    fn show(&self) -> Value;
}

impl ToToml for String {
    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

impl ToToml for u64 {
    fn show(&self) -> Value {
        i64::try_from(*self).map_or_else(|_| Value::String(self.to_string()), Value::Integer)
    }
}

impl ToToml for bool {
    fn show(&self) -> Value {
        Value::Boolean(*self)
    }
}

impl ToToml for Vec<HeaderName> {
    fn show(&self) -> Value {
        Value::Array(self.iter().map(|name| Value::String(name.to_string())).collect())
    }
}

impl ToToml for Listen {
    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl ToToml for Vec<String> {
    fn show(&self) -> Value {
        Value::Array(self.iter().map(|text| Value::String(text.clone())).collect())
    }
}

impl ToToml for Vec<HeaderValue> {
    fn show(&self) -> Value {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Value::Array(self.iter().map(|value| Value::String(text(value))).collect())
    }
}

/// Masked.
impl ToToml for Vec<SecretString> {
    fn show(&self) -> Value {
        Value::Array(self.iter().map(|_| Value::String("***".to_owned())).collect())
    }
}

/// Without the slash that [`Url`] writes for an empty path.
impl ToToml for Url {
    fn show(&self) -> Value {
        Value::String(self.as_str().trim_end_matches('/').to_owned())
    }
}

impl ToToml for PathBuf {
    fn show(&self) -> Value {
        Value::String(Path::display(self).to_string())
    }
}
