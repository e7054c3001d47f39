"""The model keeps its reasoning and its cache over a conversation."""

import copy
import json
from collections.abc import Callable
from typing import Any

import conversation
import pytest
from conftest import MODEL, Scene
from conversation import SYSTEM, TOOLS, Json, Native, Tokens, issuer, masked, outcome, sealed_in
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_openai import ChatOpenAI
from openai import OpenAI

# The daemon's share of cached input tokens, as a part of what a native client reaches.
SHARE = 0.95


def start() -> list[Json]:
    return [{"role": "system", "content": SYSTEM}]


def asker(client: OpenAI, tokens: Tokens, stream: bool) -> Callable[[list[Json]], Json]:
    """Asks through the SDK; its message goes back as its documentation shows."""

    def ask(messages: list[Json]) -> Json:
        body: Any = {
            "model": MODEL,
            "messages": messages,
            "tools": TOOLS,
            "reasoning_effort": "medium",
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
            with client.chat.completions.stream(**body) as events:
                completion: Any = events.get_final_completion()
        else:
            completion = client.chat.completions.create(**body)
        usage = completion.usage
        tokens.add(usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens)
        return completion.choices[0].message.to_dict()

    return ask


def play_langchain(base_url: str, prompts: list[str], stream: bool) -> Tokens:
    """Plays a conversation as LangChain's own agents do: with its messages, and tools bound."""
    model = ChatOpenAI(
        model=MODEL,
        base_url=base_url,
        api_key="any",
        max_retries=0,
        timeout=20,
        reasoning_effort="medium",
        use_responses_api=False,
        stream_usage=True,
    ).bind_tools(TOOLS)
    tokens = Tokens()
    messages: list[BaseMessage] = [SystemMessage(SYSTEM)]
    for prompt in prompts:
        messages.append(HumanMessage(prompt))
        while True:
            if stream:
                chunks = list(model.stream(messages))
                answer: Any = sum(chunks[1:], chunks[0])
            else:
                answer = model.invoke(messages)
            usage = answer.usage_metadata
            tokens.add(usage["input_tokens"], usage["input_token_details"]["cache_read"])
            messages.append(answer)
            assert isinstance(answer, AIMessage)
            if not answer.tool_calls:
                break
            for call in answer.tool_calls:
                text = outcome(call["name"], call["args"])
                messages.append(ToolMessage(text, tool_call_id=call["id"]))
    return tokens


@pytest.mark.parametrize(
    ("client_kind", "stream"),
    [("openai", False), ("openai", True), ("langchain", False), ("langchain", True)],
)
def test_a_long_conversation_keeps_everything(
    client: OpenAI,
    base_url: str,
    backend: str,
    scene: Scene,
    record_property: Callable[[str, object], None],
    client_kind: str,
    stream: bool,
) -> None:
    prompts = [scene.prompt(*directives) for directives in conversation.turns()]
    if client_kind == "langchain":
        tokens = play_langchain(base_url, prompts, stream)
    else:
        tokens = Tokens()
        conversation.agent(asker(client, tokens, stream), start(), prompts)
    exchanges = scene.exchanges()
    inputs = [exchange["request"]["input"] for exchange in exchanges]
    assert len(inputs) == 48 and {exchange["outcome"] for exchange in exchanges} == {"completed"}

    # Each request begins with the one before it, and goes on with the reasoning it brought.
    for earlier, later, exchange in zip(inputs, inputs[1:], exchanges):
        assert later[: len(earlier)] == earlier
        new = later[len(earlier) :]
        assert [issuer(sealed) for sealed in sealed_in(new)] == [exchange["number"]]
        assert new[0]["type"] == "reasoning"
    # Every answer brought reasoning once; that of the last has nowhere to go to.
    assert len(set(sealed_in(inputs[-1]))) == len(inputs) - 1

    # One conversation for the backend, and each tool loop on one machine.
    (_,) = {exchange["request"]["prompt_cache_key"] for exchange in exchanges}
    (_,) = {exchange["headers"]["session-id"] for exchange in exchanges}
    for earlier, later in zip(exchanges, exchanges[1:]):
        is_loop = later["request"]["input"][-1]["type"] == "function_call_output"
        loop_began = earlier["request"]["input"][-1]["type"] != "function_call_output"
        state = later["headers"].get("x-codex-turn-state")
        assert state == (f"simulated-turn-{earlier['number']}" if is_loop and loop_began else None)

    # Item by item it is what a client sends that keeps the items itself: summaries, phases, order.
    native = Native(backend, exchanges[0])
    leading = [item for item in inputs[0] if item.get("role") == "developer"]
    native_inputs = native.play(leading, prompts)
    assert len(native_inputs) == len(inputs)
    for ours, theirs in zip(inputs, native_inputs):
        assert masked(ours) == masked(theirs)
    phases = [item.get("phase") for item in inputs[-1] if item.get("role") == "assistant"]
    assert set(phases) == {"commentary", "final_answer"}

    record_property("cached_share", tokens.share)
    record_property("native_cached_share", native.tokens.share)
    assert native.tokens.share > 0.8
    assert tokens.share >= SHARE * native.tokens.share


def test_a_history_in_another_spelling_is_the_same(client: OpenAI, scene: Scene) -> None:
    ask = asker(client, Tokens(), False)
    requests = 0

    def ask_respelled(messages: list[Json]) -> Json:
        nonlocal requests
        requests += 1
        return ask([conversation.respelled(message, requests) for message in messages])

    prompts = [scene.prompt(*directives) for directives in conversation.turns()[:10]]
    conversation.agent(ask_respelled, start(), prompts)
    exchanges = scene.exchanges()
    assert len(exchanges) == requests == 16
    inputs = [exchange["request"]["input"] for exchange in exchanges]
    for earlier, later, exchange in zip(inputs, inputs[1:], exchanges):
        assert later[: len(earlier)] == earlier
        assert [issuer(each) for each in sealed_in(later[len(earlier) :])] == [exchange["number"]]


def last_input(scene: Scene) -> list[Json]:
    return scene.exchanges()[-1]["request"]["input"]


def test_an_edited_answer_is_sent_plainly(client: OpenAI, scene: Scene) -> None:
    ask = asker(client, Tokens(), False)
    prompts = [scene.prompt(f'text "Answer {n}."', 'commentary "Hm."') for n in range(4)]
    messages = conversation.agent(ask, start(), prompts)
    numbers = [exchange["number"] for exchange in scene.exchanges()]

    edited = copy.deepcopy(messages)
    answers = [message for message in edited if message["role"] == "assistant"]
    answers[1]["content"] = "Something else."
    edited.append({"role": "user", "content": scene.prompt()})
    answer = ask(edited)
    items = last_input(scene)
    # What came before the edit is kept. What came after it belongs to another branch.
    assert [issuer(sealed) for sealed in sealed_in(items)] == numbers[:1]
    plain = [item for item in items if item.get("role") == "assistant" and "phase" not in item]
    texts = [[part["text"] for part in item["content"]] for item in plain]
    assert texts == [["Something else."], ["Hm.\n\nAnswer 2."], ["Hm.\n\nAnswer 3."]]

    # It stays so when the edited conversation goes on, which remembers its own turns.
    edited += [answer, {"role": "user", "content": scene.prompt()}]
    ask(edited)
    later = last_input(scene)
    assert later[: len(items)] == items
    own = scene.exchanges()[-2]["number"]
    assert [issuer(sealed) for sealed in sealed_in(later[len(items) :])] == [own]

    # The unedited one is as it was.
    messages.append({"role": "user", "content": scene.prompt()})
    ask(messages)
    assert [issuer(sealed) for sealed in sealed_in(last_input(scene))] == numbers


def test_calls_are_known_by_their_ids_whatever_preceded_them(
    client: OpenAI, scene: Scene
) -> None:
    """Agents trim the beginning of long histories; ids tell one turn from any other."""
    ask = asker(client, Tokens(), False)
    directives = conversation.turns()
    prompts = [scene.prompt(*directives[3]), scene.prompt(*directives[0])]
    messages = conversation.agent(ask, start(), prompts)
    numbers = [exchange["number"] for exchange in scene.exchanges()]
    messages[2]["content"] = "Something else."
    messages.append({"role": "user", "content": scene.prompt()})
    ask(messages)
    # The calls' turn, but not the answer after it, which is known by all that preceded it.
    assert [issuer(sealed) for sealed in sealed_in(last_input(scene))] == numbers[1:2]


@pytest.mark.parametrize("change", ["text", "arguments", "call"])
def test_an_edited_turn_with_calls_is_sent_plainly(
    client: OpenAI, scene: Scene, change: str
) -> None:
    ask = asker(client, Tokens(), False)
    prompts = [scene.prompt(*directives) for directives in conversation.turns()[:1]]
    messages = conversation.agent(ask, start(), prompts)
    turn = next(message for message in messages if message.get("tool_calls"))
    if change == "text":
        turn["content"] = "Something else."
    elif change == "arguments":
        turn["tool_calls"][0]["function"]["arguments"] = '{"city":"Bergen"}'
    else:
        gone = turn["tool_calls"].pop()["id"]
        messages = [message for message in messages if message.get("tool_call_id") != gone]
    messages.append({"role": "user", "content": scene.prompt()})
    ask(messages)
    items = last_input(scene)
    # Neither the edited turn's reasoning nor that of the answer which followed from it.
    assert sealed_in(items) == []
    assert "phase" not in json.dumps(items)


def test_a_regenerated_branch_has_its_own_reasoning(client: OpenAI, scene: Scene) -> None:
    ask = asker(client, Tokens(), False)
    directives = conversation.turns()
    trunk = conversation.agent(ask, start(), [scene.prompt(*directives[3])])
    trunk_numbers = [exchange["number"] for exchange in scene.exchanges()]

    # The same prompt is answered again: with other calls, then another answer.
    branches = []
    for _ in range(2):
        before = len(scene.exchanges())
        prompts = [scene.prompt(*directives[0]), scene.prompt(*directives[4])]
        messages = conversation.agent(ask, copy.deepcopy(trunk), prompts)
        branches.append((messages, [x["number"] for x in scene.exchanges()[before:]]))

    # Both go on, in turns.
    for _ in range(2):
        for messages, numbers in branches:
            messages.append({"role": "user", "content": scene.prompt(*directives[4])})
            messages.append(ask(messages))
            exchange = scene.exchanges()[-1]
            sealed = sealed_in(exchange["request"]["input"])
            assert [issuer(each) for each in sealed] == trunk_numbers + numbers
            numbers.append(exchange["number"])


def test_a_truncated_history_keeps_what_can_be_told_apart(client: OpenAI, scene: Scene) -> None:
    ask = asker(client, Tokens(), False)
    prompts = [scene.prompt(f'text "Answer {n}."') for n in range(3)]
    messages = conversation.agent(ask, start(), prompts)
    numbers = [exchange["number"] for exchange in scene.exchanges()]

    # Without its end it is the same conversation.
    shorter = messages[:-2] + [{"role": "user", "content": scene.prompt()}]
    ask(shorter)
    assert [issuer(sealed) for sealed in sealed_in(last_input(scene))] == numbers[:2]
    # Without its beginning it is another one.
    rest = messages[:1] + messages[3:] + [{"role": "user", "content": scene.prompt()}]
    ask(rest)
    assert sealed_in(last_input(scene)) == []
