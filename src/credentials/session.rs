//! A login with its refresh token. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

use super::login::Login;

/// A token that expires within this time is renewed before it is used, as in the Codex CLI.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);

/// The lifetime of a token without an expiry time, as in the Codex CLI.
const MAX_TOKEN_AGE: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Tokens this recent, or whose renewal failed this recently, are used as they are: so there is not
/// one renewal per request if a service issues expired tokens, or none.
pub(super) const REFRESH_COOLDOWN: Duration = Duration::from_secs(30);

/// How far this machine's clock may be ahead before tokens are judged by the service's clock, in
/// seconds.
const TOLERATED_SKEW: i64 = 5 * 60;

/// What the file holds.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) login: Arc<Login>,
    /// What kind of bearer it is.
    pub(super) kind: Kind,
    pub(super) refresh_token: Option<SecretString>,
    pub(super) last_refresh: Option<Timestamp>,
    /// The file's whole content.
    pub(super) content: SecretSlice<u8>,
}

/// What kind of bearer a login has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The access token of a sign-in, or a key of the platform.
    Token,
    /// A personal access token, which says nothing about itself. Nothing renews it.
    PersonalAccessToken,
}

/// Identifies a set of tokens without containing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

/// Whether the access token should be renewed before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefreshState {
    /// Not yet, or it cannot be.
    No,
    /// It should be, but is still valid.
    Soon,
    /// It has expired.
    Ended,
}

impl Session {
    /// Which set of tokens this is.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut digest = Sha256::new();
        for token in [Some(&self.login.access_token), self.refresh_token.as_ref()] {
            let token = token.map_or("", |token| token.expose_secret());
            digest.update(token.len().to_le_bytes());
            digest.update(token);
        }
        Fingerprint(digest.finalize().into())
    }

    /// Whether another set belongs to the same account.
    pub(super) fn is_same_account(&self, other: &Self) -> bool {
        self.login.is_same_account(&other.login)
    }

    /// Whether the account is still to be asked for: the backend wants to be told it.
    pub(super) fn is_unresolved(&self) -> bool {
        self.kind == Kind::PersonalAccessToken && self.login.account_id.is_none()
    }

    /// Whether another set is renewed by the same token.
    pub(super) fn has_same_refresh_token(&self, other: &Session) -> bool {
        match (&self.refresh_token, &other.refresh_token) {
            (Some(mine), Some(theirs)) => mine.expose_secret() == theirs.expose_secret(),
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether the access token should be renewed.
    pub(super) fn due(&self, now: Timestamp) -> RefreshState {
        if self.refresh_token.is_none() {
            return RefreshState::No;
        }
        let now = self.services_time(now);
        match self.login.expires_at {
            Some(end) if end <= now.as_second() => RefreshState::Ended,
            Some(end) if seconds_until(end, now) <= REFRESH_BEFORE.as_secs() => RefreshState::Soon,
            None if self.age(now).is_some_and(|age| age > MAX_TOKEN_AGE) => RefreshState::Soon,
            Some(_) | None => RefreshState::No,
        }
    }

    /// Whether the tokens were just issued.
    pub(super) fn is_new(&self, now: Timestamp) -> bool {
        self.age(now).is_some_and(|age| age < REFRESH_COOLDOWN)
    }

    /// Whether the token's end has passed, also of one that nothing renews.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        let now = self.services_time(now);
        self.login.expires_at.is_some_and(|end| end <= now.as_second())
    }

    /// How far this machine's clock was ahead of the service's when the tokens came, in seconds,
    /// if it was far: the one wrote `last_refresh` in the moment in which the other one wrote
    /// `iat`. A clock that is behind needs nothing: the backend refuses what has ended, and an old
    /// `last_refresh` may also come from a program that does not write it.
    pub(super) fn clock_skew(&self) -> Option<i64> {
        let received = self.last_refresh?.as_second();
        let skew = received.checked_sub(self.login.issued_at?)?;
        (skew > TOLERATED_SKEW).then_some(skew)
    }

    /// The time by the service's clock. Where this is wrong, as after somebody has set the clock,
    /// the backend refuses a token that is taken to live, and it is renewed then.
    fn services_time(&self, now: Timestamp) -> Timestamp {
        let skew = SignedDuration::from_secs(self.clock_skew().unwrap_or(0));
        now.checked_sub(skew).unwrap_or(now)
    }

    fn age(&self, now: Timestamp) -> Option<Duration> {
        // A refresh time in the future is ignored.
        now.duration_since(self.last_refresh?).try_into().ok()
    }
}

