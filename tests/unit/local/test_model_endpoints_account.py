"""The model endpoints with an AWS account behind them: who signed, what they may do, and what exists there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local.aws_account.process import AwsAccount
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from tests.support.aws_cases import ACCOUNT, FROM_DOMAIN, SERVICE, TRUST, session_of
from tests.support.signing import REGION, refused, send, signed

FILED = ("AKIAFILED", "of/the/file")
EMBEDDING = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/embedding"
TITAN, CLAUDE = "amazon.titan-embed-text-v2:0", "anthropic.claude-sonnet-4-20250514-v1:0"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/invoker/search"
PROFILE = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/us.{CLAUDE}"

Call = Callable[..., httpx.Response]
Session = Callable[..., tuple[str, str, str]]


@pytest.fixture(scope="module")
def running() -> Iterator[ModelEndpoints]:
    filed = {"access_key_id": FILED[0], "secret_access_key": FILED[1]}
    with start_model_endpoints(keys={"aws": [filed]}) as endpoints:
        yield endpoints


@pytest.fixture
def endpoints(running: ModelEndpoints, account: AwsAccount) -> ModelEndpoints:
    running.use_account(account.url)
    running.forget_requests()
    account.create_sagemaker_endpoint("embedding")
    return running


def allow(action: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def model_arn(model: str) -> str:
    return f"arn:aws:bedrock:{REGION}::foundation-model/{model}"


@pytest.fixture
def session(account: AwsAccount) -> Session:
    """Gives the keys of a role's session that may do what the statements say."""

    def session(*statements: dict[str, Any]) -> tuple[str, str, str]:
        role = account.create_role("invoker", [TRUST], statements)
        made = account.assume(role, SERVICE, FROM_DOMAIN, session_name="search")
        return made["access_key_id"], made["secret_access_key"], made["session_token"]

    return session


@pytest.fixture
def sagemaker(endpoints: ModelEndpoints) -> Call:
    def call(credentials: tuple[str, ...], name: str = "embedding", how: str = "invocations") -> httpx.Response:
        location = {"X-Amzn-SageMaker-InputLocation": "s3://bucket/input"}
        url = f"{endpoints.url}/endpoints/{name}/{how}"
        return send(signed(url, '["a text"]', service="sagemaker", credentials=credentials, **location))

    return call


@pytest.fixture
def bedrock(endpoints: ModelEndpoints) -> Call:
    def call(credentials: tuple[str, ...], model: str, how: str = "converse") -> httpx.Response:
        body = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}], "inputText": "hello"})
        url = f"{endpoints.url}/model/{model.replace('/', '%2F')}/{how}"
        return send(signed(url, body, service="bedrock", credentials=credentials))

    return call


@pytest.fixture
def by_target(endpoints: ModelEndpoints) -> Call:
    def call(credentials: tuple[str, ...], target: str, body: dict[str, Any]) -> httpx.Response:
        service = target.partition(".")[0].partition("_")[0].lower()
        headers = {"X-Amz-Target": target}
        return send(signed(f"{endpoints.url}/", json.dumps(body), service=service, credentials=credentials, **headers))

    return call


def words(response: httpx.Response) -> str:
    message: str = response.json()["Message"]
    return message


# Who signed


def test_a_session_of_the_accounts_role_is_accepted_and_recorded_by_its_arn(
    endpoints: ModelEndpoints, session: Session, sagemaker: Call
) -> None:
    assert sagemaker(session(allow("sagemaker:InvokeEndpoint", EMBEDDING))).status_code == 200
    assert [(request.status, request.principal) for request in endpoints.requests()] == [(200, SESSION)]


def test_a_users_lasting_key_is_accepted_and_recorded_by_its_arn(
    endpoints: ModelEndpoints, account: AwsAccount, sagemaker: Call
) -> None:
    key = account.create_user("airflow", [allow("sagemaker:InvokeEndpoint", EMBEDDING)])
    assert sagemaker((key["access_key_id"], key["secret_access_key"])).status_code == 200
    assert endpoints.requests()[0].principal == f"arn:aws:iam::{ACCOUNT}:user/airflow"


