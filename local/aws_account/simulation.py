"""``iam:SimulatePrincipalPolicy``, which moto lacks: one result for every action on every resource.

Source: IAM API Reference, SimulatePrincipalPolicy.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from moto.iam.exceptions import IAMException, NotFoundException

from local.aws_account.account import Account
from local.aws_account.policy_evaluation import Asked, Principal, condition_keys, evaluate


class InvalidInput(IAMException):
    code = "InvalidInput"


def simulate(account: Account, parameters: dict[str, Any]) -> dict[str, Any]:
    """Answer the operation.

    :param parameters: as boto3 takes them.
    :return: as boto3 gives it, in one page.
    :raises IAMException: ``NoSuchEntity`` for a principal that is not there (yet); ``InvalidInput``.
    """
    source = _principal(account, parameters["PolicySourceArn"])
    caller = source
    extra = tuple(json.loads(text) for text in parameters.get("PolicyInputList") or ())
    boundaries = tuple(json.loads(text) for text in parameters.get("PermissionsBoundaryPolicyInputList") or ())
    resource_policy = json.loads(parameters["ResourcePolicy"]) if parameters.get("ResourcePolicy") else None
    if resource_policy and ":user/" not in source.arn:
        if not parameters.get("CallerArn"):
            raise InvalidInput("CallerArn must be given with a ResourcePolicy if PolicySourceArn is not a user's")
        caller = replace(source, arn=parameters["CallerArn"], role_arn=None)
    caller = replace(
        caller,
        policies=(*source.policies, *extra),
        limits=(*source.limits, boundaries) if boundaries else source.limits,
    )
    context = {
        entry["ContextKeyName"]: entry.get("ContextKeyValues") or [] for entry in parameters.get("ContextEntries") or ()
    }
    documents = [*caller.policies, *(document for limit in caller.limits for document in limit)]
    missing = sorted(condition_keys([*documents, *([resource_policy] if resource_policy else [])]) - set(context))
    results = []
    for action in parameters["ActionNames"]:
        for resource in parameters.get("ResourceArns") or ["*"]:
            decision = evaluate(caller, Asked(action, resource, context), resource_policy).decision
            results.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": decision,
                    "MatchedStatements": [],
                    "MissingContextValues": missing,
                }
            )
    return {"EvaluationResults": results, "IsTruncated": False}


def _principal(account: Account, arn: str) -> Principal:
    if arn.count(":") < 5 or not arn.split(":", 5)[5].startswith(("user/", "role/")):
        raise InvalidInput(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    principal = account.principals.by_arn(arn)
    if principal is None:
        kind, _, name = arn.split(":", 5)[5].partition("/")
        raise NotFoundException(f"The {kind} with name {name.rpartition('/')[2]} cannot be found.")
    return principal
