//! A login together with what renews it. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

use super::login::Login;

/// A token that ends within this time is renewed before it is used, as in the Codex CLI.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// How long a token without an end is good for, as in the Codex CLI.
const AGE: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Tokens that came this recently are not renewed while they live: whoever issues tokens that end
/// at once, or refuses new ones, is not asked again for each request.
pub(super) const REST: Duration = Duration::from_secs(30);

/// What the file holds.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) login: Arc<Login>,
    pub(super) refresh_token: Option<SecretString>,
    pub(super) last_refresh: Option<Timestamp>,
    /// The file's whole content.
    pub(super) content: SecretSlice<u8>,
}

/// Tells one set of tokens from another without holding them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

/// Whether the access token should be renewed before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Not yet, or it cannot be.
    No,
    /// It should be, but can still be used.
    Soon,
    /// It has ended.
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
    pub(super) fn is_same_account(&self, other: &Login) -> bool {
        self.login.account_id == other.account_id
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
    pub(super) fn due(&self, now: Timestamp) -> Due {
        if self.refresh_token.is_none() {
            return Due::No;
        }
        match self.login.expires_at {
            Some(end) if end <= now.as_second() => Due::Ended,
            Some(end) if seconds_until(end, now) <= MARGIN.as_secs() => Due::Soon,
            None if self.age(now).is_some_and(|age| age > AGE) => Due::Soon,
            Some(_) | None => Due::No,
        }
    }

    /// Whether the tokens came a moment ago.
    pub(super) fn is_new(&self, now: Timestamp) -> bool {
        self.age(now).is_some_and(|age| age < REST)
    }

    fn age(&self, now: Timestamp) -> Option<Duration> {
        // A refresh in the future says nothing.
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
        };
        Session {
            login: Arc::new(login),
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
            (Some(301), None, Due::No),
            (Some(300), None, Due::Soon),
            (Some(1), None, Due::Soon),
            (Some(0), None, Due::Ended),
            (Some(i64::MIN / 4), None, Due::Ended),
            (Some(301), Some(9 * DAY), Due::No),
            (None, Some(8 * DAY), Due::No),
            (None, Some(8 * DAY + 1), Due::Soon),
            (None, Some(-9 * DAY), Due::No),
            (None, None, Due::No),
        ] {
            let due = session(ends_in, refreshed_ago, Some("r")).due(now);
            assert_eq!(due, expected, "{ends_in:?} {refreshed_ago:?}");
            let due = session(ends_in, refreshed_ago, None).due(now);
            assert_eq!(due, Due::No, "nothing renews them");
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
