//! The content of `auth.json`. Pure.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::claims::{Claims, lenient};
use super::document::Document;
use super::error::{Error, Mode};
use super::login::Login;
use super::session::{Kind, Session};
use crate::platform::Platform;

/// The file, as far as it matters here; whatever else is in it is ignored.
#[derive(Deserialize)]
struct File<'a> {
    #[serde(default, deserialize_with = "lenient")]
    auth_mode: Option<String>,
    #[serde(default, borrow, rename = "OPENAI_API_KEY")]
    api_key: Option<&'a RawValue>,
    #[serde(default, borrow)]
    tokens: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    last_refresh: Option<String>,
    #[serde(default)]
    agent_identity: Option<IgnoredAny>,
    #[serde(default, borrow)]
    personal_access_token: Option<&'a RawValue>,
    #[serde(default)]
    bedrock_api_key: Option<IgnoredAny>,
}

/// The tokens as they stand in the file: they are made into strings once, and those are zeroed.
#[derive(Default, Deserialize)]
struct Tokens<'a> {
    #[serde(default, borrow)]
    id_token: Option<&'a RawValue>,
    #[serde(default, borrow)]
    access_token: Option<&'a RawValue>,
    #[serde(default, borrow)]
    refresh_token: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    account_id: Option<String>,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// Which of the file's bearers is the login.
enum Bearer {
    Tokens,
    Key,
    PersonalAccessToken,
}

impl File<'_> {
    /// Which of the file's bearers is the login, or its kind if it is none that can be used. Where
    /// the file does not say, the Codex CLI's order of inference applies, so that both programs
    /// see the same login.
    fn bearer(&self) -> Result<Bearer, Mode> {
        let is_agent = || {
            let tokens = self.tokens();
            self.agent_identity.is_some()
                && Tokens::of(&tokens).access_token.and_then(secret).is_none()
        };
        Err(match self.auth_mode.as_deref() {
            Some("chatgpt" | "chatgptAuthTokens") => return Ok(Bearer::Tokens),
            Some("apikey") => return Ok(Bearer::Key),
            Some("personalAccessToken") => return Ok(Bearer::PersonalAccessToken),
            Some("agentIdentity") => Mode::AgentIdentity,
            Some("bedrockApiKey") => Mode::Bedrock,
            Some("headers") => Mode::Headers,
            Some(other) => Mode::Unknown(other.chars().take(40).collect()),
            None if self.personal_access_token.and_then(secret).is_some() => {
                return Ok(Bearer::PersonalAccessToken);
            }
            None if self.bedrock_api_key.is_some() => Mode::Bedrock,
            None if self.api_key.and_then(secret).is_some() => return Ok(Bearer::Key),
            None if is_agent() => Mode::AgentIdentity,
            None => return Ok(Bearer::Tokens),
        })
    }

    /// The text of the tokens, each once. Anything but an object holds none.
    fn tokens(&self) -> Zeroizing<String> {
        let tokens = self.tokens.map_or("{}", RawValue::get);
        Document::parse(tokens.as_bytes()).unwrap_or_default().into_text()
    }
}

/// The login in a file's content; `path` is for messages.
pub(super) fn parse(content: SecretSlice<u8>, path: &Path) -> Result<Session, Error> {
    let path = || path.to_owned();
    let malformed = |line, column| Error::Malformed { path: path(), line, column };
    // All of it, not only what is read: a renewal has to keep the rest.
    let text = std::str::from_utf8(content.expose_secret()).map_err(|error| {
        let before = &content.expose_secret()[..error.valid_up_to()];
        let mut lines = before.split(|&byte| byte == b'\n');
        malformed(lines.clone().count(), lines.next_back().map_or(0, <[u8]>::len) + 1)
    })?;
    let document = Document::parse(text.as_bytes());
    let document = document.map_err(|error| malformed(error.line(), error.column()))?.into_text();
    let file: File<'_> =
        serde_json::from_str(&document).map_err(|error| malformed(error.line(), error.column()))?;
    match file.bearer().map_err(|mode| Error::UnsupportedMode { path: path(), mode })? {
        Bearer::Key => {
            let Some(key) = file.api_key.and_then(secret) else {
                return Err(Error::NoKey { path: path() });
            };
            return Ok(unrenewable(Login::api_key(key), Kind::Token, content));
        }
        Bearer::PersonalAccessToken => {
            let Some(token) = file.personal_access_token.and_then(secret) else {
                return Err(Error::NoToken { path: path() });
            };
            return Ok(personal_access_token(token, content));
        }
        Bearer::Tokens => {}
    }
    let last_refresh = file.last_refresh.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let tokens = file.tokens();
    let Tokens { id_token, access_token, refresh_token, account_id } = Tokens::of(&tokens);
    let Some(access_token) = access_token.and_then(secret) else {
        return Err(Error::NoToken { path: path() });
    };
    let (id_token, refresh_token) = (id_token.and_then(secret), refresh_token.and_then(secret));
    let login = Arc::new(login(access_token, id_token.as_ref(), account_id));
    Ok(Session { login, kind: Kind::Token, refresh_token, last_refresh, content })
}

