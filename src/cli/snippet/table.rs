//! The clients there are settings for. Pure.
//!
//! In a text, `<BASE>` is the base URL with `/v1`, `<KEY>` the API key and `<MODEL>` a model's name.

/// A client, and what to tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    /// What it is called on the command line.
    pub(super) name: &'static str,
    /// What people call it.
    pub(super) title: &'static str,
    /// Where the settings belong, and what else there is to know; not a part of them.
    pub(super) note: &'static str,
    /// The settings, to be copied.
    pub(super) text: &'static str,
    /// The settings where the daemon listens on a socket, `<SOCKET>`, if the client can use one.
    pub(super) by_socket: Option<&'static str>,
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

/// All of them: programs and libraries first, then applications, each by name.
pub(super) const CLIENTS: &[Client] = &[
    Client::new(
        "ai-sdk",
        "Vercel AI SDK",
        "With `createOpenAI` use `.chat(…)`: its default is the Responses API.",
        "\
import { createOpenAICompatible } from \"@ai-sdk/openai-compatible\";
import { generateText } from \"ai\";

const codex = createOpenAICompatible({
  name: \"codex-proxy\",
  baseURL: \"<BASE>\",
  apiKey: \"<KEY>\",
  includeUsage: true,
});
const { text } = await generateText({ model: codex(\"<MODEL>\"), prompt: \"Hello!\" });
console.log(text);",
    ),
    Client::new(
        "curl",
        "curl",
        "In a shell.",
        "\
curl <BASE>/chat/completions \\
  -H 'authorization: Bearer <KEY>' -H 'content-type: application/json' \\
  -d '{\"model\": \"<MODEL>\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'",
    )
    .by_socket(
        "\
curl --unix-socket '<SOCKET>' <BASE>/chat/completions \\
  -H 'authorization: Bearer <KEY>' -H 'content-type: application/json' \\
  -d '{\"model\": \"<MODEL>\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'",
    ),
    Client::new(
        "env",
        "environment variables",
        "For a POSIX shell; the OpenAI SDKs and much else read them.",
        "\
export OPENAI_BASE_URL='<BASE>'
export OPENAI_API_BASE='<BASE>'
export OPENAI_API_KEY='<KEY>'",
    ),
    Client::new(
        "instructor",
        "Instructor",
        "Python.",
        "\
import instructor
from openai import OpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


client = instructor.from_openai(OpenAI(base_url=\"<BASE>\", api_key=\"<KEY>\"))
person = client.chat.completions.create(
    model=\"<MODEL>\",
    response_model=Person,
    messages=[{\"role\": \"user\", \"content\": \"Jo is 33 years old.\"}],
)
print(person)",
    ),
    Client::new(
        "langchain",
        "LangChain",
        "Python. With a custom base URL, LangChain requests usage only if told to.",
        "\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model=\"<MODEL>\", base_url=\"<BASE>\", api_key=\"<KEY>\", stream_usage=True)
print(model.invoke(\"Hello!\").content)",
    ),
    Client::new(
        "litellm",
        "LiteLLM",
        "Python. `openai/` tells LiteLLM which API to use and is not part of the name.",
        "\
import litellm

answer = litellm.completion(
    model=\"openai/<MODEL>\",
    api_base=\"<BASE>\",
    api_key=\"<KEY>\",
    messages=[{\"role\": \"user\", \"content\": \"Hello!\"}],
)
print(answer.choices[0].message.content)",
    ),
    Client::new(
        "node",
        "OpenAI SDK for Node",
        "",
        "\
import OpenAI from \"openai\";

const client = new OpenAI({ baseURL: \"<BASE>\", apiKey: \"<KEY>\" });
const answer = await client.chat.completions.create({
  model: \"<MODEL>\",
  messages: [{ role: \"user\", content: \"Hello!\" }],
});
console.log(answer.choices[0].message.content);",
    ),
    Client::new(
        "pydantic-ai",
        "Pydantic AI",
        "Python.",
        "\
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=\"<BASE>\", api_key=\"<KEY>\")
agent = Agent(OpenAIChatModel(\"<MODEL>\", provider=provider))
print(agent.run_sync(\"Hello!\").output)",
    ),
    Client::new(
        "python",
        "OpenAI SDK for Python",
        "",
        "\
from openai import OpenAI

client = OpenAI(base_url=\"<BASE>\", api_key=\"<KEY>\")
answer = client.chat.completions.create(
    model=\"<MODEL>\",
    messages=[{\"role\": \"user\", \"content\": \"Hello!\"}],
)
print(answer.choices[0].message.content)",
    )
    .by_socket(
        "\
import httpx
from openai import OpenAI

http = httpx.Client(transport=httpx.HTTPTransport(uds=\"<SOCKET>\"))
client = OpenAI(base_url=\"<BASE>\", api_key=\"<KEY>\", http_client=http)
answer = client.chat.completions.create(
    model=\"<MODEL>\",
    messages=[{\"role\": \"user\", \"content\": \"Hello!\"}],
)
print(answer.choices[0].message.content)",
    ),
    Client::new(
        "aider",
        "Aider",
        "In a shell. `openai/` tells LiteLLM, which Aider uses, which API to use.",
        "\
aider --model 'openai/<MODEL>' --openai-api-base '<BASE>' --openai-api-key '<KEY>'",
    ),
    Client::new(
        "cline",
        "Cline, Roo Code, Kilo Code",
        "In the settings of the extension.",
        "\
API Provider      OpenAI Compatible
Base URL          <BASE>
API Key           <KEY>
Model ID          <MODEL>",
    ),
    Client::new(
        "continue",
        "Continue",
        "In ~/.continue/config.yaml. Autocomplete needs another model: the backend has no text \
         completions.",
        "\
name: codex-proxy
version: 0.0.1
schema: v1
models:
  - name: codex-proxy
    provider: openai
    model: \"<MODEL>\"
    apiBase: \"<BASE>\"
    apiKey: \"<KEY>\"
    roles: [chat, edit, apply]",
    ),
    Client::new(
        "cursor",
        "Cursor",
        "In Settings > Models > API Keys. Cursor's servers make the calls and refuse private \
         addresses: the daemon needs a public name with HTTPS in front, keys, and that name in \
         `[server] allowed_hosts`. Add the model under a name that is not one of Cursor's own, \
         or it is not sent here; an alias in `[models.aliases]` works.",
        "\
OpenAI API Key             <KEY>
Override OpenAI Base URL   https://YOUR-PUBLIC-NAME/v1
Model                      <MODEL>",
    ),
    Client::new(
        "hermes-agent",
        "Hermes Agent",
        "In ~/.hermes/config.yaml.",
        "\
model:
  provider: custom
  base_url: \"<BASE>\"
  api_key: \"<KEY>\"
  default: \"<MODEL>\"",
    ),
    Client::new(
        "home-assistant",
        "Home Assistant (Extended OpenAI Conversation)",
        "In Settings > Devices & services. The integration that comes with Home Assistant has no \
         base URL. From another machine or a container, the daemon must listen on an address \
         that Home Assistant can reach, with a key.",
        "\
API Key     <KEY>
Base Url    <BASE>
Model       <MODEL>",
    ),
    Client::new(
        "librechat",
        "LibreChat",
        "In librechat.yaml. From a container, the daemon is at host.docker.internal, must listen \
         on an address that the container can reach, with a key, and that name must be in \
         `[server] allowed_hosts`.",
        "\
endpoints:
  custom:
    - name: \"codex-proxy\"
      apiKey: \"<KEY>\"
      baseURL: \"<BASE>\"
      models:
        default: [\"<MODEL>\"]
        fetch: true
      titleConvo: true
      titleModel: \"current_model\"",
    ),
    Client::new(
        "llm",
        "llm",
        "In extra-openai-models.yaml beside the file that `llm logs path` names. Then: \
         llm keys set codex-proxy, and llm -m codex \"Hello!\"",
        "\
- model_id: codex
  model_name: \"<MODEL>\"
  api_base: \"<BASE>\"
  api_key_name: codex-proxy
  supports_schema: true
  supports_tools: true
  vision: true",
    ),
    Client::new(
        "n8n",
        "n8n",
        "A credential of the type OpenAI. In the node \"OpenAI Chat Model\", switch off \"Use \
         Responses API\". From a container, see librechat.",
        "\
API Key     <KEY>
Base URL    <BASE>",
    ),
    Client::new(
        "obsidian",
        "Obsidian (Copilot)",
        "In Settings > Copilot > Model > Add Model. The daemon must allow Obsidian's origin: \
         `[server] allowed_origins = [\"app://obsidian.md\"]`.",
        "\
Provider    OpenAI Format
Model Name  <MODEL>
Base URL    <BASE>
API Key     <KEY>",
    ),
    Client::new(
        "open-webui",
        "Open WebUI",
        "In its environment, or in Admin Panel > Settings > Connections > OpenAI API. From a \
         container, see librechat.",
        "\
OPENAI_API_BASE_URL=<BASE>
OPENAI_API_KEY=<KEY>",
    ),
    Client::new(
        "opencode",
        "OpenCode",
        "In opencode.json.",
        "\
{
  \"$schema\": \"https://opencode.ai/config.json\",
  \"provider\": {
    \"codex-proxy\": {
      \"npm\": \"@ai-sdk/openai-compatible\",
      \"name\": \"codex-proxy\",
      \"options\": { \"baseURL\": \"<BASE>\", \"apiKey\": \"<KEY>\" },
      \"models\": { \"<MODEL>\": {} }
    }
  },
  \"model\": \"codex-proxy/<MODEL>\"
}",
    ),
    Client::new(
        "zed",
        "Zed",
        "In settings.json. Put the key in the settings of the provider, or in the variable \
         CODEX_PROXY_API_KEY. `codex-proxy models` has the model's real context size.",
        "\
{
  \"language_models\": {
    \"openai_compatible\": {
      \"codex-proxy\": {
        \"api_url\": \"<BASE>\",
        \"available_models\": [
          {
            \"name\": \"<MODEL>\",
            \"max_tokens\": 272000,
            \"capabilities\": {
              \"tools\": true,
              \"images\": true,
              \"parallel_tool_calls\": true,
              \"prompt_cache_key\": true
            }
          }
        ]
      }
    }
  }
}",
    ),
];