fn seconds_until(end: i64, now: Timestamp) -> u64 {
    end.saturating_sub(now.as_second()).try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    fn session(ends_in: Option<i64>, refreshed_ago: Option<i64>, refresh: Option<&str>) -> Session {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let login = Login {
            platform: Platform::Codex,
            access_token: "a".into(),
            account_id: None,
            plan: None,
            email: None,
            fedramp: false,
            residency: None,
            expires_at: ends_in.map(|seconds| now.as_second() + seconds),
            issued_at: None,
        };
        Session {
            login: Arc::new(login),
            kind: Kind::Token,
            refresh_token: refresh.map(SecretString::from),
            last_refresh: refreshed_ago
                .map(|ago| Timestamp::from_second(now.as_second() - ago).unwrap()),
            content: Vec::new().into(),
        }
    }

    #[test]
    fn tokens_are_renewed_before_they_end() {
        const DAY: i64 = 24 * 60 * 60;
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        for (ends_in, refreshed_ago, expected) in [
            (Some(301), None, RefreshState::No),
            (Some(300), None, RefreshState::Soon),
            (Some(1), None, RefreshState::Soon),
            (Some(0), None, RefreshState::Ended),
            (Some(i64::MIN / 4), None, RefreshState::Ended),
            (Some(301), Some(9 * DAY), RefreshState::No),
            (None, Some(8 * DAY), RefreshState::No),
            (None, Some(8 * DAY + 1), RefreshState::Soon),
            (None, Some(-9 * DAY), RefreshState::No),
            (None, None, RefreshState::No),
        ] {
            let due = session(ends_in, refreshed_ago, Some("r")).due(now);
            assert_eq!(due, expected, "{ends_in:?} {refreshed_ago:?}");
            let due = session(ends_in, refreshed_ago, None).due(now);
            assert_eq!(due, RefreshState::No, "nothing renews them");
        }
    }

    #[test]
    fn tokens_are_judged_by_the_clock_that_issued_them() {
        const HOUR: i64 = 60 * 60;
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        // Issued and ending by the service's clock, received and now by this machine's.
        for (issued_ago, ends_in, received_ago, skew, expected) in [
            (10, HOUR, 10, None, RefreshState::No),
            (10 + 290, 0, 10, None, RefreshState::Ended),
            // The clock is two hours fast: a token for an hour seems to have ended when it comes.
            (10 + 2 * HOUR, -HOUR, 10, Some(2 * HOUR), RefreshState::No),
            (3500 + 2 * HOUR, 100 - 2 * HOUR, 3500, Some(2 * HOUR), RefreshState::Soon),
            (3700 + 2 * HOUR, -100 - 2 * HOUR, 3700, Some(2 * HOUR), RefreshState::Ended),
            // Two hours slow: the backend will tell that it has ended.
            (3700 - 2 * HOUR, 2 * HOUR - 100, 3700, None, RefreshState::No),
            // A login that others have copied here long after it was issued is no clock.
            (10 * HOUR, HOUR, 10 * HOUR, None, RefreshState::No),
        ] {
            let mut session = session(Some(ends_in), Some(received_ago), Some("r"));
            let login = Arc::get_mut(&mut session.login).unwrap();
            login.issued_at = Some(now.as_second() - issued_ago);
            assert_eq!(session.clock_skew(), skew, "{issued_ago} {ends_in} {received_ago}");
            assert_eq!(session.due(now), expected, "{issued_ago} {ends_in} {received_ago}");
        }
    }

    #[test]
    fn a_moment_ago_is_not_in_the_future() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        for (ago, expected) in [(0, true), (29, true), (30, false), (-1, false)] {
            assert_eq!(session(None, Some(ago), None).is_new(now), expected, "{ago}");
        }
        assert!(!session(None, None, None).is_new(now));
    }

    #[test]
    fn sets_differ_when_either_token_does() {
        let fingerprint = |access: &str, refresh: Option<&str>| {
            let mut session = session(None, None, refresh);
            Arc::get_mut(&mut session.login).unwrap().access_token = access.into();
            session.fingerprint()
        };
        let first = fingerprint("ab", Some("c"));
        assert_eq!(first, fingerprint("ab", Some("c")));
        for other in [("a", Some("bc")), ("ab", None), ("ab", Some("d")), ("x", Some("c"))] {
            assert_ne!(first, fingerprint(other.0, other.1), "{other:?}");
        }
    }
}
