"""What every test gets: a daemon in front of the simulated backend, and what its log says.

Each client has an environment of its own, so that its versions are nobody else's. Only what all of
them have may be imported here.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
BINARY = Path(os.environ.get("CODEX_PROXY_BIN", TARGET / "debug" / "codex-proxy"))

MODEL = "gpt-5.5"
ANSWER = "This is a simulated answer to: Hello!"

# Far more than anything here takes: only a hang gets here.
DEADLINE = 240

# Nothing here leaves the machine.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
for name in (*PROXIES, "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)


def directed(directive: str, words: str = "Hello!") -> str:
    """A prompt that says what the simulated backend answers."""
    return f"{words} [[simulate: {directive}]]"


@dataclass
class Daemon:
    """A running daemon."""

    base_url: str = ""
    home: str = ""
    _lines: "queue.Queue[str]" = field(default_factory=queue.Queue)

    def settings(self, client: str) -> str:
        """What `codex-proxy snippet` prints for a client."""
        address = self.base_url.removeprefix("http://").removesuffix("/v1")
        done = subprocess.run(
            [BINARY, "snippet", client, "--listen", address, "--model", MODEL],
            env={"HOME": self.home},
            stdout=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
            check=True,
        )
        return done.stdout

    def next(self) -> dict[str, Any]:
        """The next entry of its log."""
        while line := self._lines.get(timeout=DEADLINE):
            entry = json.loads(line)
            assert isinstance(entry, dict)
            return entry
        raise RuntimeError("the daemon has ended")

    def answered(self, count: int) -> list[dict[str, Any]]:
        """The next so many requests, as it has logged them; fails unless all went well."""
        entries: list[dict[str, Any]] = []
        while len(entries) < count:
            entry = self.next()
            if "request_id" in entry:
                assert entry["message"] == "answered" and entry["status"] == 200, entry
                entries.append(entry)
        return entries


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of the test's own. Nothing of the caller's environment reaches it."""
    home = str(tmp_path / "home-of-the-daemon")
    os.mkdir(home)
    process = subprocess.Popen(
        [BINARY, "--log-format", "json", "--listen", "127.0.0.1:0", "serve", "--simulate"],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={"HOME": home, "CODEX_HOME": home},
        text=True,
    )
    daemon = Daemon(home=home)

    def drain() -> None:
        # To the end, so that a full pipe never stops the process.
        assert process.stderr is not None
        with process.stderr as stderr:
            for line in stderr:
                daemon._lines.put(line)
        daemon._lines.put("")

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        while "listening" not in (entry := daemon.next())["message"]:
            pass
        daemon.base_url = f"http://{entry['address']}/v1"
        yield daemon
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        reader.join(20)


@dataclass
class Program:
    """A client that is a program, in a home and a folder of its own."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, *arguments: str) -> str:
        """Runs a program of this environment; gives what it printed."""
        program = Path(sys.executable).parent / name
        path = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home)}
        done = subprocess.run(
            [program, *arguments],
            cwd=self.home,
            env=path | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def program(tmp_path: Path) -> Program:
    home = tmp_path / "home"
    home.mkdir()
    return Program(home)
