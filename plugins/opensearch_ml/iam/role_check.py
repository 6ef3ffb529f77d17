"""Whether a role works: by its documents, and by what IAM says when asked. Nothing here writes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from opensearch_ml.aws.policy_evaluation import Decision, Document, as_list, conditions, decide, statements
from opensearch_ml.base.arns import Arn
from opensearch_ml.errors import NotFound, NotYetEffective, PermissionDenied, RequestRefused
from opensearch_ml.iam import cli_commands, grants, policies
from opensearch_ml.iam.role import IamRole
from opensearch_ml.iam.role_client import Found, Policies, RoleInIam
from opensearch_ml.retries import until_effective

log = logging.getLogger(__name__)

MEETABLE = ("StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool")  # one value in the request meets them
NOT_MENDED = "nothing that is added to the role outweighs it"
MANAGE_IT = "write `iam_role: {}` into the blueprint, and task iam_role does it"

Need = tuple[str, str, dict[str, str]]  # action, resource, the request's context


def require_mendable(iam: RoleInIam, found: Found | None, on_it: Policies | None) -> None:
    """Refuse what no addition to the role mends: an explicit deny, a foreign condition, a boundary.

    :param found: the role; None if it is still to be created.
    :param on_it: its policies, None if they cannot be read.
    :raises PermissionDenied: naming the statement.
    """
    role = iam.role
    if found:
        mended = policies.with_trust(found.trust, role.domain, role.services)
        for problem in sorted(trust_problems(mended, role), key=lambda one: one.kind != "explicit_deny"):
            raise PermissionDenied(
                f"role {role.name} has a trust policy that others must correct",
                evidence=problem.words,
                fix=f"correct that statement of the trust policy of {role.arn}: {NOT_MENDED}",
            )
    for need in needs(role):
        _require_no_deny(role, need, on_it or {})
    if boundary_arn := found.boundary_arn if found else role.boundary:
        _require_boundary(iam, boundary_arn)


def compare(iam: RoleInIam) -> tuple[str, ...]:
    """Return what there is to say of a role that is not ours to write; differences are logged as a warning.

    :raises NotFound: it is missing.
    :raises PermissionDenied: it cannot work as it is.
    :raises NotYetEffective: it should work, and IAM says that it does not.
    """
    role = iam.role
    try:
        found = iam.look()
    except PermissionDenied as refusal:
        log.warning("role %s cannot be checked: %s", role.name, refusal)
        return (f"could not be checked, the caller may not read it ({refusal.evidence})",)
    if found is None:
        raise NotFound(
            f"there is no IAM role {role.name}",
            evidence=f"iam:GetRole {role.name} -> NoSuchEntity; connector.credential.roleArn is {role.arn}",
            fix=f"correct roleArn; or {MANAGE_IT}; or create the role:\n{cli_commands.create(role)}",
        )
    warn_of_loose_trust(role, found)
    _compare_trust(role, found)
    on_it = readable_policies(iam)
    require_mendable(iam, found, on_it)
    if on_it is not None:
        _compare_policies(role, on_it)
    return wait_until_effective(iam)


def wait_until_effective(iam: RoleInIam) -> tuple[str, ...]:
    """Ask IAM until it says that the role may do what it needs, and return what could not be asked.

    :raises PermissionDenied: a policy that we cannot see denies it.
    :raises NotYetEffective: the time is up.
    """

    def ask_iam() -> tuple[str, ...]:  # its name is in the log
        return _in_force(iam)

    return until_effective(ask_iam, timeout_s=iam.left_s())


def warn_of_loose_trust(role: IamRole, found: Found) -> None:
    """Log that the role's trust policy lets a service in for domains of any account."""
    for service in role.services:
        if warning := policies.trust_warning(found.trust, service):
            log.warning("role %s: %s", role.name, warning)


def trust_problems(trust: Document, role: IamRole) -> list[policies.TrustProblem]:
    """Return why services may not assume a role with this trust policy, one each at most."""
    found = (policies.trust_problem(trust, service, role.domain) for service in role.services)
    return [problem for problem in found if problem]


def readable_policies(iam: RoleInIam) -> Policies | None:
    """Return the role's policies; None, and a warning, if the caller may not read them all."""
    try:
        return iam.all_policies()
    except PermissionDenied as refusal:
        log.warning("the policies of role %s cannot all be read: %s", iam.role.name, refusal)
        return None


def allowed_by(documents: Policies, role: IamRole) -> bool:
    """Tell whether these policies allow all that the role needs; False if that cannot be told."""
    decidable = all(map(_is_askable, statements(role.permissions)))
    return decidable and all(decide(documents.values(), *need) == "allowed" for need in needs(role))


def needs(role: IamRole) -> Iterator[Need]:
    """Yield everything that the role must be allowed, as far as it can be asked for."""
    for statement in filter(_is_askable, statements(role.permissions)):
        context = {key: values[0] for operator, key, values in conditions(statement) if operator in MEETABLE}
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield action, resource, context


