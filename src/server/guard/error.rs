//! Why somebody does not get in.

/// Why a request is refused before its body is read. The messages go to strangers: they repeat
/// nothing of what was sent and tell nothing of the account, of files or of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// It does not say, or says in two ways, whom it calls.
    #[error(
        "A request needs exactly one Host header, a name or address with or without a port, and \
         a target that does not name another one."
    )]
    UnclearHost,
    /// It calls somebody else: the page that sent it may have had a name of its own point here.
    #[error(
        "Host not allowed. Use `localhost`, or add the name to `[server] allowed_hosts` in the \
         daemon's settings."
    )]
    UnknownHost,
    /// It comes from a web page.
    #[error(
        "Origin not allowed. Web pages may use this daemon only if their origin is in `[server] \
         allowed_origins` in its settings."
    )]
    ForeignPage,
    /// It has no key, or a wrong one.
    #[error(
        "Missing or invalid API key for this daemon. Set your client's API key (`api_key` in the \
         SDKs, or the variable OPENAI_API_KEY) to a key from `[server] api_keys` in the daemon's \
         settings, or from its key file. Send it as `Authorization: Bearer KEY` or `api-key: \
         KEY`."
    )]
    NoKey,
    /// Its body is of a kind that pages can send without asking.
    #[error(
        "Unsupported or missing content type. Send `content-type: application/json`; with curl: \
         -H 'content-type: application/json'."
    )]
    FormContentType,
}
