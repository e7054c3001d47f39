"""Runs the daemon in front of the simulated backend, both on ports of their own.

The daemon signs in as it would for a person: with an `auth.json`, here an invented one, in the
folder that `CODEX_HOME` names.
"""

import base64
import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
BINARY = Path(os.environ.get("CODEX_PROXY_BIN", TARGET / "debug" / "codex-proxy"))

# Far more than a start takes: only a hang gets here.
DEADLINE = 20


def _token(**claims: object) -> str:
    """A token whose claims can be read and whose signature is nonsense."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    return f"e30.{payload.decode()}.c2ln"


def sign_in(codex_home: Path) -> None:
    """Writes an invented login."""
    codex_home.mkdir(parents=True, exist_ok=True)
    account = {"chatgpt_account_id": "account-of-the-tests", "chatgpt_plan_type": "plus"}
    claims = {"email": "tester@example.com", "https://api.openai.com/auth": account}
    tokens = {
        "id_token": _token(**claims),
        "access_token": _token(**claims, exp=4102444800),
        # Nothing renews it, so that a 401 of the backend is one request's alone.
        "account_id": account["chatgpt_account_id"],
    }
    login = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens}
    (codex_home / "auth.json").write_text(json.dumps(login))


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[str]:
    """Runs the binary until the block ends; gives the address that it listens on.

    `folder` is its home and its `CODEX_HOME`. Nothing of the caller's environment reaches it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    home = str(folder)
    process = subprocess.Popen(
        [BINARY, "--log-format", "json", "--listen", "127.0.0.1:0", *arguments],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={"HOME": home, "CODEX_HOME": home},
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()

    def drain() -> None:
        # To the end, so that a full pipe never stops the process.
        with process.stderr as stderr:
            for line in stderr:
                lines.put(line)
        lines.put("")

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    try:
        yield _address(lines)
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        reader.join(DEADLINE)


def _address(lines: "queue.Queue[str]") -> str:
    said = ""
    while line := lines.get(timeout=DEADLINE):
        said += line
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "listening" in entry.get("message", ""):
            return entry["address"]
    raise RuntimeError(f"{BINARY} did not start:\n{said}")


@contextmanager
def backend(folder: Path) -> Iterator[str]:
    """Runs the simulated backend; gives its address."""
    with running(folder, "simulate") as address:
        yield address


@contextmanager
def daemon(folder: Path, backend_address: str) -> Iterator[str]:
    """Runs the daemon in front of that backend; gives the base URL for clients."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config-of-the-tests.toml"
    # The sign-in service too: no test may ever ask the real one.
    config.write_text(
        f'[upstream]\nbase_url = "http://{backend_address}/backend-api/codex"\n'
        f'[auth]\nissuer = "http://{backend_address}"\n'
    )
    with running(folder, "--config", str(config), "serve") as address:
        yield f"http://{address}/v1"
