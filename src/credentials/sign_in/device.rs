//! The flow for machines without a browser: a code is typed in on another one. It is the service's
//! own, not that of RFC 8628.

use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep};

use super::{Error, redeem};
use crate::credentials::issuer::{DeviceCode, Issuer, Poll};
use crate::credentials::save::NewLogin;

/// A sign-in that waits for a code to be typed in.
#[derive(Debug)]
pub struct Device {
    issuer: Issuer,
    code: DeviceCode,
}

impl Device {
    /// Begins a sign-in.
    pub async fn start(issuer: Issuer) -> Result<Self, Error> {
        let code = issuer.device_code().await?.ok_or(Error::DeviceFlowOff)?;
        Ok(Self { issuer, code })
    }

    /// The page to open on any machine.
    pub fn address(&self) -> Url {
        self.issuer.address("/codex/device")
    }

    /// What to type in there.
    pub fn user_code(&self) -> &str {
        &self.code.user_code
    }

    /// Waits for the code to be typed in and gets the login.
    pub async fn finish(self, patience: Duration) -> Result<NewLogin, Error> {
        let deadline = Instant::now() + patience;
        let approval = loop {
            match self.issuer.poll(&self.code).await? {
                Poll::Approved(approval) => break approval,
                Poll::Pending if Instant::now() + self.code.interval() > deadline => {
                    return Err(Error::TimedOut { after: patience });
                }
                Poll::Pending => sleep(self.code.interval()).await,
            }
        };
        let redirect_uri = self.issuer.address("/deviceauth/callback");
        redeem(&self.issuer, &approval.code, &approval.verifier, redirect_uri.as_str()).await
    }
}