def test_a_key_of_the_keys_file_needs_no_permission_and_finds_every_endpoint(
    endpoints: ModelEndpoints, sagemaker: Call
) -> None:
    assert sagemaker(FILED, "of-any-name").status_code == 200
    assert endpoints.requests()[0].principal is None


def test_a_wrong_secret_or_token_is_refused_and_tells_nobody_who_it_was(
    endpoints: ModelEndpoints, session: Session, sagemaker: Call
) -> None:
    key_id, secret, token = session(allow("sagemaker:*", "*"))
    assert refused(sagemaker((key_id, "wrong", token))) == (403, "InvalidSignatureException")
    assert refused(sagemaker((key_id, secret, "wrong"))) == (403, "UnrecognizedClientException")
    assert refused(sagemaker((key_id, secret))) == (403, "UnrecognizedClientException")
    assert {request.principal for request in endpoints.requests()} == {None}


def test_an_expired_session_is_told_so_and_an_unknown_key_is_not(
    account: AwsAccount, sagemaker: Call, by_target: Call
) -> None:
    anybody = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    role = account.create_role("caller", [anybody], [allow("sagemaker:InvokeEndpoint", EMBEDDING)])
    keys = tuple(session_of(account.client("sts"), role).values())
    assert sagemaker(keys).status_code == 200
    account.expire_sessions()
    response = sagemaker(keys)
    assert refused(response) == (403, "ExpiredTokenException")
    assert response.json() == {"message": "The security token included in the request is expired"}
    language = by_target(keys, "Comprehend_20171127.DetectDominantLanguage", {"Text": "a"})
    assert refused(language) == (400, "ExpiredTokenException")
    assert refused(sagemaker(("AKIAUNKNOWN", "x"))) == (403, "UnrecognizedClientException")


def test_a_key_that_was_deleted_is_refused_at_once(account: AwsAccount, sagemaker: Call) -> None:
    key = account.create_user("airflow", [allow("sagemaker:*", "*")])
    credentials = (key["access_key_id"], key["secret_access_key"])
    assert sagemaker(credentials).status_code == 200
    account.client("iam").delete_access_key(UserName="airflow", AccessKeyId=credentials[0])
    assert refused(sagemaker(credentials)) == (403, "UnrecognizedClientException")


# What they may do


def test_a_role_without_the_permission_is_refused_in_the_services_words(
    endpoints: ModelEndpoints, session: Session, sagemaker: Call
) -> None:
    response = sagemaker(session())
    assert refused(response) == (403, "AccessDeniedException")
    assert words(response) == (
        f"User: {SESSION} is not authorized to perform: sagemaker:InvokeEndpoint on resource: {EMBEDDING} "
        "because no identity-based policy allows the sagemaker:InvokeEndpoint action"
    )
    assert endpoints.requests()[0].principal == SESSION


def test_an_explicit_deny_is_told_as_one(session: Session, sagemaker: Call) -> None:
    deny = {"Effect": "Deny", "Action": "sagemaker:*", "Resource": "*"}
    response = sagemaker(session(allow("sagemaker:InvokeEndpoint", EMBEDDING), deny))
    assert words(response).endswith("with an explicit deny in an identity-based policy")


def test_an_asynchronous_call_needs_its_own_permission(session: Session, sagemaker: Call) -> None:
    keys = session(allow("sagemaker:InvokeEndpointAsync", EMBEDDING))
    assert sagemaker(keys, how="async-invocations").status_code == 202
    assert "sagemaker:InvokeEndpoint on" in words(sagemaker(keys))


def test_sagemaker_asks_for_the_name_in_lower_case(account: AwsAccount, session: Session, sagemaker: Call) -> None:
    account.create_sagemaker_endpoint("Embedding-Of-Mine")
    lower = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/embedding-of-mine"
    assert sagemaker(session(allow("sagemaker:InvokeEndpoint", lower)), "Embedding-Of-Mine").status_code == 200


