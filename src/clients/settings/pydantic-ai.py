from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url="<BASE>", api_key="<KEY>")
agent = Agent(OpenAIChatModel("<MODEL>", provider=provider))
print(agent.run_sync("Hello!").output)
