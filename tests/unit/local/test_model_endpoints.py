"""The Bearer families over real HTTP: what they answer, and what they refuse."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from local.model_endpoints.keys import bearer_fingerprint, load_keys, save_keys
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints

OPENAI_KEY, COHERE_KEY = "sk-accepted-openai", "accepted-cohere"
MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "Where is Paris?"}]

Post = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def endpoints() -> Iterator[ModelEndpoints]:
    with start_model_endpoints(keys={"openai": [OPENAI_KEY], "cohere": [COHERE_KEY]}) as started:
        yield started


@pytest.fixture
def post(endpoints: ModelEndpoints) -> Post:
    def post(path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        key = key or (OPENAI_KEY if path in OPENAI_PATHS else COHERE_KEY)
        return httpx.post(endpoints.url + path, json=body, headers={"Authorization": f"Bearer {key}"}, trust_env=False)

    return post


OPENAI_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
COHERE_PATHS = ("/v1/embed", "/v2/embed", "/v1/rerank", "/v2/rerank", "/v1/chat", "/v2/chat")


# OpenAI


def test_openai_chat_repeats_the_last_message_every_time(post: Post) -> None:
    answers = [post("/v1/chat/completions", {"model": "gpt-4o-mini", "messages": MESSAGES}).json() for _ in range(2)]
    assert {answer["choices"][0]["message"]["content"] for answer in answers} == {"You said: Where is Paris?"}
    assert answers[0]["object"] == "chat.completion"
    assert answers[0]["choices"][0]["finish_reason"] == "stop"
    assert answers[0]["usage"]["total_tokens"] > 0


def test_openai_chat_stops_at_max_tokens(post: Post) -> None:
    body = {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 2}
    choice = post("/v1/chat/completions", body).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("You said:", "length")


def test_openai_completion_answers_each_prompt(post: Post) -> None:
    answer = post("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": ["one", "two"]}).json()
    assert [choice["text"] for choice in answer["choices"]] == ["You said: one", "You said: two"]
    assert answer["object"] == "text_completion"


@pytest.mark.parametrize("given", ["a text", ["a text"]])
def test_openai_embeds_a_string_and_a_list_of_strings_alike(post: Post, given: str | list[str]) -> None:
    answer = post("/v1/embeddings", {"model": "text-embedding-3-small", "input": given}).json()
    assert (answer["object"], answer["model"]) == ("list", "text-embedding-3-small")
    assert [(item["index"], len(item["embedding"])) for item in answer["data"]] == [(0, 384)]


@pytest.mark.parametrize("dimensions", [64, 1024])
def test_openai_dimensions_shorten_or_pad_an_embedding_of_length_one(post: Post, dimensions: int) -> None:
    body = {"model": "text-embedding-3-small", "input": "a text", "dimensions": dimensions}
    vector = post("/v1/embeddings", body).json()["data"][0]["embedding"]
    assert len(vector) == dimensions
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_openai_base64_holds_the_same_floats(post: Post) -> None:
    body = {"model": "text-embedding-3-small", "input": "a text"}
    plain = post("/v1/embeddings", body).json()["data"][0]["embedding"]
    encoded = post("/v1/embeddings", {**body, "encoding_format": "base64"}).json()["data"][0]["embedding"]
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(encoded), "<f4"), plain, rtol=1e-6)


@pytest.mark.parametrize("path", OPENAI_PATHS)
def test_openai_refuses_a_wrong_key_without_repeating_it(post: Post, path: str) -> None:
    response = post(path, {}, key="sk-wrong-0123456789")
    assert response.status_code == 401
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert not any(part in response.text for part in ("sk-", "0123", "6789"))


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}])
def test_openai_asks_for_a_key_when_there_is_none(endpoints: ModelEndpoints, headers: dict[str, str]) -> None:
    response = httpx.post(f"{endpoints.url}/v1/embeddings", json={}, headers=headers, trust_env=False)
    assert response.status_code == 401
    assert response.json()["error"]["message"].startswith("You didn't provide an API key")


@pytest.mark.parametrize("path", OPENAI_PATHS)
def test_openai_does_not_know_other_makers_models(post: Post, path: str) -> None:
    response = post(path, {"model": "llama-9", "input": "a", "prompt": "a", "messages": MESSAGES})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES}),
        ("/v1/chat/completions", {"model": "gpt-4o"}),
        ("/v1/chat/completions", {"model": "gpt-4o", "messages": ["no object"]}),
        ("/v1/chat/completions", {"model": "gpt-4o", "messages": MESSAGES, "stream": True}),
        ("/v1/completions", {"model": "davinci-002"}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": [[1, 2]]}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "a", "encoding_format": "hex"}),
    ],
)
def test_openai_answers_400_to_a_request_that_lacks_something(post: Post, path: str, body: dict[str, Any]) -> None:
    response = post(path, body)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_body_that_is_no_json_is_a_400_in_the_services_own_shape(endpoints: ModelEndpoints) -> None:
    for path, key in (("/v1/embeddings", OPENAI_KEY), ("/v1/embed", COHERE_KEY)):
        headers = {"Authorization": f"Bearer {key}"}
        response = httpx.post(endpoints.url + path, content="{", headers=headers, trust_env=False)
        assert response.status_code == 400
        assert "parse the JSON" in response.text


# Cohere


def test_cohere_version_1_answers_plain_lists(post: Post) -> None:
    body = {"model": "embed-english-v3.0", "texts": ["a", "b"], "input_type": "search_query", "truncate": "END"}
    answer = post("/v1/embed", body).json()
    assert [len(vector) for vector in answer["embeddings"]] == [384, 384]
    assert (answer["response_type"], answer["texts"]) == ("embeddings_floats", ["a", "b"])
    assert answer["meta"]["api_version"] == {"version": "1"}


@pytest.mark.parametrize("path", ["/v1/embed", "/v2/embed"])
def test_cohere_answers_by_type_when_asked_for_types(post: Post, path: str) -> None:
    types = {"float": 384, "int8": 384, "uint8": 384, "binary": 48, "ubinary": 48}
    body = {"model": "embed-v4.0", "texts": ["a"], "input_type": "search_query", "embedding_types": [*types]}
    answer = post(path, body).json()
    assert {kind: len(vectors[0]) for kind, vectors in answer["embeddings"].items()} == types
    assert answer["response_type"] == "embeddings_by_type"
    whole = answer["embeddings"]
    assert np.corrcoef(whole["float"][0], whole["int8"][0])[0, 1] > 0.99
    assert [byte - 128 for byte in whole["uint8"][0]] == whole["int8"][0]
    assert [byte - 128 for byte in whole["ubinary"][0]] == whole["binary"][0]


def test_cohere_version_2_answers_floats_unless_asked_otherwise_and_honours_the_dimension(post: Post) -> None:
    body = {"model": "embed-v4.0", "texts": ["a"], "input_type": "search_document", "output_dimension": 256}
    answer = post("/v2/embed", body).json()
    assert {kind: len(vectors[0]) for kind, vectors in answer["embeddings"].items()} == {"float": 256}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_cohere_reranks_by_meaning(post: Post, version: str) -> None:
    documents = ["The stock market fell.", "He repairs broken bicycles.", "Bananas are yellow."]
    body = {"model": "rerank-v3.5", "query": "Who can fix my bike?", "documents": documents, "top_n": 2}
    results = post(f"/{version}/rerank", body).json()["results"]
    assert results[0]["index"] == 1
    assert len(results) == 2
    assert 1 >= results[0]["relevance_score"] > results[1]["relevance_score"] >= 0


def test_cohere_chat_speaks_both_versions(post: Post) -> None:
    first = post("/v1/chat", {"message": "hello"}).json()
    assert (first["text"], first["finish_reason"]) == ("You said: hello", "COMPLETE")
    second = post("/v2/chat", {"model": "command-r", "messages": MESSAGES}).json()
    assert second["message"]["content"] == [{"type": "text", "text": "You said: Where is Paris?"}]


@pytest.mark.parametrize("path", COHERE_PATHS)
def test_cohere_refuses_a_wrong_key_an_unknown_model_and_a_missing_one(post: Post, path: str) -> None:
    assert post(path, {}, key=OPENAI_KEY).json()["message"] == "invalid api token"
    unknown = post(path, {"model": "gpt-4o"})
    assert unknown.status_code == 404
    assert "model 'gpt-4o' not found" in unknown.json()["message"]
    assert post(path, {}).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"model": "embed-v4.0", "texts": ["a"]},
        {"model": "embed-v4.0", "input_type": "search_query"},
        {"model": "embed-v4.0", "texts": ["a"], "input_type": "search_query", "embedding_types": ["int3"]},
        {"model": "embed-v4.0", "images": ["data:"], "input_type": "image"},
    ],
)
def test_cohere_answers_400_to_a_request_that_lacks_something(post: Post, body: dict[str, Any]) -> None:
    response = post("/v2/embed", body)
    assert response.status_code == 400
    assert set(response.json()) == {"id", "message"}


# Keys


def test_a_keys_file_is_readable_by_its_owner_only_and_refused_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.touch(mode=0o644)
    save_keys(path, {"openai": ["a-key"]})
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keys(path).fingerprints()["openai"] == [bearer_fingerprint("a-key")]
    path.chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        load_keys(path)


@pytest.mark.parametrize("document", [{"opneai": ["the-secret"]}, {"aws": [{"key": "the-secret"}]}])
def test_a_wrong_keys_file_is_told_without_a_secret(tmp_path: Path, document: dict[str, Any]) -> None:
    save_keys(tmp_path / "keys.json", document)
    with pytest.raises(ValueError, match="key") as error:
        load_keys(tmp_path / "keys.json")
    assert "the-secret" not in str(error.value)
