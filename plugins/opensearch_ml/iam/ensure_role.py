"""The IAM role that Amazon OpenSearch Service assumes to call a model: made, extended, taken away.

Only what is missing is added, and only what carries our marks is replaced or removed: the role's tag, the trust
statement with our ``Sid``, and one inline policy for each blueprint. Others' statements, conditions and policies stay.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.aws.policy_evaluation import Document, statements
from opensearch_ml.base.arns import DOMAIN_FORM
from opensearch_ml.base.outcome import Action, Changed
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import (
    Conflict,
    InUse,
    InvalidConnection,
    PermissionDenied,
    RequestRefused,
)
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.iam import policies
from opensearch_ml.iam.role import POLICY_PREFIX, IamRole, is_policy_for, role_for
from opensearch_ml.iam.role_check import (
    allowed_by,
    compare,
    readable_policies,
    require_mendable,
    trust_problems,
    wait_until_effective,
    warn_of_loose_trust,
)
from opensearch_ml.iam.role_client import Found, Policies, RoleInIam
from opensearch_ml.retries import persistently

log = logging.getLogger(__name__)

WAIT_S = 60.0  # IAM spreads a change in seconds, as a rule
SECOND_LOOK_S = 0.5  # longer than another writer needs from reading the trust policy to writing it


def role_on(hook: OpenSearchMLHook, blueprint: Blueprint) -> IamRole | None:
    """Return the role that a blueprint's connector has the hook's domain assume; None if it names no role.

    :raises InvalidBlueprint: the domain cannot be passed that role.
    :raises RequestRefused: the cluster is self-managed, where nothing can assume a role.
    :raises InvalidConnection: the connection does not say which domain it is for.
    """
    role_arn = blueprint.connector.credential.get("roleArn")
    if not isinstance(role_arn, str):
        return None
    if hook.domain_arn:
        return role_for(blueprint, hook.domain_arn)
    conn_id, evidence = hook.opensearch_conn_id, f"connector.credential.roleArn is {role_arn}"
    extra = f'{{"domain_arn": "{DOMAIN_FORM}"}}'
    if hook.is_managed_service:
        raise InvalidConnection(
            f"connection {conn_id} does not say which domain it is for",
            evidence=f"{evidence}, whose trust policy names the domain; the connection's extra has no domain_arn",
            fix=f"write {extra} into the extra of connection {conn_id}",
        )
    raise RequestRefused(
        "roleArn works on Amazon OpenSearch Service alone, and this cluster is self-managed",
        evidence=f"{evidence}; connection {conn_id} has no domain_arn and no aws_conn_id",
        fix="give the connector keys in place of roleArn: access_key, secret_key and, of an STS session, session_token "
        "(each a reference, such as {conn_id: aws_default, field: login}); if the cluster is a domain after all, write "
        f"{extra} into the connection's extra",
    )


def ensure_iam_role(access: AwsAccess, role: IamRole, *, wait_s: float = WAIT_S) -> Changed:
    """Let the service assume the role for the domain, and the role do what the blueprint calls.

    :param role: with ``manage`` false it is only compared, and nothing is written.
    :param wait_s: seconds to wait, in all, until AWS goes by what was written.
    :raises NotFound: an unmanaged role is missing, or the one of that name has another path.
    :raises InvalidConnection: the role is in another account than the caller.
    :raises PermissionDenied: the caller may not read or write what is needed; or an explicit deny, a permissions
        boundary or a foreign condition keeps the role from working.
    :raises RequestRefused: a policy would be longer than IAM takes.
    :raises NotYetEffective: the documents are right, and AWS does not go by them within `wait_s`.
    :raises Conflict: other writers overwrote ours again and again.
    Source: ``iam:GetRole``, ``CreateRole``, ``UpdateAssumeRolePolicy``, ``PutRolePolicy``, ``SimulatePrincipalPolicy``.
    """
    iam = RoleInIam(access, role, wait_s)
    done: dict[str, None] = {}
    created = []

    def attempt() -> None:
        found = iam.look()
        on_it = readable_policies(iam) if found else {}
        require_mendable(iam, found, on_it)
        if found is None:
            iam.create()
            created.append(role.arn)
            done[f"{role.domain} may assume it"] = None
            iam.until(iam.look)
        elif _extend_trust(iam, found):
            done[f"{role.domain} may assume it"] = None
        if _put_policy(iam, on_it):
            done[f"policy {role.policy_name} put"] = None

    if not role.manage:
        return Changed("IAM role", "unchanged", role.arn, compare(iam))
    persistently(attempt)
    action: Action = "created" if created else "updated" if done else "unchanged"
    return Changed("IAM role", action, role.arn, (*done, *wait_until_effective(iam)))


def what_lacks(access: AwsAccess, role: IamRole) -> tuple[str, ...] | None:
    """Return what `ensure_iam_role` would add to a role; None if it would create it. Writes nothing, waits for nothing.

    :raises Final: why it cannot make the role work, as `ensure_iam_role` raises it.
    """
    iam = RoleInIam(access, role, 0.0)
    if not role.manage:
        compare(iam)
        return ()
    found = iam.look()
    on_it = readable_policies(iam) if found else None
    require_mendable(iam, found, on_it)
    if found is None:
        return None
    own = _own_policy(iam, on_it)
    trusted = policies.with_trust(found.trust, role.domain, role.services) == found.trust
    lacks = () if trusted else (f"that {role.domain} may assume it",)
    return lacks if _is_allowed(role, own, on_it) else (*lacks, f"policy {role.policy_name}")


def delete_iam_role(access: AwsAccess, role: IamRole) -> Changed:
    """Take back what we gave the role for this blueprint; the role itself goes if it is ours and nothing else is on it.

    The domain stays in our trust statement as long as another blueprint's policy for it is on the role.

    :return: what was deleted, what was left, and why.
    :raises PermissionDenied: the caller may not read or delete what is ours.
    :raises InvalidConnection: the role is in another account than the caller.
    """
    iam = RoleInIam(access, role, WAIT_S)
    done: dict[str, None] = {}
    left: list[str] = []

    def attempt() -> None:
        left.clear()
        if (found := iam.look()) is None:
            return
        if iam.own_policy() is not None:
            iam.delete_policy()
            done[f"policy {role.policy_name}"] = None
        on_it = readable_policies(iam)
        left.extend(_what_keeps(iam, found, on_it))
        if not left:
            iam.delete()
            done["the role itself"] = None
        elif _withdraw_trust(iam, found, on_it):
            done[f"{role.domain} in its trust policy"] = None

    if not role.manage:
        return Changed("IAM role", "left", role.arn, ("the blueprint does not manage it",))
    try:
        persistently(attempt)
    except InUse as refusal:
        left.append(f"IAM keeps it ({refusal.evidence})")
    action: Action = "deleted" if done else "left" if left else "unchanged"
    reasons = [f"the role stays: {'; '.join(left)}"] if left else []
    return Changed("IAM role", action, role.arn, (*done, *reasons))


# ---- the trust policy


def _extend_trust(iam: RoleInIam, found: Found) -> bool:
    role = iam.role
    warn_of_loose_trust(role, found)
    wanted = policies.with_trust(found.trust, role.domain, role.services)
    if wanted == found.trust:
        return False
    _refuse_length([wanted], policies.TRUST_POLICY_LIMIT, f"the trust policy of role {role.name}")
    _write_trust(iam, found.trust, wanted, lambda trust: not trust_problems(trust, role))
    return True


def _withdraw_trust(iam: RoleInIam, found: Found, on_it: Policies | None) -> bool:
    wanted = policies.without_trust(found.trust, iam.role.domain)
    if wanted is None or not statements(wanted) or on_it is None:
        return False
    if any(is_policy_for(name, iam.role.domain) for name in _other_policies(iam.role, on_it)):
        return False  # another blueprint of this domain needs it
    _write_trust(iam, found.trust, wanted, lambda trust: policies.without_trust(trust, iam.role.domain) is None)
    return True


def _write_trust(iam: RoleInIam, before: Document, wanted: Document, holds: Callable[[Document], bool]) -> None:
    log.info("trust policy of role %s:\n%s", iam.role.name, policies.diff(before, wanted))
    iam.put_trust(wanted)

    def seen() -> Document | None:
        found = iam.look()
        # What was there before may be an old reading: IAM takes its time. Anything else is what is there now.
        return found.trust if found and not policies.same(found.trust, before) else None

    # The document carries no version: a writer that read it before us may still overwrite it, so the answer to our
    # write proves nothing, nor does one look.
    for pause_s in (0.0, SECOND_LOOK_S):
        time.sleep(pause_s)
        trust = iam.until(seen)
        if trust is None or not holds(trust):
            raise Conflict(
                f"another writer overwrote our trust policy of role {iam.role.name}",
                evidence=f"iam:GetRole -> {json.dumps(trust or before)}",
                fix="run again",
            )


# ---- the permission policy


def _put_policy(iam: RoleInIam, on_it: Policies | None) -> bool:
    role = iam.role
    own = _own_policy(iam, on_it)
    if _is_allowed(role, own, on_it):
        return False
    others = {name: document for name, document in (on_it or {}).items() if name != role.policy_name}
    inline = [document for name, document in others.items() if not name.startswith("arn:")]
    _refuse_length([*inline, role.permissions], policies.INLINE_POLICIES_LIMIT, f"inline policies of role {role.name}")
    told = policies.diff(own, role.permissions) if own else json.dumps(role.permissions, indent=2)
    log.info("%s policy %s of role %s:\n%s", "changed" if own else "new", role.policy_name, role.name, told)
    iam.put_policy()
    iam.until(lambda: policies.same(iam.own_policy() or {}, role.permissions) or None)
    return True


def _own_policy(iam: RoleInIam, on_it: Policies | None) -> Document | None:
    return on_it.get(iam.role.policy_name) if on_it else iam.own_policy()


def _is_allowed(role: IamRole, own: Document | None, on_it: Policies | None) -> bool:
    """Whether the role may all that the blueprint calls, by our policy or by what others have put on it."""
    if not statements(role.permissions) or (own is not None and policies.same(own, role.permissions)):
        return True
    # Another policy of ours goes with its blueprint, and would take with it what this one needs.
    foreign = {name: document for name, document in (on_it or {}).items() if not name.startswith(POLICY_PREFIX)}
    if own is not None or not allowed_by(foreign, role):
        return False
    log.info("role %s is allowed all that is needed by %s", role.name, ", ".join(foreign))
    return True


def _refuse_length(documents: list[Document], limit: int, what: str) -> None:
    if problem := policies.size_problem(documents, limit):
        raise RequestRefused(
            f"{what} would be longer than IAM takes",
            evidence=problem,
            fix="use a role of its own for this blueprint or domain (connector.credential.roleArn)",
        )


# ---- what keeps a role


def _what_keeps(iam: RoleInIam, found: Found, on_it: Policies | None) -> list[str]:
    """Return the reasons why the role is not ours to delete."""
    trust = policies.without_trust(found.trust, iam.role.domain) or found.trust
    reasons = [] if found.ours else ["we did not create it (it lacks our tag)"]
    if on_it is None:
        reasons.append("its policies cannot all be read")
    elif others := _other_policies(iam.role, on_it):
        reasons.append(f"it has other policies ({', '.join(others)})")
    if statements(trust):
        reasons.append("its trust policy lets others in")
    try:
        if profiles := iam.instance_profiles():
            reasons.append(f"it is in instance profile {', '.join(profiles)}")
    except PermissionDenied as refusal:
        reasons.append(f"whether an instance profile holds it may not be asked ({refusal.evidence})")
    return reasons


def _other_policies(role: IamRole, on_it: Policies) -> list[str]:
    return [name for name in on_it if name != role.policy_name]  # IAM may still list what has just been deleted
