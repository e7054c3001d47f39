"""Tools, from the first call to the last answer."""

import json
from typing import Any

import openai
from conftest import MODEL, Scene
from openai import OpenAI
from pydantic import BaseModel


def function(name: str, **properties: str) -> Any:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER = function("get_weather", city="string")
CLOCK = function("get_time", zone="string")
OSLO = 'call get_weather {"city":"Oslo"}'
CET = 'call get_time {"zone":"CET"}'
CUSTOM: Any = {"type": "custom", "custom": {"name": "run_sql", "description": "Runs SQL."}}


def test_one_call_over_two_turns(client: OpenAI, scene: Scene) -> None:
    messages = scene.user(OSLO)
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    message = first.choices[0].message
    assert message.content is None
    (call,) = message.tool_calls or []
    assert call.type == "function" and call.id.startswith("call_")
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Oslo"}')

    # The SDK's own object goes back, as its documentation shows.
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "4 °C"}]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content == "get_weather says: 4 °C"
    sent = [item for item in scene.exchanges()[1]["request"]["input"] if "call_id" in item]
    assert [(item["type"], item["call_id"]) for item in sent] == [
        ("function_call", call.id),
        ("function_call_output", call.id),
    ]


def test_parallel_calls_over_two_turns_streamed(client: OpenAI, scene: Scene) -> None:
    messages = scene.user('commentary "I will look."', OSLO, CET)
    with client.chat.completions.stream(
        model=MODEL, messages=messages, tools=[WEATHER, CLOCK]
    ) as stream:
        events = list(stream)
        choice = stream.get_final_completion().choices[0]
    done = [e for e in events if e.type == "tool_calls.function.arguments.done"]
    assert [(e.index, e.name, e.arguments) for e in done] == [
        (0, "get_weather", '{"city":"Oslo"}'),
        (1, "get_time", '{"zone":"CET"}'),
    ]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "I will look."
    calls = choice.message.tool_calls or []
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]

    messages.append(choice.message.to_dict())
    # The outcomes may come in any order.
    for call in reversed(calls):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": call.function.name})
    with client.chat.completions.stream(
        model=MODEL, messages=messages, tools=[WEATHER, CLOCK]
    ) as stream:
        content = stream.get_final_completion().choices[0].message.content or ""
    assert "get_weather says: get_weather" in content and "get_time says: get_time" in content


def test_interleaved_calls_streamed(client: OpenAI, scene: Scene) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=scene.user(OSLO, CET, "deltas 5", "interleave"), tools=[WEATHER, CLOCK]
    ) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls] == [
        {"city": "Oslo"},
        {"zone": "CET"},
    ]


def test_arguments_that_come_at_once(client: OpenAI, scene: Scene) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=scene.user(OSLO, "done-only"), tools=[WEATHER]
    ) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert call.function.arguments == '{"city":"Oslo"}'


def test_a_call_of_an_undeclared_wrapper_is_unwrapped(client: OpenAI, scene: Scene) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=scene.user(OSLO, CET, "wrapper"), tools=[WEATHER, CLOCK]
    ) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]


def test_tool_choice(client: OpenAI, scene: Scene) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=scene.user(),
        tools=[WEATHER, CLOCK],
        tool_choice={"type": "function", "function": {"name": "get_time"}},
        parallel_tool_calls=False,
    )
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.function.name == "get_time"
    request = scene.exchange()["request"]
    assert request["tool_choice"] == {"type": "function", "name": "get_time"}
    assert request["parallel_tool_calls"] is False
    assert [tool["strict"] for tool in request["tools"]] == [False, False]


class GetWeather(BaseModel):
    city: str


def test_parsed_arguments(client: OpenAI, scene: Scene) -> None:
    tools = [openai.pydantic_function_tool(GetWeather)]
    messages = scene.user('call GetWeather {"city":"Oslo"}')
    completion = client.chat.completions.parse(model=MODEL, messages=messages, tools=tools)
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == GetWeather(city="Oslo")
    assert scene.exchange()["request"]["tools"][0]["strict"] is True
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=tools) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == GetWeather(city="Oslo")


def test_names_the_backend_would_refuse(client: OpenAI, scene: Scene) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=scene.user(),
        tools=[function("files.read/all", path="string")],
        tool_choice="required",
    )
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.function.name == "files.read/all"
    assert scene.exchange()["request"]["tools"][0]["name"] != "files.read/all"


def test_custom_tool_over_two_turns(client: OpenAI, scene: Scene) -> None:
    messages = scene.user('custom run_sql "SELECT 1;"')
    completion = client.chat.completions.create(model=MODEL, messages=messages, tools=[CUSTOM])
    assert completion.choices[0].finish_reason == "tool_calls"
    message = completion.choices[0].message
    (call,) = message.tool_calls or []
    assert call.type == "custom"
    assert (call.custom.name, call.custom.input) == ("run_sql", "SELECT 1;")

    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "1"}]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[CUSTOM])
    assert second.choices[0].message.content == "run_sql says: 1"


def test_custom_tool_streamed(client: OpenAI, scene: Scene) -> None:
    # The SDK's helper does not know custom tools; its chunks carry them all the same.
    stream = client.chat.completions.create(
        model=MODEL,
        messages=scene.user('custom run_sql "SELECT 1;"', "deltas 3"),
        tools=[CUSTOM],
        stream=True,
    )
    chunks = list(stream)
    pieces = [
        call.to_dict() for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []
    ]
    assert [piece["index"] for piece in pieces] == [0] * len(pieces)
    assert pieces[0]["type"] == "custom" and pieces[0]["custom"]["name"] == "run_sql"
    assert "".join(piece["custom"]["input"] for piece in pieces) == "SELECT 1;"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_deprecated_functions(client: OpenAI, scene: Scene) -> None:
    functions = [WEATHER["function"]]
    messages = scene.user(OSLO)
    first = client.chat.completions.create(model=MODEL, messages=messages, functions=functions)
    assert first.choices[0].finish_reason == "function_call"
    called = first.choices[0].message.function_call
    assert called and (called.name, called.arguments) == ("get_weather", '{"city":"Oslo"}')

    messages += [
        first.choices[0].message,
        {"role": "function", "name": "get_weather", "content": "4 °C"},
    ]
    second = client.chat.completions.create(model=MODEL, messages=messages, functions=functions)
    assert second.choices[0].message.content == "get_weather says: 4 °C"
