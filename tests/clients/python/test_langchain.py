"""LangChain's `ChatOpenAI`, the class that its documentation names for compatible servers."""

from conftest import ANSWER, MODEL, Daemon, Program, directed
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def multiply(a: int, b: int) -> int:
    """Multiplies two numbers."""
    return a * b


def chat(daemon: Daemon) -> ChatOpenAI:
    # With a base URL of one's own it does not ask for the usage of streams unless it is told to.
    return ChatOpenAI(model=MODEL, base_url=daemon.base_url, api_key="any", stream_usage=True)


def test_a_streamed_answer(daemon: Daemon) -> None:
    chunks = list(chat(daemon).stream("Hello!"))
    assert sum(1 for chunk in chunks if chunk.content) > 1
    whole = sum(chunks[1:], chunks[0])
    assert isinstance(whole, AIMessageChunk)
    assert whole.content == ANSWER
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.usage_metadata is not None and whole.usage_metadata["output_tokens"] > 0
    assert daemon.answered(1)[0]["stream"]


def test_a_tool_over_two_turns(daemon: Daemon) -> None:
    model = chat(daemon).bind_tools([multiply])
    messages = [HumanMessage(directed('call multiply {"a": 6, "b": 7}'))]
    first = model.invoke(messages)
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("multiply", {"a": 6, "b": 7})
    result = multiply.invoke(call)
    assert isinstance(result, ToolMessage)
    assert model.invoke([*messages, first, result]).content == "multiply says: 42"
    assert daemon.answered(2)[1]["continuity"] == "hit"


def test_a_streamed_tool_over_two_turns(daemon: Daemon) -> None:
    model = chat(daemon).bind_tools([multiply])
    messages = [HumanMessage(directed('call multiply {"a": 6, "b": 7}'))]
    chunks = list(model.stream(messages))
    first = sum(chunks[1:], chunks[0])
    assert isinstance(first, AIMessageChunk)
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("multiply", {"a": 6, "b": 7})
    result = multiply.invoke(call)
    last = "".join(str(chunk.content) for chunk in model.stream([*messages, first, result]))
    assert last == "multiply says: 42"
    assert all(entry["stream"] for entry in daemon.answered(2))


def test_the_program_that_the_snippet_is(daemon: Daemon, program: Program) -> None:
    assert ANSWER in program.run("python", "-c", daemon.settings("langchain"))
    daemon.answered(1)
