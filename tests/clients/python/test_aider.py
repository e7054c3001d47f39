"""aider: it has no tools of the API's kind; it applies what a streamed answer says."""

import json

from conftest import MODEL, Daemon, Program, directed

EDIT = """greeting.txt
```
<<<<<<< SEARCH
hello
=======
goodbye
>>>>>>> REPLACE
```
"""


def test_an_edit_from_a_streamed_answer(daemon: Daemon, program: Program) -> None:
    greeting = program.home / "greeting.txt"
    greeting.write_text("hello\n")
    program.environment = {"OPENAI_API_BASE": daemon.base_url, "OPENAI_API_KEY": "any"}
    prompt = directed(f"text {json.dumps(EDIT)}", "Say goodbye.")
    quiet = ["--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-pretty"]
    plain = ["--no-show-release-notes", "--no-git", "--yes-always", "--edit-format", "diff"]
    model = ["--model", f"openai/{MODEL}"]
    said = program.run("aider", *model, *plain, *quiet, "--message", prompt, "greeting.txt")
    assert greeting.read_text() == "goodbye\n", said
    assert "Applied edit to greeting.txt" in said
    assert daemon.answered(1)[0]["stream"]
