"""A long conversation with an agent, played by any client, and what the backend saw of it.

Chat clients cannot carry the model's sealed reasoning. Whether the daemon does it for them is told
by the backend's log, and by a client of the Responses API that plays the same conversation and
keeps every item itself.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

Json = dict[str, Any]

TURNS = 30


def _function(name: str, parameter: str) -> Json:
    parameters = {
        "type": "object",
        "properties": {parameter: {"type": "string"}},
        "required": [parameter],
    }
    function = {"name": name, "description": "A tool.", "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [_function("get_weather", "city"), _function("get_time", "zone")]
SYSTEM = "You are an agent. You look things up and report briefly. 🧭"


def turns() -> list[list[str]]:
    """What the model does in each of the user's turns, as directives."""
    kinds = [
        # Arguments in spellings that clients change when they read and write them.
        lambda n: [
            f'reasoning "Two things to look up ({n})."',
            f'commentary "I will look up both, number {n}."',
            f'call get_weather "{{ \\"city\\" : \\"Tromsø {n}\\" }}"',
            'call get_time {"zone":"CET"}',
        ],
        lambda n: [f'call get_weather {{"city":"Oslo {n}"}}', f'reasoning "One thing ({n})."'],
        lambda n: ['call get_time {"zone":"UTC"}', 'call get_time {"zone":"CET"}'],
        lambda n: [f'commentary "Nothing to look up, number {n}."', f'text "Done with {n}. ✅"'],
        lambda n: [f'text "Answer {n}.\\n\\nWith two paragraphs.\\n"'],
    ]
    return [kinds[n % len(kinds)](n) for n in range(TURNS)]


@dataclass
class Tokens:
    """The input tokens of a conversation."""

    input: int = 0
    cached: int = 0

    def add(self, input: int, cached: int) -> None:
        self.input += input
        self.cached += cached

    @property
    def share(self) -> float:
        return self.cached / self.input


def outcome(name: str, arguments: Json) -> str:
    """What a tool gives back."""
    return f"{name}: {json.dumps(arguments, ensure_ascii=False)} is fine."


def sealed_in(items: list[Json]) -> list[str]:
    return [item["encrypted_content"] for item in items if item["type"] == "reasoning"]


def issuer(sealed: str) -> int:
    """The number of the exchange in which the simulator issued this reasoning."""
    text = sealed.removeprefix("gAAAAA")
    seal = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return int(seal["item"].removeprefix("rs_")[:16], 16)


def kept(item: Json) -> Json:
    """An output item as a native client sends it back: what it says, without ids and status."""
    kind = item["type"]
    if kind == "message":
        content = [{"type": "output_text", "text": part["text"]} for part in item["content"]]
        phase = {"phase": item["phase"]} if "phase" in item else {}
        return {"type": kind, "role": "assistant", **phase, "content": content}
    fields = {
        "reasoning": ["summary", "encrypted_content"],
        "function_call": ["call_id", "name", "arguments"],
    }[kind]
    return {"type": kind} | {field: item[field] for field in fields}


class Native:
    """A client of the Responses API that keeps the items itself."""

    def __init__(self, backend: str, exchange: Json) -> None:
        """Sends what this exchange of the daemon did, but for the input and the cache's key."""
        self._url = f"http://{backend}/backend-api/codex/responses"
        skipped = {"host", "content-length", "accept-encoding", "connection"}
        headers = {k: v for k, v in exchange["headers"].items() if k not in skipped}
        self._headers = headers | {"Authorization": "Bearer invented"}
        request = exchange["request"]
        self._body = request | {"prompt_cache_key": f"native-{request['prompt_cache_key']}"}
        self.tokens = Tokens()

    def answer(self, items: list[Json]) -> list[Json]:
        """The items of the answer."""
        body = json.dumps(self._body | {"input": items}).encode()
        request = Request(self._url, body, self._headers, method="POST")
        output = []
        with build_opener(ProxyHandler({})).open(request, timeout=20) as answer:
            for line in answer:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line.removeprefix(b"data: "))
                if event["type"] == "response.output_item.done":
                    output.append(kept(event["item"]))
                elif event["type"] == "response.completed":
                    usage = event["response"]["usage"]
                    cached = usage["input_tokens_details"]["cached_tokens"]
                    self.tokens.add(usage["input_tokens"], cached)
        return output

    def play(self, leading: list[Json], prompts: list[str]) -> list[list[Json]]:
        """Plays a conversation; gives the input of every request."""
        items, inputs = list(leading), []
        for prompt in prompts:
            content = [{"type": "input_text", "text": prompt}]
            items.append({"type": "message", "role": "user", "content": content})
            while True:
                inputs.append(list(items))
                output = self.answer(items)
                items += output
                calls = [item for item in output if item["type"] == "function_call"]
                if not calls:
                    break
                for call in calls:
                    text = outcome(call["name"], json.loads(call["arguments"]))
                    given = {"call_id": call["call_id"], "output": text}
                    items.append({"type": "function_call_output"} | given)
        return inputs


def respelled(message: Json, variant: int) -> Json:
    """The same message in another spelling, as clients have it that store and rebuild histories."""
    message = json.loads(json.dumps(message))
    content = message.get("content")
    if content is None:
        message["content"] = ""
    elif variant % 2:
        message["content"] = [{"type": "text", "text": content}]
    for call in message.get("tool_calls") or []:
        arguments = json.loads(call["function"]["arguments"])
        call["function"]["arguments"] = json.dumps(arguments, indent=variant % 3)
    return dict(reversed(message.items()))


def masked(items: list[Json]) -> list[Json]:
    """Items without what is new for every answer. Ids become the order in which they came."""
    ids: dict[str, int] = {}
    out = []
    for item in items:
        item = dict(item)
        for field in ("call_id", "encrypted_content"):
            if field in item:
                item[field] = ids.setdefault(item[field], len(ids))
        out.append(item)
    return out


def agent(
    ask: Callable[[list[Json]], Json], messages: list[Json], prompts: list[str]
) -> list[Json]:
    """Plays a conversation through chat completions, running the tools; gives `messages`, to which
    it is added. `ask` gives the assistant's message."""
    for prompt in prompts:
        messages.append({"role": "user", "content": prompt})
        while True:
            message = ask(messages)
            messages.append(message)
            if not message.get("tool_calls"):
                break
            for call in message["tool_calls"]:
                function = call["function"]
                text = outcome(function["name"], json.loads(function["arguments"]))
                tool = {"role": "tool", "tool_call_id": call["id"], "content": text}
                messages.append(tool)
    return messages
