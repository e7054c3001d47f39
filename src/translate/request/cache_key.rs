//! One key per conversation, so that the backend finds what it has cached of it.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::aliases::hex;
use crate::responses::request::{Item, Request, Role};

/// The backend refuses longer keys.
const MAX_KEY_CHARS: usize = 64;

pub(super) struct Key<'v> {
    pub(super) prompt_cache_key: Cow<'v, str>,
    pub(super) conversation: Uuid,
}

/// The client's key, or one made of what stays the same while a conversation grows: the model,
/// the system text, the tools and the first message of the user.
pub(super) fn derive<'v>(
    request: &Request<'v>,
    given: Option<&'v str>,
    user: Option<&str>,
) -> Key<'v> {
    if let Some(given) = given.filter(|key| !key.is_empty()) {
        let prompt_cache_key = if given.chars().count() > MAX_KEY_CHARS {
            Cow::Owned(hex(&Sha256::digest(given.as_bytes())))
        } else {
            Cow::Borrowed(given)
        };
        let mut hash = Hash::new("key");
        hash.text(given);
        return Key { prompt_cache_key, conversation: hash.uuid() };
    }
    let first = request
        .input
        .iter()
        .find(|item| matches!(item, Item::Message { role: Role::User, .. }))
        .or(request.input.first());
    let mut hash = Hash::new("conversation");
    hash.text(&request.model);
    hash.text(&request.instructions);
    hash.text(user.unwrap_or_default());
    hash.json(&request.tools);
    hash.json(&first);
    let conversation = hash.uuid();
    Key { prompt_cache_key: Cow::Owned(conversation.to_string()), conversation }
}

/// A digest of several values, each closed off from the next.
struct Hash(Sha256);

impl Hash {
    fn new(domain: &str) -> Self {
        let mut hash = Self(Sha256::new());
        hash.text(domain);
        hash
    }

    fn text(&mut self, text: &str) {
        self.0.update(text.len().to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn json(&mut self, value: &impl Serialize) {
        // Neither these values nor the digest can fail to be written.
        let _ = serde_json::to_writer(io::BufWriter::new(Sink(&mut self.0)), value);
        self.0.update([0]);
    }

    /// The digest in the form of a UUID (version 8: made by a rule of one's own).
    fn uuid(self) -> Uuid {
        let digest = self.0.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

struct Sink<'h>(&'h mut Sha256);

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
