//! The clients that there are settings for. `codex-proxy snippet` prints them, the built-in page
//! shows them, and the blocks of `docs/clients.md` are made from them. Pure.
//!
//! The settings are the files in `settings/`. In these, `<ORIGIN>` is the daemon's address, `<BASE>`
//! the base URL (the address with `/v1`), `<KEY>` the API key, `<MODEL>` a model's name, and
//! `<SOCKET>` the path of the socket that the daemon listens on. What is put in their place must
//! need no escaping in shells, JSON, YAML strings and programs.

use serde::Serialize;

/// The key to show where one is needed: what is shown and copied is easily passed on.
pub(crate) const PLACEHOLDER: &str = "YOUR-KEY";
/// The key where none is needed: most clients insist on one.
pub(crate) const ANY: &str = "any";

/// A client, and what to tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Client {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) title: &'static str,
    /// Where the settings belong, and what else there is to know; not a part of them. Code in it
    /// is between backticks.
    pub(crate) note: &'static str,
    /// The settings, to be copied: whole lines.
    pub(crate) text: &'static str,
    /// The settings where the daemon listens on a socket, if the client can use one.
    #[serde(skip)]
    pub(crate) by_socket: Option<&'static str>,
}

impl Client {
    const fn new(
        name: &'static str,
        title: &'static str,
        note: &'static str,
        text: &'static str,
    ) -> Self {
        Self { name, title, note, text, by_socket: None }
    }

    const fn by_socket(self, text: &'static str) -> Self {
        Self { by_socket: Some(text), ..self }
    }
}

/// Clients of one kind, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) clients: &'static [Client],
}

/// All of them.
pub(crate) const GROUPS: [Group; 2] = [
    Group { title: "Libraries and the shell", clients: LIBRARIES },
    Group { title: "Applications", clients: APPLICATIONS },
];

const LIBRARIES: &[Client] = &[
    Client::new(
        "ai-sdk",
        "Vercel AI SDK",
        "With `createOpenAI` use `.chat(…)`: its default is the Responses API.",
        include_str!("settings/ai-sdk.mjs"),
    ),
    Client::new("curl", "curl", "In a shell.", include_str!("settings/curl.sh"))
        .by_socket(include_str!("settings/curl-socket.sh")),
    Client::new(
        "env",
        "Environment variables",
        "For a POSIX shell; the OpenAI SDKs and much else read them.",
        include_str!("settings/env.sh"),
    ),
    Client::new("instructor", "Instructor", "Python.", include_str!("settings/instructor.py")),
    Client::new(
        "langchain",
        "LangChain",
        "Python. With a custom base URL, LangChain requests usage only if told to.",
        include_str!("settings/langchain.py"),
    ),
    Client::new(
        "litellm",
        "LiteLLM",
        "Python. `openai/` tells LiteLLM which API to use and is not part of the name.",
        include_str!("settings/litellm.py"),
    ),
    Client::new("node", "OpenAI SDK for Node", "", include_str!("settings/node.mjs")),
    Client::new("pydantic-ai", "Pydantic AI", "Python.", include_str!("settings/pydantic-ai.py")),
    Client::new("python", "OpenAI SDK for Python", "", include_str!("settings/python.py"))
        .by_socket(include_str!("settings/python-socket.py")),
];

