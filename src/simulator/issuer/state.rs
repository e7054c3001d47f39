//! What the service remembers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::tokens::{Tokens, secret};
use super::{Account, Call, Consent, Failure, Settings};

#[derive(Debug)]
pub(super) struct State {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) consent: Consent,
    pub(super) delay: Duration,
    pub(super) failures: VecDeque<Failure>,
    pub(super) calls: Vec<Call>,
    access: HashMap<String, Instant>,
    refresh: HashMap<String, Refresh>,
    revoked: HashSet<Uuid>,
    codes: HashMap<String, Code>,
    devices: Vec<Device>,
    personal: HashMap<String, Account>,
}

/// A refresh token and the sign-in that it descends from.
#[derive(Debug)]
struct Refresh {
    family: Uuid,
    account: Account,
    spent: bool,
}

#[derive(Debug)]
struct Code {
    account: Account,
    challenge: String,
    redirect_uri: String,
}

#[derive(Debug)]
pub(super) struct Device {
    pub(super) id: String,
    pub(super) user_code: String,
    pub(super) verifier: String,
    entered: bool,
    polls: usize,
}

/// How a device's question is answered.
pub(super) enum Asked {
    Unknown,
    /// How often it was asked before.
    Pending(usize),
    Entered {
        code: String,
        verifier: String,
        challenge: String,
    },
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        let inner = Inner {
            settings,
            consent: Consent::default(),
            delay: Duration::ZERO,
            failures: VecDeque::new(),
            calls: Vec::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            revoked: HashSet::new(),
            codes: HashMap::new(),
            devices: Vec::new(),
            personal: HashMap::new(),
        };
        Self { inner: Mutex::new(inner) }
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// Gives out tokens of a new sign-in or of one that there is.
    pub(super) fn issue(&mut self, account: &Account, family: Option<Uuid>) -> Tokens {
        let life = self.settings.token_life;
        let tokens = Tokens::new(account, life);
        self.access.insert(tokens.access_token.clone(), Instant::now() + life);
        let family = family.unwrap_or_else(Uuid::new_v4);
        let refresh = Refresh { family, account: account.clone(), spent: false };
        self.refresh.insert(tokens.refresh_token.clone(), refresh);
        tokens
    }

    pub(super) fn issue_personal_access_token(&mut self, account: &Account) -> String {
        let token = format!("at-{}", secret("pat_simulated"));
        self.personal.insert(token.clone(), account.clone());
        token
    }

    /// Whose a personal access token is.
    pub(super) fn whoami(&self, token: &str) -> Option<&Account> {
        self.personal.get(token)
    }

    /// Redeems a refresh token, or says why not.
    pub(super) fn redeem(&mut self, token: &str) -> Result<Tokens, Failure> {
        let refresh = self.refresh.get_mut(token).ok_or(Failure::InvalidGrant)?;
        if self.revoked.contains(&refresh.family) {
            return Err(Failure::Invalidated);
        }
        if std::mem::replace(&mut refresh.spent, true) {
            return Err(Failure::Reused);
        }
        let (account, family) = (refresh.account.clone(), refresh.family);
        Ok(self.issue(&account, Some(family)))
    }

    pub(super) fn is_live(&self, access_token: &str) -> bool {
        self.personal.contains_key(access_token)
            || self.access.get(access_token).is_some_and(|end| Instant::now() < *end)
    }

    pub(super) fn is_ended(&self, access_token: &str) -> bool {
        self.access.get(access_token).is_some_and(|end| Instant::now() >= *end)
    }

    pub(super) fn is_redeemable(&self, token: &str) -> bool {
        let found = self.refresh.get(token);
        found.is_some_and(|refresh| !refresh.spent && !self.revoked.contains(&refresh.family))
    }

    pub(super) fn expire_access_tokens(&mut self) {
        self.access.values_mut().for_each(|end| *end = Instant::now());
    }

    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(refresh) = self.refresh.get(token) {
            self.revoked.insert(refresh.family);
        }
    }

    /// A code for whoever holds the verifier of `challenge` and comes from `redirect_uri`.
    pub(super) fn code(&mut self, challenge: &str, redirect_uri: &str) -> String {
        let text = secret("ac_simulated");
        let code = Code {
            account: self.settings.account.clone(),
            challenge: challenge.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
        };
        self.codes.insert(text.clone(), code);
        text
    }

    pub(super) fn exchange(
        &mut self,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<Tokens, Failure> {
        let code = self.codes.remove(code).ok_or(Failure::InvalidGrant)?;
        if code.challenge != challenge(verifier) || code.redirect_uri != redirect_uri {
            return Err(Failure::InvalidGrant);
        }
        Ok(self.issue(&code.account, None))
    }

    pub(super) fn new_device(&mut self) -> &Device {
        let number = self.devices.len() + 1;
        self.devices.push(Device {
            id: secret("deviceauth_simulated"),
            user_code: format!("SIM{number}-{:05}", 12_345 + number),
            verifier: secret("verifier_simulated"),
            entered: false,
            polls: 0,
        });
        &self.devices[number - 1]
    }

    pub(super) fn enter_device_code(&mut self, user_code: &str) -> bool {
        let device = self.devices.iter_mut().find(|device| device.user_code == user_code);
        device.map(|device| device.entered = true).is_some()
    }

    pub(super) fn enter_last_device_code(&mut self) -> bool {
        self.devices.last_mut().map(|device| device.entered = true).is_some()
    }

    pub(super) fn poll(&mut self, id: &str, user_code: &str, redirect_uri: &str) -> Asked {
        let known = |device: &&mut Device| device.id == id && device.user_code == user_code;
        let Some(device) = self.devices.iter_mut().find(known) else { return Asked::Unknown };
        if !device.entered {
            device.polls += 1;
            return Asked::Pending(device.polls - 1);
        }
        let verifier = device.verifier.clone();
        let challenge = challenge(&verifier);
        let code = self.code(&challenge, redirect_uri);
        Asked::Entered { code, verifier, challenge }
    }
}

/// The challenge that belongs to a verifier (S256).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}
