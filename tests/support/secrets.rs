//! Made-up secrets, which nothing may show but the place that they are for.

/// The access token of a made-up login.
pub const FAKE_TOKEN: &str = "fake-access-token-canary";
/// Its refresh token.
pub const FAKE_REFRESH_TOKEN: &str = "fake-refresh-canary";
/// The account of the logins whose account is a secret, too.
pub const FAKE_ACCOUNT: &str = "account-canary";
/// An API key of the daemon.
pub const KEY: &str = "kx3-09Zqv_T1bWm4RsYd7A";

/// What no output may contain: the tokens above, how the secrets of the simulated sign-in service
/// begin, and how every JWT begins.
const SECRETS: [&str; 8] = [
    FAKE_TOKEN,
    FAKE_REFRESH_TOKEN,
    "rt_simulated",
    "ac_simulated",
    "sk-simulated",
    "verifier_simulated",
    "deviceauth_simulated",
    "eyJ",
];

/// The first secret that a text contains, and where.
pub fn find(text: &str) -> Option<(&'static str, usize)> {
    SECRETS.iter().find_map(|secret| Some((*secret, text.find(secret)?)))
}

/// Fails if a text contains a secret.
#[track_caller]
pub fn assert_clean(text: &str) {
    if let Some((secret, at)) = find(text) {
        let line = text[..at].matches('\n').count() + 1;
        panic!("{secret} is in line {line} of:\n{text}");
    }
}
