"""hermes-agent, the command, with the settings that `codex-proxy snippet` prints."""

import pytest
from conftest import ANSWER, Daemon, Program, directed


@pytest.fixture
def hermes(daemon: Daemon, program: Program) -> Program:
    program.environment = {"HERMES_HOME": str(program.home)}
    (program.home / "config.yaml").write_text(daemon.settings("hermes-agent"))
    return program


def test_a_streamed_answer(daemon: Daemon, hermes: Program) -> None:
    said = hermes.run("hermes", "chat", "--quiet", "--query", "Hello!")
    assert ANSWER in said
    assert daemon.answered(1)[0]["stream"]


def test_a_tool_over_two_turns(daemon: Daemon, hermes: Program) -> None:
    prompt = directed('call terminal {"command": "echo $((6 * 7))"}')
    said = hermes.run("hermes", "chat", "--quiet", "--yolo", "--query", prompt)
    assert 'terminal says: {"output": "42"' in said
    first, second = daemon.answered(2)
    assert first["stream"] and second["stream"] and second["continuity"] == "hit"
