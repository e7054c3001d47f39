"""LiteLLM, whose `openai/` means Chat Completions at `api_base`."""

import json
from typing import Any

import litellm
from conftest import ANSWER, MODEL, Daemon, Program, directed

MULTIPLY = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Multiplies two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


def complete(daemon: Daemon, messages: list[Any], **more: Any) -> Any:
    return litellm.completion(
        model=f"openai/{MODEL}",
        api_base=daemon.base_url,
        api_key="any",
        messages=messages,
        **more,
    )


def test_a_streamed_answer(daemon: Daemon) -> None:
    messages = [{"role": "user", "content": "Hello!"}]
    options = {"include_usage": True}
    chunks = list(complete(daemon, messages, stream=True, stream_options=options))
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert sum(1 for text in texts if text) > 1
    assert "".join(texts) == ANSWER
    whole = litellm.stream_chunk_builder(chunks, messages=messages)
    assert whole is not None and whole.choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens > 0
    assert daemon.answered(1)[0]["stream"]


def two_turns(daemon: Daemon, stream: bool) -> str:
    messages: list[Any] = [
        {"role": "user", "content": directed('call multiply {"a": 6, "b": 7}')}
    ]

    def turn() -> Any:
        answer = complete(daemon, messages, tools=[MULTIPLY], stream=stream)
        return litellm.stream_chunk_builder(list(answer)) if stream else answer

    choice = turn().choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "multiply"
    arguments = json.loads(call.function.arguments)
    content = str(arguments["a"] * arguments["b"])
    messages.append(choice.message)
    messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
    text = turn().choices[0].message.content
    assert daemon.answered(2)[1]["continuity"] == "hit"
    return str(text)


def test_a_tool_over_two_turns(daemon: Daemon) -> None:
    assert two_turns(daemon, stream=False) == "multiply says: 42"


def test_a_streamed_tool_over_two_turns(daemon: Daemon) -> None:
    assert two_turns(daemon, stream=True) == "multiply says: 42"


def test_the_program_that_the_snippet_is(daemon: Daemon, program: Program) -> None:
    assert ANSWER in program.run("python", "-c", daemon.settings("litellm"))
    daemon.answered(1)
