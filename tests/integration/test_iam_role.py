"""The check of a connector's IAM role, through an Airflow connection, against moto as a server with IAM enforced.

botocore's Stubber stands in only for what moto cannot be made to answer: throttling and failures of IAM itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml
from airflow.sdk.exceptions import AirflowFailException
from botocore.stub import Stubber

from local.aws_account.process import AwsAccount, start_aws_account
from opensearch_ml.errors import OpenSearchMLError, RequestRefused, ServerBusy, Unreachable
from opensearch_ml.operators.preflight import OpenSearchCheckIamRoleOperator
from opensearch_ml.steps.iam_role import check_iam_role
from tests.conftest import connections

OURS = "arn:aws:iam::123456789012:role"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
REGION = "eu-central-1"
SECRET = "canary-Pb7-Uc4-Hx2-aws-secret"


@pytest.fixture(scope="module")
def moto() -> Iterator[AwsAccount]:
    """IAM and STS with two roles, one of them below a path."""
    with start_aws_account() as server:
        iam = iam_client(server.url)
        iam.create_role(RoleName="bedrock-caller", AssumeRolePolicyDocument=TRUST)
        iam.create_role(RoleName="below-a-path", Path="/service-role/models/", AssumeRolePolicyDocument=TRUST)
        yield server


def iam_client(url: str | None = None) -> Any:
    return boto3.client(
        "iam", endpoint_url=url, region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
    )


@pytest.fixture
def enforced(moto: AwsAccount) -> Iterator[Callable[..., dict[str, str]]]:
    """Makes a user who may do what is said and nothing else; from then on moto checks every request."""
    iam, names = iam_client(moto.url), iter(["first", "second"])

    def make(**statement: Any) -> dict[str, str]:
        name = next(names)
        iam.create_user(UserName=name)
        if statement:
            document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
            iam.put_user_policy(UserName=name, PolicyName="one", PolicyDocument=json.dumps(document))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        _requests_before_checks(moto, 0)
        return {"login": made["AccessKeyId"], "password": made["SecretAccessKey"]}

    yield make
    _requests_before_checks(moto, 1_000_000)
    for user in iam.list_users()["Users"]:
        for policy in iam.list_user_policies(UserName=user["UserName"])["PolicyNames"]:
            iam.delete_user_policy(UserName=user["UserName"], PolicyName=policy)
        for key in iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=user["UserName"], AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=user["UserName"])


def _requests_before_checks(server: AwsAccount, count: int) -> None:
    httpx.post(f"{server.url}/moto-api/reset-auth", content=str(count), trust_env=False).raise_for_status()


@pytest.fixture
def check(
    moto: AwsAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs the operator on a blueprint with this role; returns what it logged."""
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": SECRET,
        "extra": {
            "region_name": REGION,
            "endpoint_url": moto.url,
            "service_config": {"sts": {"endpoint_url": moto.url}},  # the hook's own STS client takes no other
        },
    }

    def run(role: Any, *, returns: str | None, extra: dict[str, Any] | None = None, **change: Any) -> str:
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document(role)))
        whole = connection | change | {"extra": connection["extra"] | (extra or {})}  # type: ignore[operator]
        with connections(aws_default=json.dumps(whole)):
            capfd.readouterr()
            assert OpenSearchCheckIamRoleOperator(task_id="iam_role", blueprint="mine").execute({}) == returns
        return "".join(capfd.readouterr())

    return run


def document(role: Any) -> dict[str, Any]:
    credential = {"roleArn": role} if role else {"access_key": {"conn_id": "a"}, "secret_key": {"conn_id": "b"}}
    connector = {
        "name": "titan",
        "version": 1,
        "protocol": "aws_sigv4",
        "parameters": {"region": REGION, "service_name": "bedrock"},
        "credential": credential,
        "actions": [
            {
                "action_type": "predict",
                "method": "POST",
                "url": f"https://bedrock-runtime.{REGION}.amazonaws.com/model/amazon.titan-embed-text-v2:0/invoke",
                "request_body": '{"inputText": "${parameters.inputText}"}',
            }
        ],
    }
    return {"connector": connector}


@pytest.mark.parametrize("name", ["bedrock-caller", "service-role/models/below-a-path"])
def test_a_role_that_is_there_is_returned(check: Callable[..., str], name: str) -> None:
    assert f"role {OURS}/{name} is there" in check(f"{OURS}/{name}", returns=f"{OURS}/{name}")


def test_a_role_that_is_missing_is_told_with_its_arn(check: Callable[..., str]) -> None:
    with pytest.raises(AirflowFailException) as raised:
        check(f"{OURS}/nobody", returns=None)
    cause, evidence, fix = str(raised.value).splitlines()
    assert cause == "there is no IAM role nobody"
    assert "GetRole -> NoSuchEntity" in evidence
    assert f"roleArn (is {OURS}/nobody)" in fix