const APPLICATIONS: &[Client] = &[
    Client::new(
        "aider",
        "Aider",
        "In a shell. `openai/` tells LiteLLM, which Aider uses, which API to use.",
        include_str!("settings/aider.sh"),
    ),
    Client::new(
        "cline",
        "Cline, Roo Code, Kilo Code",
        "In the settings of the extension. `codex-proxy models` has the model's real context size.",
        include_str!("settings/cline.txt"),
    ),
    Client::new(
        "continue",
        "Continue",
        "In `~/.continue/config.yaml`. Autocomplete needs another model: the backend has no text \
         completions.",
        include_str!("settings/continue.yaml"),
    ),
    Client::new(
        "cursor",
        "Cursor",
        "In Settings > Models > API Keys. Cursor's servers make the calls and refuse private \
         addresses: the daemon needs a public name with HTTPS in front, keys, and that name in \
         `[server] allowed_hosts`. A model by a name that is one of Cursor's own is not sent here: \
         make an alias such as `my-codex` in `[models.aliases]`.",
        include_str!("settings/cursor.txt"),
    ),
    Client::new(
        "goose",
        "Goose",
        "For a POSIX shell. With its own `OPENAI_BASE_PATH`, Goose asks some models over the \
         Responses API.",
        include_str!("settings/goose.sh"),
    ),
    Client::new(
        "hermes-agent",
        "Hermes Agent",
        "In `~/.hermes/config.yaml`.",
        include_str!("settings/hermes-agent.yaml"),
    ),
    Client::new(
        "home-assistant",
        "Home Assistant (Extended OpenAI Conversation)",
        "In Settings > Devices & services. The integration that comes with Home Assistant has no \
         base URL. From another machine or a container, the daemon must listen on an address \
         that Home Assistant can reach, with a key.",
        include_str!("settings/home-assistant.txt"),
    ),
    Client::new(
        "librechat",
        "LibreChat",
        "In `librechat.yaml`. From a container, the daemon is at `host.docker.internal`, must \
         listen on an address that the container can reach, with a key, and that name must be in \
         `[server] allowed_hosts`.",
        include_str!("settings/librechat.yaml"),
    ),
    Client::new(
        "llm",
        "llm",
        "In `extra-openai-models.yaml` beside the file that `llm logs path` names. Then: \
         `llm keys set codex-proxy`, and `llm -m codex \"Hello!\"`",
        include_str!("settings/llm.yaml"),
    ),
    Client::new(
        "n8n",
        "n8n",
        "A credential of the type OpenAI. In the node \"OpenAI Chat Model\", switch off \"Use \
         Responses API\". From a container, see LibreChat.",
        include_str!("settings/n8n.txt"),
    ),
    Client::new(
        "obsidian",
        "Obsidian (Copilot)",
        "In Settings > Copilot > Model > Add Model. The daemon must allow Obsidian's origin: \
         `[server] allowed_origins = [\"app://obsidian.md\"]`.",
        include_str!("settings/obsidian.txt"),
    ),
    Client::new(
        "open-webui",
        "Open WebUI",
        "In its environment, or in Admin Panel > Settings > Connections > OpenAI API. From a \
         container, see LibreChat.",
        include_str!("settings/open-webui.env"),
    ),
    Client::new(
        "opencode",
        "OpenCode",
        "In `opencode.json`. `codex-proxy models` has the model's real context size.",
        include_str!("settings/opencode.json"),
    ),
    Client::new(
        "openhands",
        "OpenHands",
        "In a shell. OpenHands asks models with `gpt-5` in their names over the Responses API; \
         `default` and aliases (`[models.aliases]`) avoid that. `openai/` tells LiteLLM, which it \
         uses, which API it is.",
        include_str!("settings/openhands.sh"),
    ),
    Client::new(
        "zed",
        "Zed",
        "In `settings.json`. Put the key in the settings of the provider, or in the variable \
         `CODEX_PROXY_API_KEY`. `codex-proxy models` has the model's real context size.",
        include_str!("settings/zed.json"),
    ),
];

/// All of them, in the order in which they are listed.
pub(crate) fn all() -> impl Iterator<Item = &'static Client> {
    GROUPS.iter().flat_map(|group| group.clients)
}

/// The client that is called so on the command line.
pub(crate) fn find(name: &str) -> Option<&'static Client> {
    all().find(|client| client.name == name)
}

/// The settings with what is in force in them; `origin` is the daemon's address without a path.
pub(crate) fn fill(text: &str, origin: &str, key: &str, model: &str) -> String {
    text.replace("<BASE>", &format!("{origin}/v1"))
        .replace("<ORIGIN>", origin)
        .replace("<MODEL>", model)
        .replace("<KEY>", key)
}

#[cfg(test)]
mod tests;
