"""The control API: misbehaviour on demand, keys at run time, and the record of the requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.aws_key import AwsKey
from local.model_endpoints.keys import NO_CREDENTIAL, aws_fingerprint, bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from local.model_endpoints.recorder import RecordedRequest, Recorder

KEY, OTHER_KEY, COHERE_KEY = "sk-first", "sk-second", "co-first"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
EMBEDDING = {"model": "text-embedding-3-small", "input": "hello"}

Logged = tuple[ModelEndpoints, Path]  # with its log file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    log_file = tmp_path_factory.mktemp("endpoints") / "log"
    with start_model_endpoints(log_file=log_file) as started:
        yield started, log_file


@pytest.fixture
def endpoints(server: Logged) -> ModelEndpoints:
    started, _ = server
    started.behave_normally()
    started.replace_keys({"openai": [KEY, OTHER_KEY], "cohere": [COHERE_KEY]})
    started.forget_requests()
    return started


def chat(
    endpoints: ModelEndpoints, key: str = KEY, body: dict[str, Any] | None = None, path: str = "/v1/chat/completions"
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(endpoints.url + path, json=body or CHAT, headers=headers, timeout=30, trust_env=False)


# Misbehaviour


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_status_is_answered_in_the_familys_error_shape_until_cleared(endpoints: ModelEndpoints, status: int) -> None:
    endpoints.behave(family="openai", status=status)
    for _ in range(3):
        response = chat(endpoints)
        assert response.status_code == status
        assert response.json()["error"]["message"]
    endpoints.behave_normally()
    assert chat(endpoints).status_code == 200


def test_a_status_for_the_next_two_requests_ends_by_itself(endpoints: ModelEndpoints) -> None:
    endpoints.behave(family="openai", status=500, times=2)
    assert [chat(endpoints).status_code for _ in range(3)] == [500, 500, 200]


def test_only_the_credential_that_was_named_suffers(endpoints: ModelEndpoints) -> None:
    endpoints.behave(fingerprint=bearer_fingerprint(KEY), status=429)
    assert (chat(endpoints, KEY).status_code, chat(endpoints, OTHER_KEY).status_code) == (429, 200)


def test_only_the_family_that_was_named_suffers(endpoints: ModelEndpoints) -> None:
    endpoints.behave(family="cohere", status=429)
    assert chat(endpoints).status_code == 200
    assert chat(endpoints, COHERE_KEY, {"message": "hello"}, "/v1/chat").status_code == 429


def test_the_more_specific_behaviour_wins(endpoints: ModelEndpoints) -> None:
    endpoints.behave(status=500)
    endpoints.behave(family="openai", status=503)
    endpoints.behave(family="openai", fingerprint=bearer_fingerprint(KEY), status=429, times=1)
    statuses = [chat(endpoints).status_code, chat(endpoints).status_code]
    assert statuses == [429, 503]
    assert chat(endpoints, COHERE_KEY, {"message": "hello"}, "/v1/chat").status_code == 500


def test_a_wrong_dimension_is_answered_with_200(endpoints: ModelEndpoints) -> None:
    endpoints.behave(family="openai", dimension=7)
    response = chat(endpoints, body=EMBEDDING, path="/v1/embeddings")
    assert (response.status_code, len(response.json()["data"][0]["embedding"])) == (200, 7)


def test_an_answer_can_be_no_json(endpoints: ModelEndpoints) -> None:
    endpoints.behave(family="openai", fault="non_json", times=1)
    response = chat(endpoints)
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_a_connection_can_be_closed_without_an_answer(endpoints: ModelEndpoints) -> None:
    endpoints.behave(family="openai", fault="close", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        chat(endpoints)
    assert chat(endpoints).status_code == 200
    assert [request.status for request in endpoints.requests()] == [None, 200]


def test_fifty_slow_calls_wait_at_the_same_time(endpoints: ModelEndpoints) -> None:
    endpoints.behave(family="openai", delay_s=2.0)

    async def fifty() -> list[int]:
        async with httpx.AsyncClient(base_url=endpoints.url, timeout=30, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {KEY}"}
            calls = [client.post("/v1/chat/completions", json=CHAT, headers=headers) for _ in range(50)]
            return [response.status_code for response in await asyncio.gather(*calls)]

    started = time.perf_counter()
    assert asyncio.run(fifty()) == [200] * 50
    assert 2.0 <= time.perf_counter() - started < 6.0
    assert all(2.0 <= request.duration < 6.0 for request in endpoints.requests())


@pytest.mark.parametrize("wrong", [{"stauts": 500}, {"fault": "explode"}])
def test_an_unknown_behaviour_is_refused(endpoints: ModelEndpoints, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        endpoints.behave(**wrong)
    response = httpx.put(f"{endpoints.url}/_control/behaviours", json=wrong, trust_env=False)
    assert response.status_code == 400
    assert "unknown" in response.json()["error"]


# Keys


def test_a_key_can_be_accepted_and_refused_while_the_server_runs(endpoints: ModelEndpoints) -> None:
    assert chat(endpoints, "sk-third").status_code == 401
    endpoints.accept_keys({"openai": ["sk-third"]})
    assert (chat(endpoints, "sk-third").status_code, chat(endpoints, KEY).status_code) == (200, 200)
    endpoints.refuse_key(bearer_fingerprint(KEY))
    assert (chat(endpoints, "sk-third").status_code, chat(endpoints, KEY).status_code) == (200, 401)
    endpoints.replace_keys({"openai": [KEY]})
    assert (chat(endpoints, "sk-third").status_code, chat(endpoints, KEY).status_code) == (401, 200)


def test_refusing_a_key_that_nobody_has_is_an_error(endpoints: ModelEndpoints) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        endpoints.refuse_key("000000000000")


def test_accepted_keys_are_told_by_fingerprint_only(endpoints: ModelEndpoints) -> None:
    key = AwsKey("AKIAEXAMPLE", "the-secret")
    endpoints.accept_keys({"aws": [{"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}]})
    accepted = endpoints.accepted_fingerprints()
    assert accepted["openai"] == sorted(map(bearer_fingerprint, (KEY, OTHER_KEY)))
    assert accepted["aws"] == [aws_fingerprint(key)]


def test_an_aws_keys_fingerprint_tells_its_session_tokens_apart_but_not_its_secret() -> None:
    one, two = AwsKey("ASIA", "secret", "token"), AwsKey("ASIA", "secret", "another token")
    assert len({aws_fingerprint(one), aws_fingerprint(two), aws_fingerprint(AwsKey("ASIA", "secret"))}) == 3
    assert aws_fingerprint(one) == aws_fingerprint(AwsKey("ASIA", "another secret", "token"))
    assert "secret" not in repr(one)


# The record


def test_each_request_is_recorded_with_its_credentials_fingerprint(endpoints: ModelEndpoints) -> None:
    before = time.time()
    chat(endpoints, KEY)
    chat(endpoints, "sk-wrong")
    chat(endpoints, COHERE_KEY, {"message": "hello"}, "/v1/chat")
    httpx.post(f"{endpoints.url}/v1/embeddings", json={}, trust_env=False)
    httpx.get(f"{endpoints.url}/v1/models", trust_env=False)
    recorded = endpoints.requests()
    assert [(r.method, r.path, r.family, r.status, r.credential_fingerprint) for r in recorded] == [
        ("POST", "/v1/chat/completions", "openai", 200, bearer_fingerprint(KEY)),
        ("POST", "/v1/chat/completions", "openai", 401, bearer_fingerprint("sk-wrong")),
        ("POST", "/v1/chat", "cohere", 200, bearer_fingerprint(COHERE_KEY)),
        ("POST", "/v1/embeddings", "openai", 401, NO_CREDENTIAL),
        ("GET", "/v1/models", "unknown", 404, NO_CREDENTIAL),
    ]
    assert all(before <= r.time <= time.time() and 0 <= r.duration < 5 for r in recorded)


def test_counts_since_a_time_tell_which_credential_served(endpoints: ModelEndpoints) -> None:
    chat(endpoints, KEY)
    swapped = time.time()
    for _ in range(3):
        chat(endpoints, OTHER_KEY)
    assert endpoints.counts_by_fingerprint() == {bearer_fingerprint(KEY): 1, bearer_fingerprint(OTHER_KEY): 3}
    assert endpoints.counts_by_fingerprint(since=swapped) == {bearer_fingerprint(OTHER_KEY): 3}


def test_requests_can_be_filtered_and_limited(endpoints: ModelEndpoints) -> None:
    for key in (KEY, OTHER_KEY, OTHER_KEY):
        chat(endpoints, key)
    assert len(endpoints.requests(fingerprint=bearer_fingerprint(OTHER_KEY))) == 2
    assert endpoints.requests(family="cohere") == []
    assert len(endpoints.requests(limit=1)) == 1


def test_the_record_is_bounded_and_tells_what_it_dropped() -> None:
    recorder = Recorder(capacity=2)
    for number in range(5):
        recorder.add(RecordedRequest(float(number), "/", "POST", "openai", "f", 200, 0.0))
    assert [request.time for request in recorder.since(0.0)] == [3.0, 4.0]
    assert recorder.dropped == 3
    recorder.clear()
    assert (recorder.since(0.0), recorder.dropped) == ([], 0)


def test_no_credential_is_ever_logged_or_answered(server: Logged, endpoints: ModelEndpoints) -> None:
    secret = "sk-never-to-be-seen"
    endpoints.accept_keys({"openai": [secret]})
    chat(endpoints, secret)
    chat(endpoints, secret, {"model": "gpt-4o", "messages": ["makes the handler stumble"]})
    answers = [
        httpx.get(f"{endpoints.url}/_control/{path}", trust_env=False).text
        for path in ("keys", "requests", "requests/counts", "behaviours")
    ]
    log = server[1].read_text()
    assert "does not fit openai" in log
    assert secret not in log + "".join(answers)


def test_hundreds_of_requests_a_second_are_answered_and_recorded(endpoints: ModelEndpoints) -> None:
    each, clients = 100, 8

    def many(_: int) -> None:
        with httpx.Client(
            base_url=endpoints.url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
        ) as client:
            for _ in range(each):
                assert client.post("/v1/embeddings", json=EMBEDDING).status_code == 200

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(many, range(clients)))
    rate = each * clients / (time.perf_counter() - started)
    assert rate > 200
    assert endpoints.counts_by_fingerprint() == {bearer_fingerprint(KEY): each * clients}
