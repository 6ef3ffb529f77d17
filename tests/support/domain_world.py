"""A domain to provision, with everything right: a test breaks what it is about, and runs the DAG's tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import pytest
import yaml
from airflow.sdk.exceptions import AirflowFailException

from local.aws_account.process import AwsAccount
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.errors import Transient
from opensearch_ml.operators.base import OpenSearchMLBaseOperator
from opensearch_ml.operators.cluster import (
    OpenSearchAddTrustedEndpointsOperator,
    OpenSearchMapRoleOperator,
    OpenSearchUpdateMLSettingsOperator,
)
from opensearch_ml.operators.connector import OpenSearchCreateConnectorOperator
from opensearch_ml.operators.iam_role import OpenSearchCreateIamRoleOperator
from opensearch_ml.operators.model import (
    OpenSearchCreateModelGroupOperator,
    OpenSearchDeployModelOperator,
    OpenSearchPredictOperator,
    OpenSearchRegisterModelOperator,
)
from opensearch_ml.operators.preflight import OpenSearchPreflightOperator
from opensearch_ml.sensors import OpenSearchDeployTaskSensor
from tests.support.domains import REGION, Domain, Statement

ACCOUNT = "123456789012"
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/airflow"
ROLE_NAME = "opensearch-sagemaker-role"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE_NAME}"
BLUEPRINT = "sagemaker_embedding"
ENDPOINT = "opensearch-embedding"
ENDPOINT_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{ENDPOINT}"
SERVICE = "opensearchservice.amazonaws.com"


class _OnCluster(TypedDict):
    opensearch_conn_id: str


class _ByAdministrator(_OnCluster):
    opensearch_admin_conn_id: str


class _OfBlueprint(_OnCluster):
    blueprint: str


@dataclass
class World:
    """What a test may break before it provisions."""

    domain: Domain
    endpoints: ModelEndpoints
    folder: Path
    patch: pytest.MonkeyPatch
    may: dict[str, list[Statement]] = field(default_factory=dict)
    connection: dict[str, Any] = field(default_factory=dict)
    aws: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)
    admin: str = "opensearch_master"

    @property
    def account(self) -> AwsAccount:
        return self.domain.account

    def forbid(self, *actions: str) -> None:
        """Take actions away from Airflow's user."""
        for statements in self.may.values():
            for statement in statements:
                statement["Action"] = [one for one in statement["Action"] if one not in actions]
        self.may = {name: [one for one in given if one["Action"]] for name, given in self.may.items()}

    def deny(self, action: str) -> None:
        """Deny an action to Airflow's user in as many words."""
        self.may["denied"] = [{"Effect": "Deny", "Action": [action], "Resource": "*"}]

    def make_role(
        self, trust: dict[str, Any] | None = None, statements: list[Statement] | None = None, **options: Any
    ) -> None:
        """Make the connector's role by hand; the blueprint leaves it alone.

        :param trust: what is different in its trust statement, which is right otherwise.
        """
        condition = {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": self.domain.arn}}
        right = {
            "Effect": "Allow",
            "Principal": {"Service": SERVICE},
            "Action": "sts:AssumeRole",
            "Condition": condition,
        }
        may = [{"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": ENDPOINT_ARN}]
        self.account.create_role(
            ROLE_NAME, [right | (trust or {})], may if statements is None else statements, **options
        )
        self.document["iam_role"] = {"manage": False}

    def ready(self) -> None:
        """Write down what Airflow is to find."""
        self.account.set_user_statements("airflow", [one for given in self.may.values() for one in given])
        blueprints = self.folder / "blueprints"
        blueprints.mkdir(exist_ok=True)
        (blueprints / f"{BLUEPRINT}.yaml").write_text(yaml.safe_dump(self.document))
        targets = self.folder / "targets"
        targets.mkdir(exist_ok=True)
        (targets / "tests.yaml").write_text(yaml.safe_dump(self.target))
        self.patch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(blueprints))
        self.patch.setenv("AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER", str(targets))
        self.patch.setenv("AIRFLOW_CONN_OPENSEARCH_DEFAULT", json.dumps(self.connection))
        self.patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(self.aws))

    def provision(self, *, without: tuple[str, ...] = ()) -> str:
        """Run the DAG's tasks in their order, in this process.

        :param without: ids of tasks that are left out.
        :return: the model's id.
        :raises TaskFailed: a task did; it carries the task's id and what its log says.
        """
        run = _Run()
        given: _OnCluster = {"opensearch_conn_id": "opensearch_default"}
        admin: _ByAdministrator = {"opensearch_admin_conn_id": self.admin, **given}
        blueprint: _OfBlueprint = {"blueprint": BLUEPRINT, **given}
        if "preflight" not in without:
            run(OpenSearchPreflightOperator(task_id="preflight", blueprint=BLUEPRINT, **admin))
        if "iam_role" not in without:
            run(OpenSearchCreateIamRoleOperator(task_id="iam_role", **blueprint))
        run(OpenSearchUpdateMLSettingsOperator(task_id="ml_settings", **admin))
        run(OpenSearchMapRoleOperator(task_id="role_mapping", **admin))
        run(OpenSearchAddTrustedEndpointsOperator(task_id="trusted_endpoints", blueprint=BLUEPRINT, **admin))
        connector = run(OpenSearchCreateConnectorOperator(task_id="connector", **blueprint))
        group = run(OpenSearchCreateModelGroupOperator(task_id="model_group", **blueprint))
        ids = {"model_group_id": group, "connector_id": connector}
        model = run(OpenSearchRegisterModelOperator(task_id="model", **ids, **blueprint))
        deploy = run(OpenSearchDeployModelOperator(task_id="deploy", model_id=model, **given))
        run(OpenSearchDeployTaskSensor(task_id="deployed", model_id=model, deploy_task_id=deploy, **given))
        return str(run(OpenSearchPredictOperator(task_id="smoke_predict", model_id=model, **blueprint)))

    def writes(self) -> tuple[dict[str, int], list[str]]:
        """What was written, to the account and to the cluster: what was let through and is no read and no search."""
        reads = ("_search", "/_plugins/_security/authinfo")
        sent = [
            f"{one.method} {one.path}"
            for one in self.domain.gateway.requests()
            if one.method not in ("GET", "HEAD") and one.status < 400 and not one.path.endswith(reads)
        ]
        return self.account.writes(), sent


