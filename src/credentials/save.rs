//! A new login in the place of the old one, and none in the place of one.

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::document::Document;
use super::error::Error;
use super::file::{self, parse};
use super::issuer::{self, Tokens};
use super::login::Login;
use super::renew::with_tokens;
use super::replace::{self, Slot};
use super::session::Session;
use super::store::Store;

/// What the sign-in service gave at the end of a sign-in.
#[derive(Debug)]
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

/// A whole `auth.json` that comes from elsewhere.
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

    /// The text of the document after a renewal at `now` that gave `tokens`.
    pub fn renewed(&self, tokens: &Tokens, now: Timestamp) -> Zeroizing<String> {
        with_tokens(self.0.content.expose_secret(), tokens, now)
    }
}

impl Store {
    /// Writes a new login as the Codex CLI would.
    pub async fn save(&self, new: &NewLogin) -> Result<(), Error> {
        let account_id = new.login().account_id;
        self.write(|old| {
            let mut document = Document::parse(old).unwrap_or_default();
            document.set("auth_mode", "chatgpt");
            match &new.api_key {
                Some(key) => document.set("OPENAI_API_KEY", key.expose_secret()),
                None => document.set_null("OPENAI_API_KEY"),
            }
            document.within("tokens", |members| {
                members.set_tokens(&new.tokens);
                match &account_id {
                    Some(id) => members.set("account_id", id),
                    None => members.set_null("account_id"),
                }
            });
            document.set("last_refresh", &Timestamp::now().to_string());
            document.into_text()
        })
        .await
    }

    /// Ends a login at the service that is not to be used after all.
    pub async fn discard(&self, new: &NewLogin) {
        if let Some(token) = &new.tokens.refresh_token {
            // It ends by itself some day.
            let _ = self.shared.issuer.revoke(token).await;
        }
    }

    /// Writes a whole `auth.json` that comes from elsewhere.
    pub async fn save_document(&self, new: &NewDocument) -> Result<(), Error> {
        // It is UTF-8, or it would not have been parsed.
        let text = String::from_utf8_lossy(new.0.content.expose_secret()).into_owned();
        self.write(|_| Zeroizing::new(text)).await
    }

    /// Ends the login at the service, as far as that can be, and removes the file. Gives what went
    /// wrong at the service.
    pub async fn sign_out(&self) -> Result<Option<issuer::Error>, Error> {
        let places = self.shared.reader.location().places();
        let _lock = self.shared.lock(&places).await?;
        let session = self.shared.reader.reload().await;
        let token = session.as_ref().ok().and_then(|session| session.refresh_token.clone());
        let complaint = match token {
            Some(token) => self.shared.issuer.revoke(&token).await.err(),
            None => None,
        };
        replace::discard(&places);
        match std::fs::remove_file(&places.target) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(session.err().unwrap_or_else(|| self.shared.unwritable(error)))
            }
            Err(error) => Err(self.shared.unwritable(error)),
            Ok(()) => Ok(complaint),
        }
    }

    /// Replaces the file by what `change` makes of it.
    async fn write(&self, change: impl FnOnce(&[u8]) -> Zeroizing<String>) -> Result<(), Error> {
        let shared = &self.shared;
        let places = shared.reader.location().places();
        make_folder(places.folder()).map_err(|error| shared.unwritable(error))?;
        let _lock = shared.lock(&places).await?;
        let old = Zeroizing::new(std::fs::read(&places.target).unwrap_or_default());
        let content = change(&old);
        let written = Slot::prepare(places).and_then(|slot| slot.commit(content.as_bytes()));
        shared.tell(written.map_err(|error| shared.unwritable(error))?);
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