def test_an_endpoint_that_does_not_exist_is_told_to_those_who_may_call_it(session: Session, sagemaker: Call) -> None:
    keys = session(allow("sagemaker:InvokeEndpoint", EMBEDDING.replace("embedding", "missing")))
    response = sagemaker(keys, "missing")
    assert refused(response) == (400, "ValidationError")
    assert response.json() == {"message": f"Endpoint missing of account {ACCOUNT} not found."}
    assert refused(sagemaker(keys, "also-missing")) == (403, "AccessDeniedException")


def test_bedrock_asks_for_the_model(session: Session, bedrock: Call) -> None:
    keys = session(allow("bedrock:InvokeModel", model_arn(TITAN)))
    assert bedrock(keys, TITAN, "invoke").status_code == 200
    assert bedrock(keys, model_arn(TITAN), "invoke").status_code == 200
    response = bedrock(keys, CLAUDE)
    assert refused(response) == (403, "AccessDeniedException")
    assert f"bedrock:InvokeModel on resource: {model_arn(CLAUDE)} because" in words(response)


@pytest.mark.parametrize("how", ["converse-stream", "invoke-with-response-stream"])
def test_bedrock_asks_for_another_permission_for_a_stream(session: Session, bedrock: Call, how: str) -> None:
    response = bedrock(session(allow("bedrock:InvokeModel", model_arn(TITAN))), TITAN, how)
    assert "bedrock:InvokeModelWithResponseStream on" in words(response)


@pytest.mark.parametrize("asked", [f"us.{CLAUDE}", PROFILE])
def test_an_inference_profile_needs_itself_and_the_model_behind_it(
    account: AwsAccount, session: Session, bedrock: Call, asked: str
) -> None:
    through = {"StringEquals": {"bedrock:InferenceProfileArn": PROFILE}}
    profile, model = (
        allow("bedrock:InvokeModel", PROFILE),
        allow("bedrock:InvokeModel", model_arn(CLAUDE), Condition=through),
    )
    keys = session(profile, model)
    assert bedrock(keys, asked).status_code == 200
    assert refused(bedrock(keys, CLAUDE)) == (403, "AccessDeniedException")  # only through the profile
    account.delete_role("invoker")
    assert f"on resource: {model_arn(CLAUDE)} " in words(bedrock(session(profile), asked))
    account.delete_role("invoker")
    assert f"on resource: {PROFILE} " in words(bedrock(session(model), asked))


@pytest.mark.parametrize(
    ("target", "body", "action"),
    [
        ("Comprehend_20171127.DetectDominantLanguage", {"Text": "a"}, "comprehend:DetectDominantLanguage"),
        (
            "Comprehend_20171127.BatchDetectDominantLanguage",
            {"TextList": ["a"]},
            "comprehend:BatchDetectDominantLanguage",
        ),
        ("Textract.DetectDocumentText", {"Document": {"Bytes": ""}}, "textract:DetectDocumentText"),
    ],
)
def test_what_knows_no_resources_is_allowed_on_all_or_refused_without_one(
    account: AwsAccount, session: Session, by_target: Call, target: str, body: dict[str, Any], action: str
) -> None:
    assert by_target(session(allow(action, "*")), target, body).status_code == 200
    account.delete_role("invoker")
    response = by_target(session(), target, body)
    assert refused(response) == (400, "AccessDeniedException")
    assert words(response) == (
        f"User: {SESSION} is not authorized to perform: {action} "
        f"because no identity-based policy allows the {action} action"
    )


# The account itself


def test_without_an_account_only_the_filed_keys_count_and_every_endpoint_exists(
    endpoints: ModelEndpoints, session: Session, sagemaker: Call
) -> None:
    keys = session(allow("sagemaker:InvokeEndpoint", EMBEDDING))
    endpoints.use_account(None)
    assert refused(sagemaker(keys)) == (403, "UnrecognizedClientException")
    assert sagemaker(FILED, "of-any-name").status_code == 200


