"""`.parse()` and what keeps it from parsing."""

import enum

import openai
import pytest
from conftest import MODEL, Scene
from openai import OpenAI
from pydantic import BaseModel


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Step(BaseModel):
    explanation: str
    output: str


class Solution(BaseModel):
    steps: list[Step]
    colour: Colour
    answer: int | None


ANSWER = r'text "{\"steps\":[{\"explanation\":\"e\",\"output\":\"o\"}],\"colour\":\"red\",\"answer\":null}"'
SOLUTION = Solution(
    steps=[Step(explanation="e", output="o")], colour=Colour.RED, answer=None
)


def test_parse(client: OpenAI, scene: Scene) -> None:
    completion = client.chat.completions.parse(
        model=MODEL, messages=scene.user(ANSWER), response_format=Solution
    )
    assert completion.choices[0].message.parsed == SOLUTION
    sent = scene.exchange()["request"]["text"]["format"]
    assert (sent["type"], sent["name"], sent["strict"]) == ("json_schema", "Solution", True)
    assert set(sent["schema"]["required"]) == {"steps", "colour", "answer"}


def test_parse_what_the_schema_alone_makes(client: OpenAI, scene: Scene) -> None:
    completion = client.chat.completions.parse(
        model=MODEL, messages=scene.user(), response_format=Solution
    )
    assert isinstance(completion.choices[0].message.parsed, Solution)


def test_parse_streamed(client: OpenAI, scene: Scene) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=scene.user(ANSWER, "deltas 12"), response_format=Solution
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == SOLUTION
    assert [e.parsed for e in events if e.type == "content.done"] == [SOLUTION]
    assert len([e for e in events if e.type == "content.delta"]) == 12


def test_json_object_without_the_word_json(client: OpenAI, scene: Scene) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=scene.user(), response_format={"type": "json_object"}
    )
    content = raw.parse().choices[0].message.content or ""
    assert content.startswith('{"answer":')
    assert raw.headers["x-codex-proxy-emulated"] == "response_format"


def test_refusal_is_not_parsed(client: OpenAI, scene: Scene) -> None:
    messages = scene.user('refusal "No."')
    completion = client.chat.completions.parse(
        model=MODEL, messages=messages, response_format=Solution
    )
    message = completion.choices[0].message
    assert (message.refusal, message.parsed, message.content) == ("No.", None, None)

    with client.chat.completions.stream(
        model=MODEL, messages=messages, response_format=Solution
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert [e.refusal for e in events if e.type == "refusal.done"] == ["No."]
    assert (final.choices[0].message.refusal, final.choices[0].message.parsed) == ("No.", None)


@pytest.mark.parametrize(
    ("directive", "error"),
    [
        ("length after=2", openai.LengthFinishReasonError),
        ("content-filter after=2", openai.ContentFilterFinishReasonError),
    ],
)
def test_a_cut_answer_is_an_error(
    client: OpenAI, scene: Scene, directive: str, error: type[Exception]
) -> None:
    messages = scene.user(ANSWER, "deltas 12", directive)
    with pytest.raises(error):
        client.chat.completions.parse(model=MODEL, messages=messages, response_format=Solution)
    with (
        pytest.raises(error),
        client.chat.completions.stream(
            model=MODEL, messages=messages, response_format=Solution
        ) as stream,
    ):
        stream.until_done()


def test_a_token_limit_cuts_a_parsed_answer(client: OpenAI, scene: Scene) -> None:
    with pytest.raises(openai.LengthFinishReasonError) as caught:
        client.chat.completions.parse(
            model=MODEL,
            messages=scene.user(ANSWER, "deltas 12"),
            response_format=Solution,
            max_completion_tokens=3,
        )
    assert caught.value.completion.usage
