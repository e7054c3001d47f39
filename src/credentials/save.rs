//! Saving a new login, and signing out.

use std::io::ErrorKind;

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::atomic_replace::{self, AtomicReplace};
use super::document::Document;
use super::error::Error;
use super::file::{self, parse};
use super::issuer::{self, Tokens};
use super::lock::CodexLocks;
use super::login::Login;
use super::login_file::LIMIT;
use super::refresh::{blocking, look_locked, with_tokens};
use super::session::{Kind, Session};
use super::store::Store;
use crate::plain_file;
use crate::platform::Platform;

/// The result of a sign-in.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// The tokens; all three, or the sign-in would have failed.
    pub(super) tokens: Tokens,
    /// A key of the platform, for accounts that can have one.
    pub(super) api_key: Option<SecretString>,
}

impl NewLogin {
    /// Whose login it is.
    pub fn login(&self) -> Login {
        let access_token = self.tokens.access_token.clone().unwrap_or_default();
        file::login(access_token, self.tokens.id_token.as_ref(), None)
    }
}

/// A whole `auth.json` from another machine.
#[derive(Debug)]
pub struct NewDocument(Session);

impl NewDocument {
    /// Checks that there is a login in it.
    pub fn new(content: SecretSlice<u8>) -> Result<Self, Error> {
        parse(content, std::path::Path::new("the document on standard input")).map(Self)
    }

    /// Whose login it is.
    pub fn login(&self) -> &Login {
        &self.0.login
    }

    /// Whether the login is made of tokens that a renewal replaces: it is neither a key nor a
    /// personal access token.
    pub fn has_tokens(&self) -> bool {
        self.0.kind == Kind::Token && self.0.login.platform == Platform::Codex
    }

    /// The text of the document after a renewal at `now` that gave `tokens`.
    pub fn renewed(&self, tokens: &Tokens, now: Timestamp) -> Zeroizing<String> {
        with_tokens(self.0.content.expose_secret(), tokens, now)
    }
}

impl Store {
    /// Writes a new login as the Codex CLI would.
    pub async fn save(&self, new: &NewLogin) -> Result<(), Error> {
        let (account_id, now) = (new.login().account_id, Timestamp::now());
        let NewLogin { tokens, api_key } = new.clone();
        self.write(move |old| {
            let mut document = Document::parse(old).unwrap_or_default();
            document.set("auth_mode", "chatgpt");
            match &api_key {
                Some(key) => document.set("OPENAI_API_KEY", key.expose_secret()),
                None => document.set_null("OPENAI_API_KEY"),
            }
            document.within("tokens", |members| {
                members.set_tokens(&tokens);
                match &account_id {
                    Some(id) => members.set("account_id", id),
                    None => members.set_null("account_id"),
                }
            });
            document.set("last_refresh", &now.to_string());
            document.into_text()
        })
        .await
    }

    /// Revokes a new login that is not used after all.
    pub async fn discard(&self, new: &NewLogin) {
        if let Some(token) = &new.tokens.refresh_token {
            // It expires by itself.
            let _ = self.shared.issuer.revoke(token).await;
        }
    }

    /// Writes a whole `auth.json` from another machine.
    pub async fn save_document(&self, new: &NewDocument) -> Result<(), Error> {
        // It is UTF-8, or it would not have been parsed.
        let text = String::from_utf8_lossy(new.0.content.expose_secret()).into_owned();
        let text = Zeroizing::new(text);
        self.write(move |_| text.clone()).await
    }

    /// Revokes the login at the service, if possible, and removes the file. Returns the service's
    /// error.
    pub async fn sign_out(&self) -> Result<Option<issuer::Error>, Error> {
        let shared = &self.shared;
        let places = shared.reader.location().places();
        let _lock = shared.renewal_lock(&places).await?;
        let before = shared.reader.reload().await;
        let complaint = self.revoke(before.as_deref().ok()).await;
        let location = shared.reader.location().clone();
        let removed = blocking(move || {
            let places = location.places();
            let locks = CodexLocks::open(&places.codex_locks);
            let (_held, disk) = look_locked(&locks, &location);
            atomic_replace::discard(&places);
            std::fs::remove_file(&places.target)?;
            Ok(disk)
        });
        match removed.await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(before.err().unwrap_or_else(|| shared.unwritable(error)))
            }
            Err(error) => Err(shared.unwritable(error)),
            Ok(disk) => {
                // Another program may have renewed it while the service was asked.
                let is_same = |disk: &Session| {
                    before.as_ref().is_ok_and(|before| before.has_same_refresh_token(disk))
                };
                match disk.ok().filter(|disk| !is_same(disk)) {
                    Some(newer) => Ok(self.revoke(Some(&*newer)).await.or(complaint)),
                    None => Ok(complaint),
                }
            }
        }
    }

    async fn revoke(&self, session: Option<&Session>) -> Option<issuer::Error> {
        self.shared.issuer.revoke(session?.refresh_token.as_ref()?).await.err()
    }

    /// Replaces the file by what `change` makes of it, and of nothing if there is none.
    async fn write(
        &self,
        change: impl Fn(&[u8]) -> Zeroizing<String> + Send + 'static,
    ) -> Result<(), Error> {
        let shared = &self.shared;
        let places = shared.reader.location().places();
        make_folder(places.folder()).map_err(|error| shared.unwritable(error))?;
        let _lock = shared.renewal_lock(&places).await?;
        let written = blocking(move || {
            let changed = || {
                let old = match plain_file::read(&places.target, LIMIT) {
                    Ok(old) => Zeroizing::new(old),
                    Err(error) if error.kind() == ErrorKind::NotFound => Zeroizing::default(),
                    // A file that cannot be read is not overwritten.
                    Err(error) => return Err(error),
                };
                Ok(change(&old))
            };
            let mut slot = AtomicReplace::prepare(places.clone())?;
            slot.write_ahead(changed()?.as_bytes())?;
            slot.sync()?;
            let locks = CodexLocks::open(&places.codex_locks);
            let held = locks.acquire();
            let written = slot.commit(changed()?.as_bytes())?;
            drop(held);
            atomic_replace::sync_folder(&places);
            Ok(written)
        });
        shared.tell(written.await.map_err(|error| shared.unwritable(error))?);
        Ok(())
    }
}

/// Private, like the Codex CLI's own.
fn make_folder(folder: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
