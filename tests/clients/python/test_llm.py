"""simonw/llm, the command: it streams by itself, and its tools are functions."""

from pathlib import Path

import pytest
from conftest import ANSWER, Daemon, Program, directed

MULTIPLY = '''
def multiply(a: int, b: int) -> int:
    "Multiplies two numbers."
    return a * b
'''


@pytest.fixture
def llm(daemon: Daemon, program: Program) -> Program:
    program.environment = {"LLM_USER_PATH": str(program.home)}
    (program.home / "extra-openai-models.yaml").write_text(daemon.settings("llm"))
    return program


def test_a_streamed_answer(daemon: Daemon, llm: Program) -> None:
    assert llm.run("llm", "-m", "codex", "--key", "any", "Hello!") == f"{ANSWER}\n"
    assert daemon.answered(1)[0]["stream"]


def test_a_tool_over_two_turns(daemon: Daemon, llm: Program) -> None:
    prompt = directed('call multiply {"a": 6, "b": 7}')
    said = llm.run("llm", "-m", "codex", "--key", "any", "--functions", MULTIPLY, prompt)
    assert said.endswith("multiply says: 42\n")
    first, second = daemon.answered(2)
    assert first["stream"] and second["stream"] and second["continuity"] == "hit"


def test_a_conversation_goes_on(daemon: Daemon, llm: Program) -> None:
    llm.run("llm", "-m", "codex", "--key", "any", "Hello!")
    llm.run("llm", "-c", "--key", "any", "Hello again!")
    assert daemon.answered(2)[1]["continuity"] == "hit"


def test_a_typed_answer_about_a_picture(daemon: Daemon, llm: Program, tmp_path: Path) -> None:
    picture = tmp_path / "dot.png"
    picture.write_bytes(
        bytes.fromhex(
            "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
            "0000000d49444154789c63f8cfc0f01f00050001ff56c72f0d0000000049454e44ae426082"
        )
    )
    schema = "name, people int"
    asked = ["llm", "-m", "codex", "--key", "any", "--schema", schema, "-a", str(picture)]
    assert '"people"' in llm.run(*asked, "Which city is this?")
    daemon.answered(1)
