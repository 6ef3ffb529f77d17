"""SageMaker and Bedrock over real HTTP, called by boto3 and by requests that botocore signed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import botocore.auth
import httpx
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from tests.support import signing
from tests.support.signing import refused, send

LASTING = ("AKIAEXAMPLE", "lasting/secret")
TEMPORARY = ("ASIAEXAMPLE", "temporary+secret", "token/with+signs==")
SAGEMAKER_PATH = "/endpoints/embedder/invocations"
TITAN_V2_PATH = "/model/amazon.titan-embed-text-v2:0/invoke"

Connect = Callable[..., Any]  # a client of boto3, which has no types


@pytest.fixture(scope="module")
def endpoints() -> Iterator[ModelEndpoints]:
    keys = [
        {"access_key_id": LASTING[0], "secret_access_key": LASTING[1]},
        {"access_key_id": TEMPORARY[0], "secret_access_key": TEMPORARY[1], "session_token": TEMPORARY[2]},
    ]
    with start_model_endpoints(keys={"aws": keys}) as started:
        yield started


@pytest.fixture
def client(endpoints: ModelEndpoints) -> Connect:
    def client(service: str, *credentials: str) -> Any:
        key_id, secret, token = (*(credentials or LASTING), None)[:3]
        return boto3.client(
            service,
            endpoint_url=endpoints.url,
            region_name="eu-central-1",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )

    return client


def signed(url: str, body: str, *, service: str, credentials: tuple[str, ...] = LASTING, **headers: str) -> AWSRequest:
    return signing.signed(url, body, service=service, credentials=credentials, **headers)


# Signatures


@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY])
@pytest.mark.parametrize(
    "path", ["/model/amazon.titan-embed-text-v2:0/invoke", "/model/amazon.titan-embed-text-v2%3A0/invoke"]
)
def test_a_correct_signature_is_accepted_however_the_path_is_encoded(
    endpoints: ModelEndpoints, credentials: tuple[str, ...], path: str
) -> None:
    request = signed(endpoints.url + path, '{"inputText": "ä"}', service="bedrock", credentials=credentials)
    assert send(request).status_code == 200


def test_a_signed_content_hash_is_accepted_and_must_be_that_of_the_body(endpoints: ModelEndpoints) -> None:
    body = '["a"]'
    right = hashlib.sha256(body.encode()).hexdigest()
    url = endpoints.url + SAGEMAKER_PATH
    headers = {"X-Amz-Content-SHA256": right}
    assert send(signed(url, body, service="sagemaker", credentials=LASTING, **headers)).status_code == 200
    headers = {"X-Amz-Content-SHA256": hashlib.sha256(b"another").hexdigest()}
    assert refused(send(signed(url, body, service="sagemaker", credentials=LASTING, **headers))) == (
        403,
        "InvalidSignatureException",
    )


def test_no_signature_is_refused(endpoints: ModelEndpoints) -> None:
    response = httpx.post(endpoints.url + SAGEMAKER_PATH, content="[]", trust_env=False)
    assert refused(response) == (403, "MissingAuthenticationTokenException")


def test_an_authorization_that_is_no_signature_is_refused(endpoints: ModelEndpoints) -> None:
    request = signed(endpoints.url + SAGEMAKER_PATH, "[]", service="sagemaker")
    assert refused(send(request, Authorization="AWS4-HMAC-SHA256 Credential=x")) == (
        403,
        "IncompleteSignatureException",
    )


@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        (("AKIAUNKNOWN", LASTING[1]), "UnrecognizedClientException"),
        ((LASTING[0], "wrong secret"), "InvalidSignatureException"),
        (TEMPORARY[:2], "UnrecognizedClientException"),
        ((*TEMPORARY[:2], "another token"), "UnrecognizedClientException"),
        ((*LASTING, "a token that this key has not"), "UnrecognizedClientException"),
    ],
)
@pytest.mark.parametrize("service", ["sagemaker", "bedrock"])
def test_a_wrong_key_secret_or_session_token_is_refused(
    endpoints: ModelEndpoints, service: str, credentials: tuple[str, ...], error: str
) -> None:
    path = {"sagemaker": SAGEMAKER_PATH, "bedrock": TITAN_V2_PATH}[service]
    request = signed(endpoints.url + path, "[]", service=service, credentials=credentials)
    assert refused(send(request)) == (403, error)


def test_a_signature_for_another_service_is_refused_and_the_right_one_named(endpoints: ModelEndpoints) -> None:
    response = send(signed(endpoints.url + SAGEMAKER_PATH, "[]", service="bedrock"))
    assert refused(response) == (403, "InvalidSignatureException")
    assert "correct service: 'sagemaker'" in response.json()["message"]


def test_whatever_was_signed_may_not_change_afterwards(endpoints: ModelEndpoints) -> None:
    request = signed(
        endpoints.url + SAGEMAKER_PATH + "?a=1&b=2",
        '["a"]',
        service="sagemaker",
        credentials=LASTING,
        **{"X-Amz-Extra": "1"},
    )
    assert send(request).status_code == 200
    changes: dict[str, Callable[[], httpx.Response]] = {
        "body": lambda: httpx.post(request.url, content='["b"]', headers=dict(request.headers), trust_env=False),
        "query": lambda: httpx.post(
            request.url.replace("b=2", "b=3"), content=request.data, headers=dict(request.headers), trust_env=False
        ),
        "path": lambda: httpx.post(
            request.url.replace("embedder", "other"),
            content=request.data,
            headers=dict(request.headers),
            trust_env=False,
        ),
        "header": lambda: send(request, **{"X-Amz-Extra": "2"}),
        "host": lambda: send(request, Host="elsewhere.example"),
    }
    assert {what: refused(change()) for what, change in changes.items()} == dict.fromkeys(
        changes, (403, "InvalidSignatureException")
    )


@pytest.mark.parametrize(("minutes", "words"), [(-6, "Signature expired"), (6, "Signature not yet current")])
def test_a_signature_more_than_five_minutes_off_is_refused(
    endpoints: ModelEndpoints, monkeypatch: pytest.MonkeyPatch, minutes: int, words: str
) -> None:
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda: datetime.now(timezone.utc) + timedelta(minutes=minutes)
    )
    response = send(signed(endpoints.url + SAGEMAKER_PATH, "[]", service="sagemaker"))
    assert refused(response) == (403, "InvalidSignatureException")
    assert response.json()["message"].startswith(words)


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_signature_four_minutes_off_is_accepted(
    endpoints: ModelEndpoints, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda: datetime.now(timezone.utc) + timedelta(minutes=minutes)
    )
    assert send(signed(endpoints.url + SAGEMAKER_PATH, '["a"]', service="sagemaker")).status_code == 200


# SageMaker


@pytest.mark.parametrize(
    "body",
    [["a", "b"], {"inputs": ["a", "b"]}, {"texts": ["a", "b"], "content_type": "query"}, {"text_inputs": ["a", "b"]}],
)
def test_sagemaker_embeds_each_text(client: Connect, body: list[str] | dict[str, Any]) -> None:
    answer = client("sagemaker-runtime").invoke_endpoint(EndpointName="embedder", Body=json.dumps(body))
    assert [len(vector) for vector in json.load(answer["Body"])] == [384, 384]
    assert answer["InvokedProductionVariant"] == "AllTraffic"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"inputs": {"question": "Where?", "context": "In Rome. Not in Oslo."}}, {"answer": "In Rome"}),
        ({"inputs": "hello", "parameters": {"max_new_tokens": 10}}, [{"generated_text": "You said: hello"}]),
        ({"messages": [{"role": "user", "content": "hello"}]}, {"object": "chat.completion"}),
    ],
)
def test_sagemaker_answers_in_the_shape_that_the_body_calls_for(
    client: Connect, body: dict[str, Any], expected: dict[str, str] | list[dict[str, str]]
) -> None:
    answer = client("sagemaker-runtime").invoke_endpoint(EndpointName="llm", Body=json.dumps(body))
    document = json.load(answer["Body"])
    assert document == expected or (isinstance(expected, dict) and expected.items() <= document.items())


def test_sagemaker_takes_an_asynchronous_call_and_says_where_its_answer_will_be(client: Connect) -> None:
    answer = client("sagemaker-runtime").invoke_endpoint_async(EndpointName="llm", InputLocation="s3://bucket/input")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] in answer["OutputLocation"]


def test_sagemaker_answers_a_validation_error_to_a_body_it_cannot_take(client: Connect) -> None:
    runtime = client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ValidationError):
        runtime.invoke_endpoint(EndpointName="embedder", Body='{"unknown": 1}')


# Bedrock


def invoke(runtime: Any, model: str, body: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.load(runtime.invoke_model(modelId=model, body=json.dumps(body))["body"])
    return document


def test_bedrock_titan_embeds_and_counts_tokens(client: Connect) -> None:
    first = invoke(client("bedrock-runtime"), "amazon.titan-embed-text-v1", {"inputText": "hello world"})
    assert set(first) == {"embedding", "inputTextTokenCount"}
    assert (len(first["embedding"]), first["inputTextTokenCount"]) == (384, 2)
    second = invoke(
        client("bedrock-runtime", *TEMPORARY), "amazon.titan-embed-text-v2:0", {"inputText": "a", "dimensions": 256}
    )
    assert len(second["embedding"]) == len(second["embeddingsByType"]["float"]) == 256


def test_bedrock_cohere_embeds_and_reranks(client: Connect) -> None:
    body = {"texts": ["a", "b"], "input_type": "search_document"}
    plain = invoke(client("bedrock-runtime"), "cohere.embed-english-v3", body)
    assert [len(vector) for vector in plain["embeddings"]] == [384, 384]
    by_type = invoke(client("bedrock-runtime"), "us.cohere.embed-v4:0", {**body, "embedding_types": ["int8"]})
    assert len(by_type["embeddings"]["int8"]) == 2
    ranked = invoke(client("bedrock-runtime"), "cohere.rerank-v3-5:0", {"query": "b", "documents": ["a", "b"]})
    assert ranked["results"][0]["index"] == 1


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-3-haiku-20240307-v1:0",
        "eu.anthropic.claude-sonnet-4-20250514-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0",
    ],
)
def test_bedrock_claude_answers_messages_under_any_form_of_its_id(client: Connect, model: str) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 10, "messages": messages}
    answer = invoke(client("bedrock-runtime"), model, body)
    assert answer["content"] == [{"type": "text", "text": "You said: hello"}]
    assert answer["stop_reason"] == "end_turn"


def test_bedrock_claude_2_completes_a_prompt(client: Connect) -> None:
    body = {"prompt": "\n\nHuman: hello\n\nAssistant:", "max_tokens_to_sample": 10}
    assert invoke(client("bedrock-runtime"), "anthropic.claude-v2", body)["completion"] == " You said: hello"


def test_bedrock_converse_answers_for_any_model(client: Connect) -> None:
    answer = client("bedrock-runtime").converse(
        modelId="amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "hello"}]}]
    )
    assert answer["output"]["message"]["content"] == [{"text": "You said: hello"}]
    assert answer["usage"]["totalTokens"] == answer["usage"]["inputTokens"] + answer["usage"]["outputTokens"]


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        ("unknown.model", {}, "model identifier is invalid"),
        ("amazon.titan-embed-text-v1", {}, r"required key \[inputText\]"),
        ("amazon.titan-embed-text-v2:0", {"inputText": "a", "dimensions": 5}, "dimensions"),
        ("anthropic.claude-3-haiku-20240307-v1:0", {"messages": []}, "anthropic_version"),
    ],
)
def test_bedrock_answers_a_validation_exception_to_what_it_cannot_take(
    client: Connect, model: str, body: dict[str, Any], words: str
) -> None:
    runtime = client("bedrock-runtime")
    with pytest.raises(runtime.exceptions.ValidationException, match=words):
        invoke(runtime, model, body)


def test_a_fault_has_the_exception_name_that_the_sdk_knows(client: Connect, endpoints: ModelEndpoints) -> None:
    endpoints.behave(family="bedrock", status=429)
    runtime = client("bedrock-runtime")
    with pytest.raises(runtime.exceptions.ThrottlingException):
        invoke(runtime, "amazon.titan-embed-text-v1", {"inputText": "a"})
    endpoints.behave(family="sagemaker", status=503)
    runtime = client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ServiceUnavailable):
        runtime.invoke_endpoint(EndpointName="embedder", Body="[]")
    endpoints.behave(family="sagemaker", status=403)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        runtime.invoke_endpoint(EndpointName="embedder", Body="[]")
    endpoints.behave_normally()
