"""instructor: typed answers, by a tool that has to be called and by a JSON schema."""

import instructor
import pytest
from conftest import MODEL, Daemon, Program, directed
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, field_validator


class City(BaseModel):
    name: str
    people: int


def client(daemon: Daemon, mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(OpenAI(base_url=daemon.base_url, api_key="any"), mode=mode)


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


MODES = [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.JSON]


@pytest.mark.parametrize("mode", MODES)
def test_a_typed_answer(daemon: Daemon, mode: instructor.Mode) -> None:
    said = {
        instructor.Mode.TOOLS: 'call City {"name": "Oslo", "people": 700000}',
        instructor.Mode.JSON_SCHEMA: r'text "{\"name\": \"Oslo\", \"people\": 700000}"',
        instructor.Mode.JSON: r'text "{\"name\": \"Oslo\", \"people\": 700000}"',
    }
    city = client(daemon, mode).create(
        model=MODEL, response_model=City, messages=user(directed(said[mode])), max_retries=0
    )
    # Of a class that is made from this one.
    assert city.model_dump() == {"name": "Oslo", "people": 700_000}
    daemon.answered(1)


def test_a_streamed_answer(daemon: Daemon) -> None:
    prompt = directed("deltas 6", directed('call City {"name": "Oslo", "people": 700000}'))
    partial = client(daemon, instructor.Mode.TOOLS).create_partial(
        model=MODEL, response_model=City, messages=user(prompt), max_retries=0
    )
    states = list(partial)
    assert len(states) > 1
    assert states[-1].model_dump() == {"name": "Oslo", "people": 700_000}
    assert daemon.answered(1)[0]["stream"]


def test_two_turns_of_a_tool(daemon: Daemon) -> None:
    """instructor's own second turn: what is wrong with a call goes back as the tool's result."""

    class Small(City):
        @field_validator("people")
        @classmethod
        def small(cls, people: int) -> int:
            assert people < 1000, "too many people"
            return people

    prompt = directed('call Small {"name": "Oslo", "people": 700000}')
    with pytest.raises(instructor.core.InstructorRetryException) as failure:
        client(daemon, instructor.Mode.TOOLS).create(
            model=MODEL, response_model=Small, messages=user(prompt), max_retries=1
        )
    # The simulated model repeats nothing once a tool has answered; what it was told shows in its
    # words, which are no call.
    last = failure.value.last_completion.choices[0].message
    assert "too many people" in last.content and last.content.startswith("Small says:")
    assert daemon.answered(2)[1]["continuity"] == "hit"


def test_the_program_that_the_snippet_is(daemon: Daemon, program: Program) -> None:
    assert "name='simulated name'" in program.run("python", "-c", daemon.settings("instructor"))
    daemon.answered(1)
