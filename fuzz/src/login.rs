//! The file of the login: what is read of it, and what becomes of it when the login is renewed.

use codex_proxy::credentials::NewDocument;
use codex_proxy::credentials::issuer::Tokens;
use codex_proxy::platform::Platform;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use serde_json::value::RawValue;

/// Shorter texts occur in names of fields by chance, unless they have this in them.
const SHORTEST: usize = 40;
const MARK: &str = "hush";

/// An `auth.json`: no secret of it is shown, and a renewal changes nothing in it but the tokens.
pub fn auth(data: &[u8]) {
    let secrets = secrets(data);
    let document = match NewDocument::new(data.to_vec().into()) {
        Ok(document) => document,
        Err(error) => return check_hidden(&format!("{error} {error:?}"), &secrets, &[]),
    };
    let login = document.login();
    // These may be shown, whatever else they are.
    let open = [&login.account_id, &login.plan, &login.email].map(|text| text.as_deref());
    check_hidden(&format!("{document:?} {login:?}"), &secrets, &open);
    if document.has_tokens() {
        check_renewal(data, &document);
    }
}

fn check_renewal(data: &[u8], document: &NewDocument) {
    let token = |text: &str| Some(text.to_owned().into());
    let tokens = Tokens {
        id_token: None,
        access_token: token("new-access-token"),
        refresh_token: token("new-refresh-token"),
    };
    let renewed = document.renewed(&tokens, Timestamp::UNIX_EPOCH);
    let old = std::str::from_utf8(data).expect("a document is UTF-8");
    let (before, after) = (members(old), members(&renewed));
    let (before, after) = (before.expect("an object"), after.expect("an object"));
    check_kept(&before, &after, &["tokens", "last_refresh"]);
    let inner = |members: &[(String, String)]| {
        let (_, text) = members.iter().find(|(name, _)| name == "tokens")?;
        self::members(text)
    };
    let changed = ["access_token", "refresh_token"];
    check_kept(&inner(&before).unwrap_or_default(), &inner(&after).expect("an object"), &changed);

    let read = NewDocument::new(renewed.as_bytes().to_vec().into()).expect("it is a login still");
    assert_eq!(read.login().platform, Platform::Codex);
    assert_eq!(read.login().access_token.expose_secret(), "new-access-token");
    assert_eq!(*read.renewed(&tokens, Timestamp::UNIX_EPOCH), *renewed, "again, nothing changes");
}

/// Members that are not to be changed are there as they were, byte for byte and in their order.
fn check_kept(before: &[(String, String)], after: &[(String, String)], changed: &[&str]) {
    let kept = |members: &[(String, String)]| -> Vec<_> {
        members.iter().filter(|(name, _)| !changed.contains(&name.as_str())).cloned().collect()
    };
    assert_eq!(kept(before), kept(after));
    for name in changed {
        assert_eq!(after.iter().filter(|(known, _)| known == name).count(), 1, "{name}");
    }
}

/// The members of an object with the texts of their values, each once.
fn members(text: &str) -> Option<Vec<(String, String)>> {
    struct Members(Vec<(String, String)>);

    impl<'de> serde::Deserialize<'de> for Members {
        fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
            struct Read;
            impl<'de> serde::de::Visitor<'de> for Read {
                type Value = Members;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Members, A::Error> {
                    let mut members = Vec::<(String, String)>::new();
                    while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                        let value = value.get().to_owned();
                        match members.iter_mut().find(|(known, _)| *known == name) {
                            // Of a repeated one the last counts.
                            Some((_, before)) => *before = value,
                            None => members.push((name, value)),
                        }
                    }
                    Ok(Members(members))
                }
            }
            input.deserialize_map(Read)
        }
    }

    serde_json::from_str::<Members>(text.trim_start_matches('\u{FEFF}'))
        .ok()
        .map(|members| members.0)
}

/// The strings that are secrets, as far as there are any.
fn secrets(data: &[u8]) -> Vec<String> {
    let data = data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data);
    let Ok(file) = serde_json::from_slice::<Value>(data) else { return Vec::new() };
    let tokens = &file["tokens"];
    [
        &file["OPENAI_API_KEY"],
        &file["personal_access_token"],
        &file["bedrock_api_key"],
        &tokens["access_token"],
        &tokens["refresh_token"],
        &tokens["id_token"],
    ]
    .into_iter()
    .filter_map(|value| Some(value.as_str()?.trim().to_owned()))
    .filter(|text| text.len() >= SHORTEST || text.contains(MARK))
    // A kind of login that nobody knows is named.
    .filter(|text| !file["auth_mode"].as_str().is_some_and(|mode| mode.contains(text.as_str())))
    .collect()
}

fn check_hidden(shown: &str, secrets: &[String], open: &[Option<&str>]) {
    for secret in secrets {
        let is_open = open.iter().flatten().any(|text| text.contains(secret.as_str()));
        assert!(is_open || !shown.contains(secret.as_str()), "a secret is shown: {shown}");
    }
}
