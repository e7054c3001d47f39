"""pydantic-ai: `OpenAIChatModel` with a provider for this address."""

import asyncio

from conftest import ANSWER, MODEL, Daemon, Program, directed
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def model(daemon: Daemon) -> OpenAIChatModel:
    provider = OpenAIProvider(base_url=daemon.base_url, api_key="any")
    return OpenAIChatModel(MODEL, provider=provider)


def calculator(daemon: Daemon) -> Agent:
    agent = Agent(model(daemon), instructions="You are a calculator.")

    @agent.tool_plain
    def multiply(a: int, b: int) -> int:
        """Multiplies two numbers."""
        return a * b

    return agent


async def streamed(agent: Agent, prompt: str) -> list[str]:
    async with agent.run_stream(prompt) as answer:
        return [text async for text in answer.stream_text(delta=True, debounce_by=None)]


def test_a_streamed_answer(daemon: Daemon) -> None:
    pieces = asyncio.run(streamed(Agent(model(daemon)), "Hello!"))
    assert len(pieces) > 1 and "".join(pieces) == ANSWER
    assert daemon.answered(1)[0]["stream"]


def test_a_tool_over_two_turns(daemon: Daemon) -> None:
    answer = calculator(daemon).run_sync(directed('call multiply {"a": 6, "b": 7}'))
    assert answer.output == "multiply says: 42"
    assert answer.usage.requests == 2 and answer.usage.output_tokens > 0
    assert daemon.answered(2)[1]["continuity"] == "hit"


def test_a_streamed_tool_over_two_turns(daemon: Daemon) -> None:
    prompt = directed('call multiply {"a": 6, "b": 7}')
    pieces = asyncio.run(streamed(calculator(daemon), prompt))
    assert "".join(pieces) == "multiply says: 42"
    first, second = daemon.answered(2)
    assert first["stream"] and second["stream"] and second["continuity"] == "hit"


def test_a_typed_answer(daemon: Daemon) -> None:
    class City(BaseModel):
        name: str
        people: int

    answer = Agent(model(daemon), output_type=City).run_sync("Which is the largest city?")
    assert isinstance(answer.output, City)
    daemon.answered(1)


def test_the_program_that_the_snippet_is(daemon: Daemon, program: Program) -> None:
    assert ANSWER in program.run("python", "-c", daemon.settings("pydantic-ai"))
    daemon.answered(1)