@pytest.mark.parametrize(
    "arn",
    ["arn:aws:iam::999999999999:role/bedrock-caller", f"{OURS}/another/path/below-a-path"],
    ids=["account", "path"],
)
def test_a_role_of_that_name_but_elsewhere_is_another_one(check: Callable[..., str], arn: str) -> None:
    with pytest.raises(AirflowFailException, match="is another one than the connector names") as raised:
        check(arn, returns=None)
    assert f"roleArn is {arn}" in str(raised.value)
    assert "use an aws_conn_id of the account that owns it" in str(raised.value)


@pytest.mark.parametrize("role", [None, {"conn_id": "secret_role"}], ids=["no role", "role kept as a secret"])
def test_no_aws_client_is_made_where_there_is_no_role_to_check(
    check: Callable[..., str], role: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any) -> None:
        raise AssertionError("an AWS client was made")

    monkeypatch.setattr("airflow.providers.amazon.aws.hooks.base_aws.AwsBaseHook.get_conn", refuse)
    log = check(role, returns=None)
    if role:
        assert "takes its IAM role from password of connection secret_role, which is a secret: it is not checked" in log
    else:
        assert "mine uses no IAM role" in log


# ---- credentials


def test_a_caller_who_may_read_the_role_is_enough(check: Callable[..., str], enforced: Callable[..., Any]) -> None:
    arn = f"{OURS}/bedrock-caller"
    user = enforced(Action="iam:GetRole", Resource=arn)
    assert f"role {arn} is there" in check(arn, returns=arn, **user)


def test_a_caller_who_may_not_read_the_role_passes_and_is_told(
    check: Callable[..., str], enforced: Callable[..., Any]
) -> None:
    arn = f"{OURS}/bedrock-caller"
    log = check(arn, returns=arn, **enforced())
    assert f"role {arn} could not be checked, the caller may not read it (GetRole -> AccessDenied" in log
    assert "is not authorized to perform: iam:GetRole" in log


def test_a_key_that_aws_does_not_know_ends_the_task(check: Callable[..., str], enforced: Callable[..., Any]) -> None:
    enforced()
    with pytest.raises(AirflowFailException) as raised:
        check(f"{OURS}/bedrock-caller", returns=None, login="AKIAIOSFODNN7EXAMPLE")
    assert "AWS does not accept the credentials of connection aws_default" in str(raised.value)
    assert "InvalidClientTokenId" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_role_of_the_connection_that_may_not_be_assumed_ends_the_task(
    check: Callable[..., str], enforced: Callable[..., Any]
) -> None:
    user = enforced(Action="iam:GetRole", Resource="*")
    with pytest.raises(AirflowFailException) as raised:
        check(f"{OURS}/bedrock-caller", returns=None, extra={"role_arn": f"{OURS}/bedrock-caller"}, **user)
    assert "connection aws_default may not assume its role" in str(raised.value)
    assert "let the connection's user assume it" in str(raised.value)
    assert "AssumeRole -> AccessDenied" in str(raised.value)


def test_no_credentials_at_all_end_the_task(
    check: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(AirflowFailException) as raised:
        check(f"{OURS}/bedrock-caller", returns=None, login=None, password=None)
    cause, evidence, fix = str(raised.value).splitlines()
    assert "IAM cannot be asked" in cause
    assert "Unable to locate credentials" in evidence
    assert "give connection aws_default an access key" in fix


# ---- IAM itself


def test_an_iam_that_does_not_answer_is_left_to_airflows_retries(check: Callable[..., str]) -> None:
    with pytest.raises(Unreachable, match=r"(?s)Could not connect.*check that Airflow's workers reach AWS"):
        check(f"{OURS}/bedrock-caller", returns=None, extra={"endpoint_url": "http://127.0.0.1:9"})


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("Throttling", 400, ServerBusy),
        ("TooManyRequestsException", 429, ServerBusy),
        ("ServiceFailure", 500, ServerBusy),
        ("ServiceUnavailable", 503, ServerBusy),
        ("ValidationError", 400, RequestRefused),
    ],
)
def test_what_iam_says_of_itself_passes_or_not(code: str, status: int, error: type[OpenSearchMLError]) -> None:
    stubbed = iam_client()
    with Stubber(stubbed) as stub:
        stub.add_client_error("get_role", service_error_code=code, http_status_code=status)
        with pytest.raises(error) as raised:
            check_iam_role(lambda: stubbed, f"{OURS}/bedrock-caller", aws_conn_id="aws_default")
    assert f"GetRole -> {code}" in raised.value.evidence
