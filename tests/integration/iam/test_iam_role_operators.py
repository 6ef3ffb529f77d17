"""The operators for the role, with a blueprint in a file and connections as Airflow has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from local.aws_account.process import AwsAccount
from opensearch_ml.iam import cli_commands
from opensearch_ml.links import OpenSearchIamRoleLink
from opensearch_ml.operators.iam_role import OpenSearchCreateIamRoleOperator, OpenSearchDeleteIamRoleOperator
from tests.support.iam_roles import DOMAIN, NAME, ROLE, Connect, assume, document

OF_A_DOMAIN = {"domain_arn": DOMAIN, "aws_conn_id": "aws_default"}
KEYS = {"access_key": {"conn_id": "k", "field": "login"}, "secret_key": {"conn_id": "k"}}


class Task:
    """Stands for a task instance: what is pushed to it stays in it."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def xcom_push(self, key: str, value: str) -> None:
        self.kept[key] = value


Execute = Callable[..., tuple[Any, Task]]


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Executes an operator on a blueprint, with these extras in the connection to the cluster."""
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(tmp_path))

    def run(operator: type = OpenSearchCreateIamRoleOperator, extra: Any = OF_A_DOMAIN, **parts: Any) -> Any:
        credential = parts.pop("credential", None)
        written = document(**parts)
        if credential:  # none that a section could be about
            written["connector"]["credential"] = credential
            del written["iam_role"]
        (tmp_path / "embedding.yaml").write_text(yaml.safe_dump(written))
        cluster = {"conn_type": "opensearch", "host": "search.example.com", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_OPENSEARCH_DEFAULT", json.dumps(cluster))
        task = Task()
        return operator(task_id="iam_role", blueprint="embedding").execute({"ti": task}), task

    return run


def test_the_role_is_made_and_its_arn_returned_and_linked_and_then_deleted(
    account: AwsAccount, connect: Connect, execute: Execute
) -> None:
    connect()
    returned, task = execute()
    assert returned == ROLE
    assert task.kept == {OpenSearchIamRoleLink.key: f"https://console.aws.amazon.com/iam/home#/roles/details/{NAME}"}
    assume(account)
    assert execute(OpenSearchDeleteIamRoleOperator)[0] is None
    assert account.client("iam").list_roles()["Roles"] == []


@pytest.mark.parametrize("operator", [OpenSearchCreateIamRoleOperator, OpenSearchDeleteIamRoleOperator])
@pytest.mark.parametrize(
    ("credential", "words"),
    [
        (KEYS, "embedding uses no IAM role"),
        ({"roleArn": {"conn_id": "kept"}}, "from password of connection kept, which is a secret: it is not checked"),
    ],
    ids=["no role", "role kept as a secret"],
)
def test_without_a_role_in_as_many_words_aws_is_not_asked(
    execute: Execute,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    operator: type,
    credential: Any,
    words: str,
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("AWS was asked")

    monkeypatch.setattr("opensearch_ml.aws.access.AwsAccess.client", refuse)
    returned, task = execute(operator, credential=credential)
    assert (returned, task.kept) == (None, {})
    assert words in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({}, ["roleArn works on Amazon OpenSearch Service alone", "access_key, secret_key", "session_token"]),
        (
            {"aws_conn_id": "aws_default", "region_name": "us-east-1"},
            ["connection opensearch_default does not say which domain it is for", '{"domain_arn": "arn:aws:es:'],
        ),
    ],
    ids=["self-managed", "no domain_arn"],
)
def test_a_role_without_a_domain_is_refused_with_the_alternative(
    account: AwsAccount, connect: Connect, execute: Execute, extra: Any, words: list[str]
) -> None:
    connect()
    with pytest.raises(AirflowFailException) as raised:
        execute(extra=extra)
    for word in words:
        assert word in str(raised.value)
    execute(OpenSearchDeleteIamRoleOperator, extra=extra)  # made none, and so has none to delete
    assert account.writes() == {}


def test_what_the_maker_lacks_is_told_once_and_not_taken_for_a_refusal_of_the_domain(
    account: AwsAccount, connect: Connect, execute: Execute
) -> None:
    connect([{**one, "Action": "iam:GetRole"} for one in cli_commands.maker_policy(ROLE)["Statement"]])
    with account.checking_calls(), pytest.raises(AirflowFailException) as raised:
        execute()
    assert f"may not iam:CreateRole on {ROLE}" in str(raised.value)
    assert '"Action": "iam:CreateRole"' in str(raised.value)
    assert "es:ESHttp" not in str(raised.value)


@pytest.mark.parametrize(
    ("partition", "console"),
    [("aws-cn", "console.amazonaws.cn"), ("aws-us-gov", "console.amazonaws-us-gov.com"), ("aws-iso", None)],
)
def test_the_link_leads_to_the_partitions_own_console(partition: str, console: str | None) -> None:
    task = Task()
    context: Context = {"ti": task}  # type: ignore[typeddict-item]  # a link asks of it no more than this
    OpenSearchIamRoleLink.persist(context, f"arn:{partition}:iam::123456789012:role/models/of us+1")
    url = f"https://{console}/iam/home#/roles/details/of%20us%2B1"
    assert list(task.kept.values()) == ([url] if console else [])
