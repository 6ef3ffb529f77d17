"""A domain through a real scheduler: from an empty account to answers that roles have signed, and back again.

In this order: each test goes on with what those before it have made.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.airflow_standalone import AirflowStandalone, DagRun
from local.aws_account.process import REGION, AwsAccount
from local.aws_account.root_user import ACCOUNT_ID
from local.domain_gateway.process import DomainGateway
from local.domain_stack import DOMAIN_ARN, DOMAIN_NAME, ROLE_ARN, SECRET, DomainStack
from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from tests.support.cluster import Cluster
from tests.support.domain_stacks import TITAN
from tests.support.scheduler_runs import (
    KEPT_BY_THE_SERVER,
    ONE_OF_EACH,
    PROVISION,
    TEARDOWN,
    files_below,
    objects,
    told,
)

EMBEDDING, ANSWERING, BEDROCK = "sagemaker_embedding", "sagemaker_question_answering", "bedrock_titan_embedding"
COMPREHEND, SECRETS = "comprehend_language", "openai_embedding_secrets_manager"
ROLE, BEDROCK_ROLE = "opensearch-sagemaker-role", "opensearch-bedrock-role"
slow = pytest.mark.slow  # make test-slow, with all the others of this file
ENDPOINT_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:endpoint"
AIRFLOW_SESSION = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/airflow/"
NONE = dict.fromkeys(ONE_OF_EACH, 0)
OUR_TRUST = {
    "Sid": "OpenSearchML",
    "Effect": "Allow",
    "Principal": {"Service": "opensearchservice.amazonaws.com"},
    "Action": "sts:AssumeRole",
    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT_ID}, "ArnLike": {"aws:SourceArn": DOMAIN_ARN}},
}
THEIR_TRUST = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": {"Service": "lambda.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
THEIR_STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::theirs/*"}
PROPAGATION_S = 8
RENEWED = "the session's keys of connection aws_default have expired: reading connection aws_default again"
NOT_RUN = ("upstream_failed", 0)  # another task of the run tells why


def conf(blueprint: str) -> dict[str, str]:
    titan = {"opensearch_conn_id": TITAN} if blueprint == BEDROCK else {}
    return {"blueprint": blueprint, "opensearch_admin_conn_id": "opensearch_master", **titan}


def at_once(airflow: AirflowStandalone, dag_id: str, *blueprints: str) -> list[DagRun]:
    """Runs that were started together, at their end."""
    return ended([airflow.trigger(dag_id, conf(blueprint)) for blueprint in blueprints])


def ended(runs: list[DagRun]) -> list[DagRun]:
    """The runs at their end; all of them succeeded, and each task at its first try."""
    for run in runs:
        run.wait()
    assert [trouble for run in runs for trouble in troubles(run)] == []
    return runs


def troubles(run: DagRun) -> list[str]:
    """The errors of each task that did not succeed at its first try."""
    wrong = [task for task in run.tasks() if (task["state"], task["try_number"]) not in (("success", 1), NOT_RUN)]
    return [
        f"{task['task_id']} {task['state']}: {line}"
        for task in wrong
        for line in run.log(task["task_id"]).splitlines()
        if '"level": "error"' in line
    ]


def policy(blueprint: str) -> str:
    return f"opensearch_ml-{blueprint}@{REGION}.{DOMAIN_NAME}"


def allow(action: str, resource: str) -> list[dict[str, Any]]:
    return [{"Effect": "Allow", "Action": action, "Resource": resource}]


def role(account: AwsAccount, name: str) -> dict[str, Any] | None:
    """A role's trust statements, its tags, and the statements of its policies; None if there is none."""
    iam = account.client("iam")
    try:
        found = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return None
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    return {
        "trust": found["AssumeRolePolicyDocument"]["Statement"],
        "tags": {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())},
        "policies": {
            one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]["Statement"]
            for one in iam.list_role_policies(RoleName=name)["PolicyNames"]
        },
    }