/// The login that is a personal access token. Its account is asked for later.
pub(super) fn personal_access_token(token: SecretString, content: SecretSlice<u8>) -> Session {
    unrenewable(login(token, None, None), Kind::PersonalAccessToken, content)
}

/// A login that nothing renews.
fn unrenewable(login: Login, kind: Kind, content: SecretSlice<u8>) -> Session {
    Session { login: Arc::new(login), kind, refresh_token: None, last_refresh: None, content }
}

/// The key of the OpenAI platform in a file's content, whatever else it holds.
pub(super) fn api_key(content: &[u8]) -> Option<SecretString> {
    let document = Document::parse(content).ok()?.into_text();
    serde_json::from_str::<File<'_>>(&document).ok()?.api_key.and_then(secret)
}

/// What tokens say about themselves, and the account that the file names.
pub(super) fn login(
    access_token: SecretString,
    id_token: Option<&SecretString>,
    account_id: Option<String>,
) -> Login {
    let access = Claims::of(access_token.expose_secret()).unwrap_or_default();
    // The id token is about the account, the access token about the session: the first is asked
    // first. It may be missing or odd as long as the bearer is there.
    let id = id_token.and_then(|token| Claims::of(token.expose_secret())).unwrap_or_default();
    let either = |claim: fn(&Claims) -> Option<&str>| {
        claim(&id).or_else(|| claim(&access)).map(str::to_owned)
    };
    Login {
        platform: Platform::Codex,
        account_id: account_id
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty())
            .or_else(|| either(Claims::account_id)),
        plan: either(Claims::plan),
        email: either(Claims::email),
        fedramp: id.is_fedramp() || access.is_fedramp(),
        residency: access.residency().map(str::to_owned),
        expires_at: access.expires_at,
        issued_at: access.issued_at,
        access_token,
    }
}

