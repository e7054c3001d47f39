"""What every test gets: a client, and a scene to play."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.request import ProxyHandler, build_opener

import processes
import pytest
from openai import OpenAI

MODEL = "gpt-5.5"

# Nothing here leaves the machine.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
for name in (*PROXIES, "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)


class Scene:
    """The prompts of one test and what the backend saw of them.

    Tests share one backend. Each marks its prompts, and looks only at exchanges with its mark.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._mark = f"scene-{uuid.uuid4().hex}"

    def prompt(self, *directives: str, words: str = "Hello.") -> str:
        """A text for a user's message; each directive changes what the backend answers."""
        told = "".join(f" [[simulate: {directive}]]" for directive in directives)
        return f"{words} {self._mark}{told}"

    def user(self, *directives: str, words: str = "Hello.") -> list[dict[str, Any]]:
        """The same as a whole conversation."""
        return [{"role": "user", "content": self.prompt(*directives, words=words)}]

    def exchanges(self) -> list[dict[str, Any]]:
        """The requests that reached the backend, oldest first."""
        url = f"http://{self._backend}/simulator/log"
        with build_opener(ProxyHandler({})).open(url, timeout=10) as answer:
            log = json.load(answer)
        return [x for x in log["exchanges"] if self._mark in json.dumps(x["request"])]

    def exchange(self) -> dict[str, Any]:
        """The only request that reached the backend."""
        (exchange,) = self.exchanges()
        return exchange

    def wait_for(self, outcome: str, times: int = 1) -> None:
        """Waits until there are so many exchanges, and all of them have ended so."""
        deadline = time.monotonic() + 10
        while (outcomes := [x["outcome"] for x in self.exchanges()]) != [outcome] * times:
            assert time.monotonic() < deadline, f"{outcomes}, not {times} times {outcome}"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the simulated backend."""
    with processes.backend(tmp_path_factory.mktemp("backend")) as address:
        yield address


@pytest.fixture(scope="session")
def base_url(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The daemon, signed in."""
    home = tmp_path_factory.mktemp("signed-in")
    processes.sign_in(home)
    with processes.daemon(home, backend) as url:
        yield url


@pytest.fixture(scope="session")
def signed_out_url(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another daemon, which finds no login."""
    with processes.daemon(tmp_path_factory.mktemp("signed-out"), backend) as url:
        yield url


@pytest.fixture(scope="session")
def client(base_url: str) -> Iterator[OpenAI]:
    """A client that does not try again by itself; tests of retries ask for them."""
    with OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def scene(backend: str) -> Scene:
    return Scene(backend)
