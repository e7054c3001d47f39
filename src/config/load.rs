//! Every setting there is, with its default, its limits and its place in [`Config`].

use std::time::Duration;

use secrecy::SecretString;

use super::reader::{Invalid, SettingsReader, key};
use super::source::{Error, Provenance, Sources};
use super::{
    ACCESS_TOKEN_VARIABLE, Auth, Billing, ClientVersion, Compat, Compression, Config, Continuity,
    Effective, Log, LogFormat, LoginStore, Models, Output, Server, UnknownModel, Upstream, checks,
};
use crate::translate::policy::{Commentary, MaxTokens, Reasoning};

const URL: &str = "an https:// URL without credentials, or http:// on this machine";
const HEADER_TEXT: &str = "text of printable ASCII characters";

/// Reads the settings from their sources; pure.
pub(super) fn load(sources: &Sources) -> Result<(Config, Effective), Error> {
    let mut reader = SettingsReader::new(sources);
    let read = config(&mut reader);
    reader.finish(read)
}

// In each of these, everything is read before the first `?`: all problems are found at once.

fn config(r: &mut SettingsReader<'_>) -> Result<Config, Invalid> {
    let (server, upstream, auth) = (server(r), upstream(r), auth(r));
    // Its folder names the version that is meant by default.
    let upstream = upstream.and_then(|(mut upstream, version)| {
        let codex_home = &auth.as_ref().map_err(|_| Invalid)?.codex_home;
        upstream.client_version = ClientVersion::new(&version, codex_home);
        Ok(upstream)
    });
    let (compat, output, continuity) = (compat(r), output(r), continuity(r));
    let (models, log) = (models(r), log(r));
    Ok(Config {
        server: server?,
        upstream: upstream?,
        auth: auth?,
        compat: compat?,
        output: output?,
        continuity: continuity?,
        models: models?,
        log: log?,
    })
}

fn server(r: &mut SettingsReader<'_>) -> Result<Server, Invalid> {
    let home = r.home();
    let api_keys = r.take(
        key("server", "api_keys", "keys as created by `codex-proxy key new`"),
        Vec::new(),
        |keys: Vec<String>| checks::api_keys(&keys),
    );
    let api_key_file = r.take(
        key("server", "api_key_file", "a file with one key per line, or empty"),
        String::new(),
        |text: String| checks::path(&text, home.clone()),
    );
    // A wrong key is a problem of its own; the address is not blamed for it.
    let is_open = api_keys.as_ref().is_ok_and(Vec::is_empty)
        && api_key_file.as_ref().is_ok_and(|file| file.as_os_str().is_empty());
    let listen = r.take(
        key("server", "listen", "an address with a port, such as 127.0.0.1:10455, or unix:/path"),
        "127.0.0.1:10455".to_owned(),
        |text: String| {
            let listen = checks::listen(&text, home)?;
            if is_open { checks::only_this_machine(listen) } else { Ok(listen) }
        },
    );
    let allowed_hosts = r.take(
        key("server", "allowed_hosts", "host names without ports, such as \"ai.example.com\""),
        Vec::new(),
        |names: Vec<String>| names.iter().map(|name| checks::host_name(name)).collect(),
    );
    let allowed_origins = r.take(
        key("server", "allowed_origins", "origins such as \"https://chat.example.com\""),
        Vec::new(),
        |origins: Vec<String>| origins.iter().map(|origin| checks::origin(origin)).collect(),
    );
    let max_body_mib =
        r.take(key("server", "max_body_mib", "1 to 2047"), 128, checks::within(1..=2047));
    let max_body_total_mib = r.take(
        key("server", "max_body_total_mib", "1 to 1048576, or 0 for a quarter of the memory"),
        0,
        checks::within(0..=1_048_576),
    );
    let body_timeout =
        r.take(key("server", "body_timeout_secs", "1 to 86400"), 600, checks::within(1..=86_400));
    let send_timeout =
        r.take(key("server", "send_timeout_secs", "1 to 86400"), 300, checks::within(1..=86_400));
    let max_connections = r.take(
        key("server", "max_connections", "1 to 1000000"),
        1024,
        checks::within(1..=1_000_000),
    );
    let shutdown =
        r.take(key("server", "shutdown_secs", "0 to 3600"), 30, checks::within(0..=3600));
    Ok(Server {
        listen: listen?,
        api_keys: api_keys?,
        api_key_file: Some(api_key_file?).filter(|file| !file.as_os_str().is_empty()),
        allowed_hosts: allowed_hosts?,
        allowed_origins: allowed_origins?,
        max_body_bytes: size(max_body_mib? << 20)?,
        max_body_total_bytes: size(max_body_total_mib? << 20)?,
        body_timeout: Duration::from_secs(body_timeout?),
        send_timeout: Duration::from_secs(send_timeout?),
        max_connections: size(max_connections?)?,
        shutdown: Duration::from_secs(shutdown?),
    })
}

