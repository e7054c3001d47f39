//! Encrypted reasoning that can be told from anybody else's.
//!
//! The real backend seals reasoning to the account and to the model that made it. Here the
//! "ciphertext" is readable, and a checksum tells whether this simulator wrote it; nothing in it
//! is secret. It begins with `gAAAAA`, as the real one does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::ids::digest;

const MARK: &str = "gAAAAA";

/// To whom reasoning belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// The `chatgpt-account-id` of the request, or a name for "none".
    pub(super) account: String,
    /// The family of the model.
    pub(super) family: String,
}

#[derive(Serialize, Deserialize)]
struct EncryptedContent {
    owner: Owner,
    item: String,
    check: String,
}

impl Owner {
    /// The `encrypted_content` of a reasoning item.
    pub(super) fn seal(&self, item: &str) -> String {
        let sealed = serde_json::json!({ "owner": self, "item": item, "check": self.check(item) });
        format!("{MARK}{}", BASE64.encode(sealed.to_string()))
    }

    /// The id of the reasoning item, if this simulator sealed it for this owner.
    pub(super) fn open(&self, text: &str) -> Option<String> {
        let bytes = BASE64.decode(text.strip_prefix(MARK)?).ok()?;
        let sealed: EncryptedContent = serde_json::from_slice(&bytes).ok()?;
        let genuine = sealed.owner == *self && sealed.check == self.check(&sealed.item);
        genuine.then_some(sealed.item)
    }

    fn check(&self, item: &str) -> String {
        let text = format!("simulated\0{}\0{}\0{item}", self.account, self.family);
        digest(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::Owner;

    fn owner(account: &str, family: &str) -> Owner {
        Owner { account: account.to_owned(), family: family.to_owned() }
    }

    #[test]
    fn only_the_owner_opens_a_seal() {
        let mine = owner("a", "gpt-5.5");
        let sealed = mine.seal("rs_1");
        assert!(sealed.starts_with("gAAA"));
        assert_eq!(mine.open(&sealed).as_deref(), Some("rs_1"));
        assert_eq!(owner("b", "gpt-5.5").open(&sealed), None);
        assert_eq!(owner("a", "gpt-5.2").open(&sealed), None);
        assert_eq!(mine.open("gAAAAAnonsense"), None);
        assert_eq!(mine.open(&sealed[..sealed.len() - 4]), None);
    }
}