def _is_askable(statement: Mapping[str, Any]) -> bool:
    actions = as_list(statement.get("Action"))
    return statement.get("Effect") == "Allow" and "Resource" in statement and not any("*" in one for one in actions)


def _compare_trust(role: IamRole, found: Found) -> None:
    problems = trust_problems(found.trust, role)
    if not problems:
        return
    wanted = policies.with_trust(found.trust, role.domain, role.services)
    # The domain calls as one of these services; which, AWS alone knows.
    if len(problems) < len(role.services):
        log.warning("trust policy of role %s:\n%s", role.name, policies.diff(found.trust, wanted))
        return
    raise PermissionDenied(
        f"the trust policy of role {role.name} does not let the domain in",
        evidence=problems[0].words,
        fix=f"correct that statement of the trust policy of {role.arn}: {NOT_MENDED}"
        if problems[0].kind == "explicit_deny"
        else f"{MANAGE_IT}; or: {cli_commands.update_trust_of(role.name, wanted)}",
    )


def _compare_policies(role: IamRole, on_it: Policies) -> None:
    for need in needs(role):
        if decide(on_it.values(), *need) != "allowed":
            raise PermissionDenied(
                f"role {role.name} may not {need[0]} on {need[1]}",
                evidence=f"its policies ({', '.join(on_it) or 'none'}) do not allow it",
                fix=f"{MANAGE_IT}; or: {cli_commands.put_permissions(role)}",
            )
    own = on_it.get(role.policy_name)
    if own and not policies.same(own, role.permissions):
        diff = policies.diff(own, role.permissions)
        log.warning("policy %s of role %s differs from the blueprint:\n%s", role.policy_name, role.name, diff)


def _require_no_deny(role: IamRole, need: Need, on_it: Policies) -> None:
    for name, document in on_it.items():
        for statement in statements(document):
            if decide([{"Statement": [statement]}], *need) == "explicitDeny":
                raise PermissionDenied(
                    f"policy {name} denies role {role.name} {need[0]} on {need[1]} in as many words",
                    evidence=f"{name}: {json.dumps(statement)}",
                    fix=f"narrow or remove that statement of {name}: {NOT_MENDED}",
                )


def _require_boundary(iam: RoleInIam, boundary_arn: str) -> None:
    role = iam.role
    try:
        boundary = iam.boundary(boundary_arn)
    except PermissionDenied as refusal:
        log.warning("the permissions boundary of role %s cannot be read: %s", role.name, refusal)
        return
    for need in needs(role):
        if decide([boundary], *need) != "allowed":
            raise PermissionDenied(
                f"the permissions boundary of role {role.name} does not allow {need[0]} on {need[1]}",
                evidence=f"{boundary_arn}: {json.dumps(boundary)}",
                fix=f"add {json.dumps(grants.statement(need[0], need[1]))} to {boundary_arn}: {NOT_MENDED}",
            )


def _in_force(iam: RoleInIam) -> tuple[str, ...]:
    unasked = []
    for need in needs(iam.role):
        try:
            decision = iam.simulate(*need)
        except (PermissionDenied, RequestRefused) as refusal:
            log.warning("whether AWS goes by the policies of role %s cannot be asked: %s", iam.role.name, refusal)
            return (f"whether AWS goes by it yet could not be asked ({refusal.evidence})",)
        if decision == "implicitDeny" and (other := _other_account(iam.role, need[1])):
            # A simulation asks both accounts, knows the policies of ours only, and takes no trust policy to go by.
            unasked.append(f"whether account {other} lets it {need[0]} on {need[1]} could not be asked")
        elif decision != "allowed":
            raise _not_in_force(iam.role, need, decision)
    return tuple(unasked)


def _other_account(role: IamRole, resource: str) -> str:
    """Return the account that owns a resource, if it is another one than the role's and the ARN tells; else nothing."""
    owner = resource.split(":", 5)[4] if resource.startswith("arn:") else ""
    return "" if owner in ("", "*", Arn.parse(role.arn).account_id) else owner


def _not_in_force(role: IamRole, need: Need, decision: Decision | None) -> PermissionDenied | NotYetEffective:
    said = f"iam:SimulatePrincipalPolicy {need[0]} on {need[1]} -> {decision or 'no such role'}"
    if decision == "explicitDeny":
        return PermissionDenied(
            f"something denies role {role.name} {need[0]} in as many words",
            evidence=said,
            fix=f"ask who administers the account what denies {need[0]}: as a rule, a service control policy",
        )
    return NotYetEffective(
        f"IAM does not let role {role.name} {need[0]} yet, though its policy allows it",
        evidence=said,
        fix="run again in a minute; if it stays so, a permissions boundary or a service control policy is in the way",
    )
