"""The smallest change that lets a principal do what was refused: a statement, and the call that adds it, to copy."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from opensearch_ml.aws.policy_evaluation import as_list
from opensearch_ml.base.arns import Principal
from opensearch_ml.iam.policies import VERSION

PASSED_TO = "iam:PassedToService"
POLICY_NAME = "opensearch-ml"
DIGEST_CHARACTERS = 8


def statement(actions: str | list[str], resource: str, condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the statement that allows one or several actions on one resource."""
    bound = {"Condition": dict(condition)} if condition else {}
    action = actions[0] if isinstance(actions, list) and len(actions) == 1 else actions
    return {"Effect": "Allow", "Action": action, "Resource": resource, **bound}


def pass_role(role_arn: str, service: str) -> dict[str, Any]:
    """Return the statement that lets a caller pass a role to one service."""
    return statement("iam:PassRole", role_arn, {"StringEquals": {PASSED_TO: service}})


def how_to_allow(principal: Principal, statements: Iterable[Mapping[str, Any]]) -> str:
    """Return how to give a user or role these statements: in words, and as a command of the AWS command line.

    The command writes an inline policy named for the action and for what the statements say, so that neither what is
    there nor what another of our commands has written is replaced.
    """
    allowed = [dict(one) for one in statements]
    document = json.dumps({"Version": VERSION, "Statement": allowed})
    if principal.kind not in ("user", "role"):
        return f"allow it to {principal.arn}: {document}"
    action = str(as_list(allowed[0]["Action"])[0]).replace(":", "-").replace("*", "")
    digest = hashlib.sha256(document.encode()).hexdigest()[:DIGEST_CHARACTERS]
    options = f"--{principal.kind}-name {principal.name} --policy-name {POLICY_NAME}-{action}-{digest}"
    return (
        f"add this policy to {principal.arn}: aws iam put-{principal.kind}-policy {options} "
        f"--policy-document {shlex.quote(document)}"
    )