class TaskFailed(Exception):  # noqa: N818
    """A task of the run failed; Airflow would try again what is `Transient`."""

    def __init__(self, task_id: str, told: str) -> None:
        super().__init__(f"{task_id}: {told}")
        self.task_id, self.told = task_id, told


class _Run:
    """Runs one task after the other, as Airflow would."""

    def __call__(self, operator: OpenSearchMLBaseOperator | OpenSearchDeployTaskSensor) -> Any:
        try:
            return operator.execute({"ti": self})  # type: ignore[typeddict-item]  # it pushes, and no more
        except (AirflowFailException, Transient) as error:
            raise TaskFailed(operator.task_id, str(error)) from None

    def xcom_push(self, key: str, value: Any) -> None:
        """For the links."""


def allowed(domain: Domain) -> dict[str, list[Statement]]:
    """What Airflow's user needs, each part by its name."""
    role = f"arn:aws:iam::{ACCOUNT}:role/opensearch-*"
    passed = {"StringEquals": {"iam:PassedToService": SERVICE}}
    return {
        "domain": [domain.http_allowed("Get", "Post", "Put", "Delete")],
        "look": [
            {
                "Effect": "Allow",
                "Action": [
                    *("es:DescribeDomain", "es:ListDomainNames", "sagemaker:DescribeEndpoint"),
                    *("iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"),
                    *("iam:ListUserPolicies", "iam:GetUserPolicy", "iam:ListAttachedUserPolicies"),
                    *("iam:GetPolicy", "iam:GetPolicyVersion", "iam:SimulatePrincipalPolicy", "sts:AssumeRole"),
                ],
                "Resource": "*",
            }
        ],
        "pass": [{"Effect": "Allow", "Action": ["iam:PassRole"], "Resource": role, "Condition": passed}],
        "role": [
            {
                "Effect": "Allow",
                "Action": [
                    *("iam:CreateRole", "iam:TagRole", "iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy"),
                    *("iam:DeleteRole", "iam:DeleteRolePolicy", "iam:ListInstanceProfilesForRole"),
                ],
                "Resource": role,
            }
        ],
    }