/// A JSON string that is not blank; anything else counts as absent.
fn secret(value: &RawValue) -> Option<SecretString> {
    let text: Zeroizing<String> = Zeroizing::new(serde_json::from_str(value.get()).ok()?);
    let text = text.trim();
    (!text.is_empty()).then(|| SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn token(account: &str, plan: &str) -> String {
        let auth = json!({"chatgpt_account_id": account, "chatgpt_plan_type": plan});
        let claims = json!({"exp": 17, "email": format!("{plan}@example.com"),
                            "https://api.openai.com/auth": auth});
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn session(file: &Value) -> Result<Session, Error> {
        parse(file.to_string().into_bytes().into(), Path::new("/home/jo/.codex/auth.json"))
    }

    fn read(file: &Value) -> Result<Arc<Login>, Error> {
        session(file).map(|session| session.login)
    }

    fn mode(file: &Value) -> Option<Mode> {
        match read(file) {
            Err(Error::UnsupportedMode { mode, .. }) => Some(mode),
            _ => None,
        }
    }

    #[test]
    fn a_usual_file_is_a_login() {
        let login = read(&json!({
            "auth_mode": "chatgpt", "OPENAI_API_KEY": null, "last_refresh": "2026-08-11T07:03:00Z",
            "tokens": {"id_token": token("id-acc", "pro"), "access_token": token("at-acc", "plus"),
                       "refresh_token": "rt", "account_id": "own-acc"},
            "something_new": [1, 2],
        }))
        .unwrap();
        assert_eq!(login.access_token.expose_secret(), token("at-acc", "plus"));
        assert_eq!(login.account_id.as_deref(), Some("own-acc"));
        assert_eq!(login.plan.as_deref(), Some("pro"));
        assert_eq!(login.email.as_deref(), Some("pro@example.com"));
        assert_eq!(login.expires_at, Some(17), "an ended token is for the backend to refuse");
        assert!(!login.fedramp);
    }

    #[test]
    fn what_renews_a_login_is_kept_with_it() {
        let tokens = json!({"access_token": "a", "refresh_token": " rt ", "id_token": 7});
        let file = json!({"tokens": tokens, "last_refresh": "2026-08-11T07:03:00.000000Z"});
        let found = session(&file).unwrap();
        assert_eq!(found.refresh_token.unwrap().expose_secret(), "rt");
        assert_eq!(found.last_refresh.unwrap().to_string(), "2026-08-11T07:03:00Z");
        assert_eq!(found.content.expose_secret(), file.to_string().as_bytes());
        let file = json!({"tokens": {"access_token": "a", "refresh_token": ""}, "last_refresh": 3});
        let found = session(&file).unwrap();
        assert!(found.refresh_token.is_none() && found.last_refresh.is_none());
    }

    #[test]
    fn a_missing_account_id_comes_from_the_id_token_or_else_the_access_token() {
        let (id, access) = (token("id-acc", "x"), token("at-acc", "x"));
        let cases = [
            (json!({"id_token": id, "access_token": access}), Some("id-acc")),
            (json!({"id_token": id, "access_token": access, "account_id": " "}), Some("id-acc")),
            (json!({"id_token": "odd", "access_token": access}), Some("at-acc")),
            (json!({"access_token": access}), Some("at-acc")),
            (json!({"access_token": "opaque", "account_id": null}), None),
        ];
        for (tokens, expected) in cases {
            let login = read(&json!({"tokens": tokens})).unwrap();
            assert_eq!(login.account_id.as_deref(), expected, "{tokens}");
        }
    }

    #[test]
    fn a_personal_access_token_is_a_login_without_an_account() {
        let tokens = json!({"access_token": "opaque", "refresh_token": "rt"});
        for (file, expected) in [
            (json!({"personal_access_token": "at-fake"}), Some("at-fake")),
            (
                json!({"auth_mode": "personalAccessToken", "personal_access_token": " at-fake ",
                       "tokens": tokens, "OPENAI_API_KEY": "sk-fake"}),
                Some("at-fake"),
            ),
            (json!({"auth_mode": "personalAccessToken", "tokens": tokens}), None),
            (json!({"auth_mode": "chatgpt", "personal_access_token": "at-fake"}), None),
            (json!({"personal_access_token": null}), None),
        ] {
            let found = session(&file);
            let Some(expected) = expected else {
                assert!(matches!(found, Err(Error::NoToken { .. })), "{file}");
                continue;
            };
            let found = found.unwrap();
            assert_eq!(found.login.access_token.expose_secret(), expected, "{file}");
            assert!(found.is_unresolved() && found.refresh_token.is_none(), "{file}");
        }
        let both = json!({"personal_access_token": null, "tokens": tokens});
        assert!(!session(&both).unwrap().is_unresolved());
    }

    #[test]
    fn other_kinds_of_login_are_named() {
        let tokens = json!({"access_token": "opaque"});
        let cases = [
            (json!({"OPENAI_API_KEY": "", "tokens": tokens}), None),
            (json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": "sk-fake", "tokens": tokens}), None),
            (json!({"auth_mode": "chatgptAuthTokens", "tokens": tokens}), None),
            (json!({"bedrock_api_key": "fake"}), Some(Mode::Bedrock)),
            (json!({"agent_identity": {}}), Some(Mode::AgentIdentity)),
            (json!({"auth_mode": "agentIdentity"}), Some(Mode::AgentIdentity)),
            (json!({"auth_mode": "headers"}), Some(Mode::Headers)),
            (json!({"auth_mode": "telepathy"}), Some(Mode::Unknown("telepathy".to_owned()))),
        ];
        for (file, expected) in cases {
            assert_eq!(mode(&file), expected, "{file}");
        }
        let message = read(&json!({"auth_mode": "headers"})).unwrap_err().to_string();
        assert!(message.contains("contains headers of a host application"), "{message}");
        assert!(message.contains("`codex-proxy login`"), "{message}");
    }

    #[test]
    fn a_key_is_a_login_where_the_codex_cli_uses_it() {
        let tokens = json!({"access_token": "opaque", "refresh_token": "rt"});
        for (file, expected) in [
            (json!({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-fake"}), Platform::OpenAiApi),
            (json!({"OPENAI_API_KEY": "sk-fake", "tokens": tokens}), Platform::OpenAiApi),
            (json!({"OPENAI_API_KEY": null, "tokens": tokens}), Platform::Codex),
            (
                json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": "sk-fake", "tokens": tokens}),
                Platform::Codex,
            ),
        ] {
            let session = session(&file).unwrap();
            assert_eq!(session.login.platform, expected, "{file}");
            let (token, is_renewable) = match expected {
                Platform::OpenAiApi => ("sk-fake", false),
                Platform::Codex => ("opaque", true),
            };
            assert_eq!(session.login.access_token.expose_secret(), token, "{file}");
            assert_eq!(session.refresh_token.is_some(), is_renewable, "{file}");
        }
        let error = read(&json!({"auth_mode": "apikey", "tokens": tokens})).unwrap_err();
        assert!(matches!(error, Error::NoKey { .. }), "{error}");
    }

    #[test]
    fn a_key_is_found_beside_whatever_else_there_is() {
        for (file, expected) in [
            (json!({"OPENAI_API_KEY": " sk-fake "}), Some("sk-fake")),
            (
                json!({"OPENAI_API_KEY": "sk-fake", "tokens": {"access_token": "a"}}),
                Some("sk-fake"),
            ),
            (json!({"OPENAI_API_KEY": null}), None),
            (json!({"OPENAI_API_KEY": 7}), None),
            (json!({}), None),
        ] {
            let key = api_key(file.to_string().as_bytes());
            assert_eq!(key.as_ref().map(ExposeSecret::expose_secret), expected, "{file}");
        }
    }

    #[test]
    fn without_an_access_token_there_is_no_login() {
        for file in [json!({}), json!({"tokens": null}), json!({"tokens": {"access_token": " "}})] {
            let error = read(&file).unwrap_err();
            assert!(matches!(error, Error::NoToken { .. }), "{file}: {error}");
        }
    }

    #[test]
    fn neither_debug_output_nor_errors_show_the_content() {
        let tokens = json!({"access_token": "hush", "refresh_token": "hush", "id_token": "hush"});
        let session = session(&json!({"tokens": tokens})).unwrap();
        let shown = format!("{session:?}");
        assert!(!shown.contains("hush") && !shown.contains("104, 117, 115, 104"), "{shown}");
        let torn = br#"{"tokens": {"access_token": "hush"#.to_vec();
        let error = parse(torn.into(), Path::new("a")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
        assert!(error.to_string().contains("line 1"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_and_repeated_members_are_understood() {
        for text in [
            "\u{FEFF}{\"tokens\":{\"access_token\":\"a\",\"refresh_token\":\"r\"}}",
            r#"{"tokens":{"access_token":"a","refresh_token":"old","refresh_token":"r"}}"#,
            r#"{"tokens":{"access_token":"old"},"tokens":{"access_token":"a","refresh_token":"r"}}"#,
            r#"{"x":1,"x":2,"tokens":{"access_token":"a","refresh_token":"r"},"last_refresh":1,"last_refresh":2}"#,
        ] {
            let session = parse(text.as_bytes().to_vec().into(), Path::new("a")).unwrap();
            assert_eq!(session.login.access_token.expose_secret(), "a", "{text}");
            assert_eq!(session.refresh_token.unwrap().expose_secret(), "r", "{text}");
        }
        let key = "\u{FEFF}{\"OPENAI_API_KEY\":\"old\",\"OPENAI_API_KEY\":\"sk-fake\"}";
        assert_eq!(api_key(key.as_bytes()).unwrap().expose_secret(), "sk-fake");
    }

    #[test]
    fn what_is_not_utf8_is_malformed_even_where_it_is_not_read() {
        let tokens = br#""tokens": {"access_token": "hush"}"#;
        for (before, line, column) in [
            (b"{\"a\": \"\xff\", ".as_slice(), 1, 8),
            (b"{\n  \"a\": 1,\n  \"\xe2\x82\": 2,", 3, 4),
            (b"\xff\xfe{", 1, 1),
        ] {
            let content = [before, tokens, b"}"].concat();
            let error = parse(content.into(), Path::new("a")).unwrap_err();
            let expected = Error::Malformed { path: "a".into(), line, column };
            assert_eq!(error.to_string(), expected.to_string());
        }
    }

    proptest! {
        #[test]
        fn no_content_makes_it_panic(content in any::<Vec<u8>>()) {
            let _ = parse(content.into(), Path::new("a"));
        }
    }
}
