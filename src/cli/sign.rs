//! Whose login a command uses that asks the backend itself.

use std::sync::Arc;

use super::exit::{Exit, Failure};
use crate::config::{Billing, Config};
use crate::credentials::{Store, api_key};
use crate::platform::Platform;
use crate::upstream::CredentialProvider;

/// A login, and which API it is for.
pub(super) struct Signed {
    pub(super) logins: Arc<dyn CredentialProvider>,
    pub(super) platform: Platform,
}

/// The login that the daemon would use with these settings: that of the store, or a key.
pub(super) async fn logins(config: &Config, store: Store) -> Result<Signed, Failure> {
    match &config.upstream.mode {
        Billing::ApiKey { variable, file } => {
            let (value, auth) = (std::env::var_os(variable), &store.location().path);
            let login = api_key(variable, value, file.as_deref(), auth)
                .map_err(|error| Failure::new(Exit::NotSignedIn, error))?;
            Ok(Signed { logins: Arc::new(login), platform: Platform::OpenAiApi })
        }
        Billing::ChatGpt => {
            let platform = store.platform().await;
            Ok(Signed { logins: Arc::new(store), platform })
        }
    }
}