/// A number whose limits are within those of every machine.
fn size(number: u64) -> Result<usize, Invalid> {
    usize::try_from(number).map_err(|_| Invalid)
}

/// The Codex backend.
const CODEX: &str = "https://chatgpt.com/backend-api/codex";

/// The OpenAI platform's public API.
const PUBLIC: &str = "https://api.openai.com/v1";

/// With what the setting of the version says.
fn upstream(r: &mut SettingsReader<'_>) -> Result<(Upstream, String), Invalid> {
    let is_platform = r.choose("upstream", "mode", &[("chatgpt", false), ("api_key", true)]);
    let variable = r.take(
        key("upstream", "api_key_env", "the name of a variable"),
        "OPENAI_API_KEY".to_owned(),
        Ok,
    );
    let home = r.home();
    let file = r.take(
        key("upstream", "api_key_file", "a file that contains the key, or empty"),
        String::new(),
        |text: String| checks::path(&text, home),
    );
    // An empty address asks for that of the mode, so that the example file can spell it out.
    let default = match is_platform {
        Ok(true) => PUBLIC,
        _ => CODEX,
    };
    let base_url = r.take(key("upstream", "base_url", URL), default.to_owned(), |text: String| {
        checks::base_url(if text.is_empty() { default } else { &text })
    });
    let compression = r.choose(
        "upstream",
        "compression",
        &[("auto", Compression::Auto), ("on", Compression::On), ("off", Compression::Off)],
    );
    let idle_timeout =
        r.take(key("upstream", "idle_timeout_secs", "1 to 86400"), 300, checks::within(1..=86_400));
    let connect_timeout =
        r.take(key("upstream", "connect_timeout_secs", "1 to 3600"), 15, checks::within(1..=3600));
    let prewarm = r.take(key("upstream", "prewarm", "true, false"), true, Ok);
    let max_retries =
        r.take(key("upstream", "max_retries", "0 to 100"), 4, checks::within(0..=100));
    let max_in_flight =
        r.take(key("upstream", "max_in_flight", "1 to 100000"), 64, checks::within(1..=100_000));
    let max_queued =
        r.take(key("upstream", "max_queued", "0 to 1000000"), 256, checks::within(0..=1_000_000));
    let originator = r.take(
        key("upstream", "originator", HEADER_TEXT),
        "codex-proxy".to_owned(),
        checks::header_text,
    );
    // `{version}` keeps a copied example file from pinning an old version.
    let user_agent = r.take(
        key("upstream", "user_agent", HEADER_TEXT),
        "codex-proxy/{version}".to_owned(),
        |text: String| checks::header_text(text.replace("{version}", env!("CARGO_PKG_VERSION"))),
    );
    let client_version = r.take(
        key("upstream", "client_version", "auto, MAJOR.MINOR.PATCH"),
        ClientVersion::AUTO.to_owned(),
        checks::version,
    );
    let session_headers = r.take(
        key("upstream", "session_headers", "names of headers other than HTTP's own"),
        ["session-id", "thread-id", "x-client-request-id"].map(str::to_owned).to_vec(),
        |names: Vec<String>| checks::header_names(&names),
    );
    let headers = r.entries(
        key("upstream", "headers", "headers (name = \"text\") other than HTTP's own and the login"),
        checks::is_secret_header,
        checks::header,
    );
    let (variable, file) = (variable?, Some(file?).filter(|file| !file.as_os_str().is_empty()));
    let mode = if is_platform? { Billing::ApiKey { variable, file } } else { Billing::ChatGpt };
    let base_url = base_url?;
    // A key is of no use to the Codex backend.
    let public_url = if base_url.as_str() == CODEX {
        checks::service_url(PUBLIC).map_err(|_| Invalid)?
    } else {
        base_url.clone()
    };
    let client_version = client_version?;
    let upstream = Upstream {
        mode,
        base_url,
        public_url,
        compression: compression?,
        idle_timeout: Duration::from_secs(idle_timeout?),
        connect_timeout: Duration::from_secs(connect_timeout?),
        prewarm: prewarm?,
        max_retries: u32::try_from(max_retries?).map_err(|_| Invalid)?,
        max_in_flight: size(max_in_flight?)?,
        max_queued: size(max_queued?)?,
        originator: originator?,
        user_agent: user_agent?,
        client_version: ClientVersion::Exact(client_version.clone()),
        session_headers: session_headers?,
        headers: headers?.into_iter().collect(),
    };
    Ok((upstream, client_version))
}