def signed_by(role_name: str) -> str:
    """The session in which the domain calls a model."""
    return f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role_name}/{DOMAIN_NAME}"


def signers(models: ModelEndpoints, family: str) -> set[tuple[str | None, int | None]]:
    return {(request.principal, request.status) for request in models.requests(family=family)}


def until(holds: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_one_run_makes_of_an_empty_account_and_cluster_a_model_whose_calls_the_role_signs(
    airflow: AirflowStandalone, account: AwsAccount, gateway: DomainGateway, cluster: Cluster, models: ModelEndpoints
) -> None:
    assert (role(account, ROLE), objects(cluster, EMBEDDING)) == (None, NONE)
    [run] = at_once(airflow, PROVISION, EMBEDDING)
    assert objects(cluster, EMBEDDING) == ONE_OF_EACH
    assert cluster.get(f"/_plugins/_ml/models/{run.xcom('smoke_predict')}")["model_state"] == "DEPLOYED"
    assert signers(models, "sagemaker") == {(signed_by(ROLE), 200)}
    assert role(account, ROLE) == {
        "trust": [OUR_TRUST],
        "tags": {"opensearch_ml_owner": "opensearch_ml"},
        "policies": {policy(EMBEDDING): allow("sagemaker:InvokeEndpoint", f"{ENDPOINT_ARN}/opensearch-embedding")},
    }
    assert account.writes() == {"iam:CreateRole": 1, "iam:PutRolePolicy": 1}
    # Nobody but Airflow's role, and for what the whole cluster shares its administrator, has asked the domain.
    callers = {str(request.principal) for request in gateway.requests()}
    assert {caller for caller in callers if not caller.startswith(AIRFLOW_SESSION)} == {"admin"}
    assert callers > {"admin"}


def test_the_second_run_writes_nothing_to_iam_and_nothing_to_the_cluster(
    airflow: AirflowStandalone, account: AwsAccount, cluster: Cluster
) -> None:
    [known] = cluster.search("models", {"term": {"name.keyword": EMBEDDING}})
    before = cluster.writes()
    account.forget_writes()
    [run] = at_once(airflow, PROVISION, EMBEDDING)
    assert account.writes() == {}
    assert cluster.writes() == before
    assert run.xcom("smoke_predict") == known["id"]


@contextmanager
def not_yet_deployed(cluster: Cluster, model_id: str) -> Iterator[None]:
    """Let a model's deployment go on, as far as the server's own record tells, until somebody deploys it."""
    sync_up = "plugins.ml_commons.sync_up_job_interval_in_seconds"  # the server would correct its record by itself
    cluster.request("PUT", "/_cluster/settings", {"persistent": {sync_up: 0}}).raise_for_status()
    try:
        record = f"/.plugins-ml-model/_update/{model_id}?refresh=true"
        cluster.request("POST", record, {"doc": {"model_state": "DEPLOYING"}}).raise_for_status()
        yield
    finally:
        cluster.request("POST", f"/_plugins/_ml/models/{model_id}/_deploy").raise_for_status()
        cluster.request("PUT", "/_cluster/settings", {"persistent": {sync_up: None}}).raise_for_status()


@contextmanager
def slow_iam(account: AwsAccount) -> Iterator[None]:
    """Let AWS go by what is written to IAM only after a while."""
    account.set(propagation_s=PROPAGATION_S)
    try:
        yield
    finally:
        account.set(propagation_s=0)


@slow
@pytest.mark.timeout(600)
def test_sessions_that_end_in_the_middle_of_runs_and_of_a_deferral_break_nothing_and_double_nothing(
    airflow: AirflowStandalone,
    domain_stack: DomainStack,
    account: AwsAccount,
    gateway: DomainGateway,
    cluster: Cluster,
    models: ModelEndpoints,
) -> None:
    account.create_role(BEDROCK_ROLE, [THEIR_TRUST], [THEIR_STATEMENT])
    account.forget_writes()
    [model] = cluster.search("models", {"term": {"name.keyword": EMBEDDING}})

    def looks() -> list[int]:
        return [one.status for one in gateway.requests() if one.path == f"/_plugins/_ml/models/{model['id']}"]

    with not_yet_deployed(cluster, model["id"]):
        waiting = airflow.trigger("waits_for_a_deployment", {"model_id": model["id"]})
        with slow_iam(account):
            runs = [airflow.trigger(PROVISION, conf(blueprint)) for blueprint in (BEDROCK, COMPREHEND, SECRETS)]
            # All three have written, and wait until AWS goes by it.
            until(lambda: account.writes().get("iam:PutRolePolicy") == 3)
            account.expire_sessions()
            ended(runs)
        until(lambda: waiting.tasks()[0]["state"] == "deferred")
        for _ in range(3):
            before = len(looks())
            account.expire_sessions()
            until(lambda: 403 in looks()[before:] and looks()[-1] == 200)  # noqa: B023 called at once
    ended([waiting])

    assert any(RENEWED in told(run, "iam_role") for run in runs)
    for blueprint in (BEDROCK, COMPREHEND, SECRETS):
        assert objects(cluster, blueprint) == ONE_OF_EACH
    written = [one.path for one in gateway.requests() if (one.method, one.status) == ("POST", 200)]
    for path in ("connectors/_create", "model_groups/_register", "models/_register"):
        assert written.count(f"/_plugins/_ml/{path}") == 3
    # What the models were called with: each role its own, and OpenAI by the key that only Secrets Manager has told.
    assert signers(models, "bedrock") == {(signed_by(BEDROCK_ROLE), 200)}
    assert signers(models, "comprehend") == {(signed_by("opensearch-comprehend-role"), 200)}
    key = bearer_fingerprint(domain_stack.keys["openai"][0])
    assert {(one.credential_fingerprint, one.status) for one in models.requests(family="openai")} == {(key, 200)}
    reader = role(account, "opensearch-secretmanager-role")
    secret = account.client("secretsmanager").describe_secret(SecretId=SECRET)["ARN"]
    assert reader
    assert reader["policies"] == {policy(SECRETS): allow("secretsmanager:GetSecretValue", secret)}


@slow
def test_what_others_wrote_into_a_role_survives(account: AwsAccount) -> None:
    model = f"arn:aws:bedrock:{REGION}::foundation-model/amazon.titan-embed-text-v2:0"
    assert role(account, BEDROCK_ROLE) == {
        "trust": [THEIR_TRUST, OUR_TRUST],
        "tags": {},
        "policies": {"allowed": [THEIR_STATEMENT], policy(BEDROCK): allow("bedrock:InvokeModel", model)},
    }


def test_teardown_takes_all_that_was_made_and_the_role_with_its_last_blueprint(
    airflow: AirflowStandalone, account: AwsAccount, cluster: Cluster
) -> None:
    [run] = at_once(airflow, TEARDOWN, EMBEDDING)
    kept = KEPT_BY_THE_SERVER in told(run, "delete_connector")
    assert objects(cluster, EMBEDDING) == NONE | {"connectors": int(kept)}
    assert role(account, ROLE) is None


@slow
def test_runs_at_once_make_one_role_with_a_policy_each_and_one_of_each_and_keep_others_mappings(
    airflow: AirflowStandalone, account: AwsAccount, cluster: Cluster
) -> None:
    theirs = {"users": ["their-user"], "backend_roles": ["their-team"], "hosts": ["their-host"]}
    mapping = "/_plugins/_security/api/rolesmapping/ml_full_access"
    cluster.request("PUT", mapping, theirs).raise_for_status()
    runs = at_once(airflow, PROVISION, EMBEDDING, EMBEDDING, ANSWERING)
    assert role(account, ROLE) == {
        "trust": [OUR_TRUST],
        "tags": {"opensearch_ml_owner": "opensearch_ml"},
        "policies": {
            policy(EMBEDDING): allow("sagemaker:InvokeEndpoint", f"{ENDPOINT_ARN}/opensearch-embedding"),
            policy(ANSWERING): allow("sagemaker:InvokeEndpoint", f"{ENDPOINT_ARN}/opensearch-question-answering"),
        },
    }
    assert len({run.xcom("smoke_predict") for run in runs}) == 2
    kept = sum(KEPT_BY_THE_SERVER in told(run, "connector") for run in runs[:2])
    assert objects(cluster, EMBEDDING) == ONE_OF_EACH | {"connectors": 1 + kept}
    assert objects(cluster, ANSWERING) == ONE_OF_EACH
    found = cluster.get(mapping)["ml_full_access"]
    assert {kind: found[kind] for kind in theirs} == theirs | {"backend_roles": ["their-team", f"{ROLE_ARN}/airflow"]}


@slow
def test_a_role_goes_with_its_last_blueprint_only_and_one_of_others_stays(
    airflow: AirflowStandalone, account: AwsAccount
) -> None:
    embedding, bedrock = at_once(airflow, TEARDOWN, EMBEDDING, BEDROCK)
    assert f"the role stays: it has other policies ({policy(ANSWERING)})" in told(embedding, "delete_iam_role")
    shared = role(account, ROLE)
    assert shared
    assert (shared["trust"], list(shared["policies"])) == ([OUR_TRUST], [policy(ANSWERING)])
    assert "we did not create it" in told(bedrock, "delete_iam_role")
    assert role(account, BEDROCK_ROLE) == {
        "trust": [THEIR_TRUST],
        "tags": {},
        "policies": {"allowed": [THEIR_STATEMENT]},
    }

    account.forget_writes()
    again, _ = at_once(airflow, TEARDOWN, EMBEDDING, ANSWERING)
    assert role(account, ROLE) is None
    # Twice is once: there was one blueprint's policy left, and one role, which goes with whichever run is the last.
    assert account.writes() == {"iam:DeleteRolePolicy": 1, "iam:DeleteRole": 1}
    for task in {task["task_id"] for task in again.tasks()} - {"delete_iam_role"}:
        assert " unchanged" in told(again, task) or "nothing to do" in told(again, task)


def test_no_secret_of_the_domain_or_the_account_is_in_any_log_xcom_template_dag_or_row(
    domain_stack: DomainStack, account: AwsAccount
) -> None:
    """Everything above ran at log level DEBUG, in sessions of whose keys the account knows every one."""
    opensearch, sessions = domain_stack.opensearch, account.sessions()
    login = f"{opensearch.admin_user}:{opensearch.admin_password}"
    secrets = {
        opensearch.admin_password,
        base64.b64encode(login.encode()).decode(),
        domain_stack.keys["openai"][0],
        (domain_stack.folder / "airflow_user.json").read_text().split('"secret_access_key": "')[1].split('"')[0],
        *(key[name] for key in sessions for name in ("secret_access_key", "session_token")),
    }
    assert len(sessions) > 20  # and many more if the slow tests ran
    own = {"secrets.json", "simple_auth_manager_passwords.json.generated"}
    files = [(path, content) for path, content in files_below(domain_stack.folder / "airflow") if path.name not in own]
    found = [(path.name, secret) for path, content in files for secret in secrets if secret.encode() in content]
    assert found == []
    # The search does find what stands beside the secrets.
    whole = b"".join(content for _, content in files)
    for there in (EMBEDDING, f"{ROLE_ARN}/{ROLE}", "DEBUG"):
        assert there.encode() in whole


@slow
def test_that_search_has_seen_what_the_slow_tests_did(domain_stack: DomainStack, account: AwsAccount) -> None:
    assert len(account.sessions()) > 50
    assert any(SECRET.encode() in content for _, content in files_below(domain_stack.folder / "airflow"))