def test_an_account_may_be_named_at_the_start(account: AwsAccount, session: Session) -> None:
    keys = session(allow("sagemaker:InvokeEndpoint", EMBEDDING))
    account.create_sagemaker_endpoint("embedding")
    with start_model_endpoints(account_url=account.url) as started:
        url = f"{started.url}/endpoints/embedding/invocations"
        assert send(signed(url, '["a"]', service="sagemaker", credentials=keys)).status_code == 200


def test_an_account_that_is_down_is_the_services_own_failure(endpoints: ModelEndpoints, sagemaker: Call) -> None:
    endpoints.use_account("http://127.0.0.1:1")
    response = sagemaker(("AKIAOFTHEACCOUNT", "x"))
    assert refused(response) == (500, "InternalFailure")
    assert "http://127.0.0.1:1 did not answer" in response.json()["message"]
    assert sagemaker(FILED).status_code == 200


def test_lookups_leave_the_event_loop_to_others(endpoints: ModelEndpoints, session: Session) -> None:
    keys = session(allow("sagemaker:InvokeEndpoint", EMBEDDING))
    url = f"{endpoints.url}/endpoints/embedding/invocations"
    request = signed(url, '["a text"]', service="sagemaker", credentials=keys)

    async def forty() -> list[int]:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            calls = [client.post(url, content=request.data, headers=dict(request.headers)) for _ in range(40)]
            return [response.status_code for response in await asyncio.gather(*calls)]

    started = time.perf_counter()
    assert asyncio.run(forty()) == [200] * 40
    assert time.perf_counter() - started < 10
    assert {request.principal for request in endpoints.requests()} == {SESSION}


# Calls that need several permissions

RERANK_MODEL = model_arn("cohere.rerank-v3-5:0")
JOBS = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-invocation-job/*"
JOB_ROLE = f"arn:aws:iam::{ACCOUNT}:role/batch"
BEDROCK = "bedrock.amazonaws.com"
TRANSFORM_JOB = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:transform-job/nightly"
SEVERAL = {
    "rerank": (
        ("bedrock", "/rerank"),
        {
            "queries": [{"textQuery": {"text": "a"}}],
            "sources": [{"inlineDocumentSource": {"textDocument": {"text": "a"}}}],
            "rerankingConfiguration": {
                "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": RERANK_MODEL}}
            },
        },
        [allow("bedrock:Rerank", "*"), allow("bedrock:InvokeModel", RERANK_MODEL)],
    ),
    "batch": (
        ("bedrock", "/model-invocation-job"),
        {
            "jobName": "j",
            "modelId": TITAN,
            "roleArn": JOB_ROLE,
            "inputDataConfig": {"a": 1},
            "outputDataConfig": {"a": 1},
        },
        [
            allow("bedrock:CreateModelInvocationJob", JOBS),
            allow("bedrock:CreateModelInvocationJob", model_arn(TITAN)),
            allow(
                "iam:PassRole", JOB_ROLE, Condition={"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
            ),
        ],
    ),
    "transform": (
        ("sagemaker", "/CreateTransformJob"),
        {
            "TransformJobName": "nightly",
            "ModelName": "m",
            **{part: {"a": 1} for part in ("TransformInput", "TransformOutput", "TransformResources")},
        },
        [allow("sagemaker:CreateTransformJob", TRANSFORM_JOB)],
    ),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_a_call_needs_every_one_of_its_permissions(endpoints: ModelEndpoints, account: AwsAccount, kind: str) -> None:
    (service, path), body, needed = SEVERAL[kind]

    def status(name: str, statements: list[dict[str, Any]]) -> int:
        key = account.create_user(name, [allow("sts:GetCallerIdentity", "*"), *statements])
        credentials = (key["access_key_id"], key["secret_access_key"])
        return send(
            signed(endpoints.url + path, json.dumps(body), service=service, credentials=credentials)
        ).status_code

    for number in range(len(needed)):
        assert status(f"lacks-{number}", needed[:number] + needed[number + 1 :]) == 403
    assert status("has-all", needed) == 200