fn auth(r: &mut SettingsReader<'_>) -> Result<Auth, Invalid> {
    let issuer =
        r.take(key("auth", "issuer", URL), "https://auth.openai.com".to_owned(), |text: String| {
            checks::service_url(&text)
        });
    // An empty path asks for the computed default, so that the example file can spell it out.
    let (origin, default) = match r.foreign_variable("CODEX_HOME") {
        Some(path) => (Provenance::Environment { name: "CODEX_HOME".to_owned() }, path),
        None => (Provenance::Default, "~/.codex".to_owned()),
    };
    let home = r.home();
    let codex_home = r.take_or(
        key("auth", "codex_home", "a folder; empty for $CODEX_HOME or else ~/.codex"),
        (origin, default.clone()),
        |text| checks::path(if text.is_empty() { &default } else { &text }, home),
    );
    let store =
        r.choose("auth", "store", &[("codex", LoginStore::Codex), ("own", LoginStore::Own)]);
    // Not a setting: a secret that the Codex CLI takes from there, too.
    let access_token = r.foreign_variable(ACCESS_TOKEN_VARIABLE);
    let access_token = access_token.map(|text| text.trim().to_owned());
    let access_token = access_token.filter(|text| !text.is_empty()).map(SecretString::from);
    Ok(Auth { issuer: issuer?, codex_home: codex_home?, store: store?, access_token })
}

fn compat(r: &mut SettingsReader<'_>) -> Result<Compat, Invalid> {
    let strict = r.take(key("compat", "strict", "true, false"), false, Ok);
    let max_tokens = r.choose(
        "compat",
        "max_tokens",
        &[("visible", MaxTokens::Visible), ("ignore", MaxTokens::Ignore)],
    );
    Ok(Compat { strict: strict?, max_tokens: max_tokens? })
}

fn output(r: &mut SettingsReader<'_>) -> Result<Output, Invalid> {
    let reasoning = r.choose(
        "output",
        "reasoning",
        &[
            ("reasoning_content", Reasoning::ReasoningContent),
            ("reasoning", Reasoning::Reasoning),
            ("think", Reasoning::Think),
            ("none", Reasoning::None),
        ],
    );
    let commentary = r.choose(
        "output",
        "commentary",
        &[("content", Commentary::Content), ("reasoning", Commentary::Reasoning)],
    );
    let reasoning_details = r.take(key("output", "reasoning_details", "true, false"), false, Ok);
    Ok(Output {
        reasoning: reasoning?,
        commentary: commentary?,
        reasoning_details: reasoning_details?,
    })
}

fn continuity(r: &mut SettingsReader<'_>) -> Result<Continuity, Invalid> {
    let enabled = r.take(key("continuity", "enabled", "true, false"), true, Ok);
    let max_bytes =
        r.take(key("continuity", "max_bytes", "0 to 2^53"), 64 << 20, checks::within(0..=1 << 53));
    let ttl =
        r.take(key("continuity", "ttl_secs", "1 to 604800"), 21_600, checks::within(1..=604_800));
    Ok(Continuity { enabled: enabled?, max_bytes: max_bytes?, ttl: Duration::from_secs(ttl?) })
}

fn models(r: &mut SettingsReader<'_>) -> Result<Models, Invalid> {
    let unknown = r.choose(
        "models",
        "unknown",
        &[("reject", UnknownModel::Reject), ("default", UnknownModel::Default)],
    );
    let aliases =
        r.entries(key("models", "aliases", "alias = \"model\""), |_| false, checks::alias);
    Ok(Models { aliases: aliases?.into_iter().collect(), unknown: unknown? })
}

fn log(r: &mut SettingsReader<'_>) -> Result<Log, Invalid> {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Ok(Log { format: r.choose("log", "format", &formats)? })
}
