"""Models, keys, headers, and clients that leave early."""

import openai
import pytest
from conftest import MODEL, Scene
from openai import OpenAI

# What the backend may learn of a request besides its body.
EXPECTED_HEADERS = {
    "accept",
    "chatgpt-account-id",
    "content-length",
    "content-type",
    "host",
    "originator",
    "session-id",
    "thread-id",
    "user-agent",
    "version",
    "x-client-request-id",
}


def test_models(client: OpenAI) -> None:
    models = client.models.list().data
    assert [model.id for model in models] == [
        "gpt-5.6-sol",
        "gpt-5.6-terra",
        "gpt-5.6-luna",
        "gpt-5.5",
        "gpt-5.2",
    ]
    assert all(model.object == "model" and model.created > 0 for model in models)


@pytest.mark.parametrize("name", [MODEL, f"openai/{MODEL}", f"{MODEL}-high", "default"])
def test_one_model(client: OpenAI, name: str) -> None:
    model = client.models.retrieve(name)
    assert model.id == name
    assert (model.model_extra or {})["context_length"] == 272_000


def test_no_such_model(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-0")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


def test_no_such_endpoint(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model=MODEL, input="x")
    assert "POST /v1/embeddings" in caught.value.message


# The backend would refuse the last one, if it ever saw it.
@pytest.mark.parametrize("key", ["x", "sk-invented", "a" * 4000, "simulate-expired"])
def test_any_key_will_do(client: OpenAI, scene: Scene, key: str) -> None:
    stranger = client.with_options(api_key=key)
    answer = stranger.chat.completions.create(model=MODEL, messages=scene.user('text "Yes."'))
    assert answer.choices[0].message.content == "Yes."


@pytest.mark.parametrize("path", ["", "/v1", "/v1/", "/v1/v1"])
def test_any_base_url_will_do(client: OpenAI, base_url: str, path: str) -> None:
    other = client.with_options(base_url=base_url.removesuffix("/v1") + path)
    assert other.models.list().data


def test_the_clients_headers_stay_here(client: OpenAI, scene: Scene) -> None:
    chatty = client.with_options(
        organization="org-invented",
        project="proj-invented",
        default_headers={"x-simulate": "refusal nothing", "cookie": "a=b", "x-custom": "yes"},
    )
    messages = scene.user('text "Quiet."')
    with chatty.chat.completions.stream(model=MODEL, messages=messages) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Quiet."
    headers = scene.exchange()["headers"]
    assert set(headers) == EXPECTED_HEADERS
    assert headers["originator"] == "codex-proxy"
    assert headers["user-agent"].startswith("codex-proxy/")
    assert headers["chatgpt-account-id"] == "account-of-the-tests"


def test_one_conversation_keeps_its_id(client: OpenAI, scene: Scene) -> None:
    messages = scene.user('text "One."')
    for _ in range(2):
        answer = client.chat.completions.create(model=MODEL, messages=messages)
        messages += [answer.choices[0].message.to_dict(), {"role": "user", "content": "Go on."}]
    first, second = scene.exchanges()
    for name in ("session-id", "thread-id", "x-client-request-id"):
        assert first["headers"][name] == second["headers"][name]
    assert first["request"]["prompt_cache_key"] == second["request"]["prompt_cache_key"]


def test_headers_of_the_answer(client: OpenAI, scene: Scene) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=scene.user())
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    assert raw.headers["x-codex-proxy-upstream-model"] == MODEL
    assert raw.headers["x-codex-proxy-upstream-request-id"].startswith("req_")
    assert "x-codex-proxy-dropped" not in raw.headers
    assert "x-codex-proxy-simulated" not in raw.headers, "the daemon takes it for the real one"


def test_leaving_a_stream_cancels_the_call(client: OpenAI, scene: Scene) -> None:
    messages = scene.user("deltas 9", "stall after=1")
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, stream=True):
        if chunk.choices[0].delta.content:
            break
    scene.wait_for("cancelled")


def test_leaving_the_helper_cancels_the_call(client: OpenAI, scene: Scene) -> None:
    messages = scene.user("deltas 9", "stall after=1")
    with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
        for event in stream:
            if event.type == "content.delta":
                break
    scene.wait_for("cancelled")


def test_leaving_several_choices_cancels_each_call(client: OpenAI, scene: Scene) -> None:
    messages = scene.user("deltas 9", "stall after=1")
    stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True, n=2)
    with stream:
        next(iter(stream))
    scene.wait_for("cancelled", times=2)


def test_giving_up_on_a_whole_answer_cancels_the_call(client: OpenAI, scene: Scene) -> None:
    hasty = client.with_options(timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model=MODEL, messages=scene.user("stall after=0"))
    scene.wait_for("cancelled")
