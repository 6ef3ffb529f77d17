"""What IAM says when asked; nothing here writes.

Whoever asks may not be allowed to: that is `PermissionDenied`, and never an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.aws.policy_evaluation import Context, Decision, concerns, decide, statements, unmet
from opensearch_ml.base.arns import Principal, principal_of
from opensearch_ml.errors import NotFound, PermissionDenied

log = logging.getLogger(__name__)

DECISIONS: tuple[Decision, ...] = ("allowed", "explicitDeny", "implicitDeny")


def find_role(access: AwsAccess, name: str) -> dict[str, Any] | None:
    """Return a role as ``iam:GetRole`` gives it, its trust policy decoded, or None if there is none.

    :raises PermissionDenied: the caller may not ask.
    """
    try:
        found: dict[str, Any] = access.call("iam", "get_role", RoleName=name)["Role"]
    except NotFound:
        return None
    return found


def policies_of_role(access: AwsAccess, name: str) -> dict[str, dict[str, Any]]:
    """Return a role's permission policies, decoded: an inline one by its name, an attached one by its ARN.

    :raises NotFound: there is no such role.
    :raises PermissionDenied: the caller may not ask.
    Source: ``iam:ListRolePolicies``, ``GetRolePolicy``, ``ListAttachedRolePolicies``, ``GetPolicy`` and
    ``GetPolicyVersion``.
    """
    return dict(_policies(access, "role", {"RoleName": name}))


def policies_of_user(access: AwsAccess, name: str) -> dict[str, dict[str, Any]]:
    """Return a user's own policies like `policies_of_role`; those of its groups are not among them."""
    return dict(_policies(access, "user", {"UserName": name}))


def arn_to_simulate(access: AwsAccess, caller_arn: str) -> str | None:
    """Return the ARN by which policies are simulated for a caller; None for an account's root, who may do anything.

    A session's ARN lacks its role's path, so the role is asked for; if that is refused, the path is taken for none.
    """
    principal = principal_of(caller_arn)
    if principal.kind == "root":
        return None
    if principal.kind == "role":
        try:
            found = find_role(access, principal.name)
            return str(found["Arn"]) if found else principal.arn
        except PermissionDenied:
            return principal.arn
    return caller_arn


def simulate(
    access: AwsAccess, arn: str, action: str, resource: str, context: Mapping[str, str] | None = None
) -> Decision:
    """Ask IAM what a user's or role's policies, boundaries and organization decide.

    :param arn: of the user or role, see `arn_to_simulate`.
    :raises PermissionDenied: the caller may not simulate.
    Source: ``iam:SimulatePrincipalPolicy``; a resource's own policy has no part in it.
    """
    entries = [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
        for key, value in (context or {}).items()
    ]
    answer = access.call(
        "iam",
        "simulate_principal_policy",
        PolicySourceArn=arn,
        ActionNames=[action],
        ResourceArns=[resource],
        ContextEntries=entries,
    )
    decision = answer["EvaluationResults"][0]["EvalDecision"]
    return next(one for one in DECISIONS if one == decision)


def why_not(access: AwsAccess, principal: Principal, action: str, resource: str, context: Context | None = None) -> str:
    """Return what in a principal's own policies comes nearest to an action and keeps it out; empty if nothing does.

    :param context: the request's condition keys.
    """
    read = policies_of_role if principal.kind == "role" else policies_of_user
    try:
        documents = read(access, principal.name)
    except (NotFound, PermissionDenied):
        return ""
    found = []
    for name, document in documents.items():
        for statement in statements(document):
            if not concerns(statement, action, resource):
                continue
            failing = unmet(statement, context or {})
            if statement.get("Effect") == "Deny" and not failing:
                found.append(f"policy {name} denies it")
            elif statement.get("Effect") == "Allow" and failing:
                found.append(f"policy {name} allows it only if {' and '.join(map(str, failing))}")
    return "; ".join(found)


def decision_for(
    access: AwsAccess, principal: Principal, action: str, resource: str, context: Context | None = None
) -> Decision | None:
    """Return what is decided for a user or role: by simulation, else by its own policies, else None: nobody may tell.

    :param context: the request's condition keys.
    """
    if principal.kind == "root":
        return "allowed"
    try:
        return simulate(access, arn_to_simulate(access, principal.arn) or principal.arn, action, resource, context)
    except PermissionDenied as refusal:
        log.info("policies cannot be simulated for %s: %s", principal.arn, refusal.evidence)
    read = policies_of_role if principal.kind == "role" else policies_of_user
    try:
        return decide(read(access, principal.name).values(), action, resource, context)
    except PermissionDenied as refusal:
        log.info("the policies of %s cannot be read: %s", principal.arn, refusal.evidence)
    return None


def _policies(access: AwsAccess, kind: str, owner: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in access.pages("iam", f"list_{kind}_policies", "PolicyNames", **owner):
        yield name, access.call("iam", f"get_{kind}_policy", PolicyName=name, **owner)["PolicyDocument"]
    for attached in access.pages("iam", f"list_attached_{kind}_policies", "AttachedPolicies", **owner):
        arn = attached["PolicyArn"]
        version = access.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
        yield (
            arn,
            access.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"],
        )
