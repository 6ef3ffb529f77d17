"""The commands that do by hand what we may not do: to copy into a shell that has the AWS command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from opensearch_ml import policies
from opensearch_ml.iam_role import IamRole


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
