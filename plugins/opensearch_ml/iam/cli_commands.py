"""What people do by hand for a connector's role, to copy: the maker's policy, and commands that do without a maker."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from opensearch_ml.base.arns import Arn
from opensearch_ml.iam import policies
from opensearch_ml.iam.role import IamRole

# What the tasks for the role ask of IAM, on the role itself, and on the policies that are attached to it. Without
# those of CHECKING a role is made, too; what then could not be seen is told.
MAKING = (
    "iam:CreateRole",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:PutRolePolicy",
    "iam:TagRole",
    "iam:UpdateAssumeRolePolicy",
)
CHECKING = ("iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:SimulatePrincipalPolicy")
CHECKING_POLICIES = ("iam:GetPolicy", "iam:GetPolicyVersion")
DELETING = ("iam:DeleteRole", "iam:DeleteRolePolicy", "iam:ListInstanceProfilesForRole")


def maker_policy(role_arn: str) -> dict[str, Any]:
    """Return the policy of who makes and deletes a role: the connection of the IAM tasks."""
    arn = Arn.parse(role_arn)
    on_role = {"Effect": "Allow", "Action": sorted([*MAKING, *CHECKING, *DELETING]), "Resource": role_arn}
    managed = [f"arn:{arn.partition}:iam::{owner}:policy/*" for owner in (arn.account_id, "aws")]
    on_policies = {"Effect": "Allow", "Action": list(CHECKING_POLICIES), "Resource": managed}
    return {"Version": policies.VERSION, "Statement": [on_role, on_policies]}


def create(role: IamRole) -> str:
    """Return the commands that create a role with its trust policy and its permission policy."""
    options = {
        "role-name": role.name,
        "path": role.path if role.path != "/" else None,
        "description": role.description,
        "permissions-boundary": role.boundary,
        "assume-role-policy-document": _text(policies.trust_policy([role.domain], role.services)),
    }
    return f"{_command('create-role', options)}\n{put_permissions(role)}"


def put_permissions(role: IamRole) -> str:
    """Return the command that puts the blueprint's permission policy on a role."""
    options = {"role-name": role.name, "policy-name": role.policy_name, "policy-document": _text(role.permissions)}
    return _command("put-role-policy", options)


def update_trust_of(role_name: str, trust: Mapping[str, Any]) -> str:
    """Return the command that writes a role's whole trust policy."""
    return _command("update-assume-role-policy", {"role-name": role_name, "policy-document": _text(trust)})


def _command(operation: str, options: Mapping[str, str | None]) -> str:
    given = (f"--{name} {shlex.quote(value)}" for name, value in options.items() if value)
    return " ".join(["aws iam", operation, *given])


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document)
