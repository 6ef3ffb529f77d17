"""What a domain of Amazon OpenSearch Service and its AWS account hold: connectors with IAM roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from local.aws_account.process import AwsAccount
from local.domain_stack import DomainStack
from tests.support.cluster import Cluster
from tests.support.recording import cluster_documents
from tests.support.recording.cluster_documents import documents
from tests.support.recording.neutral import neutral
from tests.support.recording.self_managed import Recording
from tests.support.recording.stacks import PROVISION, TEARDOWN, Runs, ports_of, running

ROLES = {"role": "opensearch-sagemaker-role", "existing_role": "opensearch-comprehend-role"}
THEIR_TRUST = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": {"Service": "lambda.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
THEIR_STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::theirs/*"}


def record_domain(folder: Path, version_folder: Path) -> Recording:
    """Record a domain.

    :param folder: for the stack; it is deleted afterwards.
    :param version_folder: has the blueprints.
    """
    stack = DomainStack(folder)
    stack.opensearch.heap = "512m"
    with running(stack, version_folder, {}) as runs:
        account, cluster = stack.account, Cluster(stack.opensearch, stack.version)
        account.create_role(ROLES["existing_role"], [THEIR_TRUST], [THEIR_STATEMENT])
        recording = Recording()
        recording.aws["before"] = roles(account)
        for label in ("provision_role", "provision_role_unchanged"):
            run(runs, label, PROVISION, "role")
        run(runs, "provision_existing_role", PROVISION, "existing_role")
        recording.aws["provisioned"] = roles(account)
        recording.cluster["provisioned"] = {**documents(cluster, ROLES), **cluster_documents.settings(cluster)}
        run(runs, "rotation_role", "opensearch_ml_rotate_credentials", "", blueprints=["role"], force=True)
        for name in ROLES:
            run(runs, f"teardown_{name}", TEARDOWN, name)
        recording.aws["torn_down"] = roles(account)
        recording.runs, recording.asset_events = runs.recorded, runs.rows.asset_events(runs.by_label)
        recording.target = yaml.safe_load(stack.target_path.read_text())
        user = json.loads((stack.folder / "airflow_user.json").read_text())
        secrets = [stack.opensearch.admin_password, runs.airflow.password, user["secret_access_key"]]
        secrets += [one[part] for one in account.sessions() for part in ("secret_access_key", "session_token")]
        for name, value in vars(recording).items():
            setattr(recording, name, neutral(value, folder=stack.folder, ports=ports_of(stack), secrets=secrets))
        return recording


def run(runs: Runs, label: str, dag_id: str, blueprint: str, **conf: Any) -> None:
    """Run a DAG with the connection of the domain's master user."""
    named = {"blueprint": blueprint} if blueprint else {}
    runs.run(label, dag_id, opensearch_admin_conn_id="opensearch_master", **named, **conf)


def roles(account: AwsAccount) -> dict[str, Any]:
    """Return the IAM roles: description, trust policy, tags and inline policies; None: there is none."""
    iam = account.client("iam")
    found: dict[str, Any] = {}
    for name in ROLES.values():
        try:
            role = iam.get_role(RoleName=name)["Role"]
        except iam.exceptions.NoSuchEntityException:
            found[name] = None
            continue
        found[name] = {
            **{key: role.get(key) for key in ("Arn", "Path", "Description", "Tags", "AssumeRolePolicyDocument")},
            "policies": {
                one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]
                for one in iam.list_role_policies(RoleName=name)["PolicyNames"]
            },
        }
    return found
