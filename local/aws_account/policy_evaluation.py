"""What IAM policies say about one request: pure, on policy documents alone.

It is written from AWS's reference and shares nothing with `opensearch_ml`, which evaluates policies too: a stand-in
that used the product's code would repeat the product's mistakes instead of showing them.
Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements reference".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from local.aws_account.policy_conditions import are_met, matches

Document = Mapping[str, Any]
Context = Mapping[str, "str | Sequence[str]"]
Decision = Literal["allowed", "explicitDeny", "implicitDeny"]
Grant = Literal["allowed", "delegated", "explicitDeny", "implicitDeny"]

ASSUME_ROLE = "sts:AssumeRole"


@dataclass(frozen=True)
class Asked:
    """One request.

    :param resource: ARN, or ``*`` for an action that has none.
    :param context: condition keys; one value, or a list for a key with several.
    """

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Principal:
    """Who asks, with all policies that count for it.

    :param arn: of the user, the role, the session or the root user; a service's host name for a service.
    :param account_id: of twelve digits; empty for a service.
    :param role_arn: the role of a session, or the role itself.
    :param policies: identity-based policies: inline, attached, and those of a user's groups.
    :param limits: each must allow too what `policies` allow: permissions boundary, session policy.
    """

    arn: str
    account_id: str = ""
    role_arn: str | None = None
    policies: tuple[Document, ...] = ()
    limits: tuple[tuple[Document, ...], ...] = ()

    @property
    def is_service(self) -> bool:
        return not self.arn.startswith("arn:")

    @property
    def is_root(self) -> bool:
        return self.arn.endswith(":root")


@dataclass(frozen=True)
class Verdict:
    """The decision, and why it is no other in AWS's own words, as they end an error message; empty if allowed."""

    decision: Decision
    because: str = ""


def evaluate(principal: Principal, asked: Asked, resource_policy: Document | None = None) -> Verdict:
    """Decide on a request with everything that has a say.

    A role's trust policy is the resource policy of ``sts:AssumeRole``; unlike others, it must allow.
    """
    context = {**_own_context(principal), **asked.context}
    asked = Asked(asked.action, asked.resource, context)
    by_identity = "allowed" if principal.is_root else decide(principal.policies, asked)
    by_limits = [decide(limit, asked) for limit in principal.limits]
    by_resource = grant(resource_policy, asked, principal) if resource_policy else "implicitDeny"
    if by_identity == "explicitDeny":
        return Verdict("explicitDeny", "with an explicit deny in an identity-based policy")
    if "explicitDeny" in by_limits:
        return Verdict("explicitDeny", "with an explicit deny in a permissions boundary")
    if by_resource == "explicitDeny":
        return Verdict("explicitDeny", "with an explicit deny in a resource-based policy")
    identity_allows = by_identity == "allowed" and all(limit == "allowed" for limit in by_limits)
    owner = account_of(asked.resource)
    same_account = owner in ("", principal.account_id) or principal.is_service
    if same_account and by_resource == "allowed":
        return Verdict("allowed")
    resource_must_allow = asked.action == ASSUME_ROLE or not same_account
    if identity_allows and (not resource_must_allow or by_resource in ("allowed", "delegated")):
        return Verdict("allowed")
    if by_identity == "allowed" and not identity_allows:
        return Verdict("implicitDeny", f"because no permissions boundary allows the {asked.action} action")
    kind = "resource" if identity_allows else "identity"
    return Verdict("implicitDeny", f"because no {kind}-based policy allows the {asked.action} action")


def decide(documents: Iterable[Document], asked: Asked) -> Decision:
    """What identity-based policies say together: one deny outweighs every allow."""
    effects = {statement["Effect"] for statement in _statements(documents) if _concerns(statement, asked)}
    return "explicitDeny" if "Deny" in effects else "allowed" if "Allow" in effects else "implicitDeny"


def grant(document: Document, asked: Asked, principal: Principal) -> Grant:
    """What a resource-based policy says; ``delegated``: it allows the principal's account, which decides itself."""
    grants: set[str] = set()
    for statement in _statements([document]):
        named = _named(statement, principal)
        if named and _concerns(statement, asked):
            grants.add("explicitDeny" if statement["Effect"] == "Deny" else named)
    order: tuple[Grant, ...] = ("explicitDeny", "allowed", "delegated")
    return next((one for one in order if one in grants), "implicitDeny")


def condition_keys(documents: Iterable[Document]) -> set[str]:
    """The condition keys that these policies ask for, as they spell them."""
    return {
        key
        for statement in _statements(documents)
        for tests in (statement.get("Condition") or {}).values()
        for key in tests
    }


def account_of(arn: str) -> str:
    """The account in an ARN; empty where it has none, as a foundation model's."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def as_list(value: Any) -> list[Any]:
    """One or several, as IAM lets both be written."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _statements(documents: Iterable[Document]) -> Iterator[Document]:
    for document in documents:
        yield from as_list(document.get("Statement", []))


def _concerns(statement: Document, asked: Asked) -> bool:
    # An unmet condition makes a statement not apply. It is not a deny, neither in Allow nor in Deny.
    return (
        _element(statement, "Action", asked.action.lower(), fold=True)
        and _element(statement, "Resource", asked.resource, absent=True)  # trust policies have no Resource
        and are_met(statement.get("Condition") or {}, asked.context)
    )


def _element(statement: Document, name: str, value: str, *, fold: bool = False, absent: bool = False) -> bool:
    for key, wanted in ((name, True), (f"Not{name}", False)):
        if key in statement:
            patterns = [pattern.lower() if fold else pattern for pattern in as_list(statement[key])]
            return any(matches(value, pattern) for pattern in patterns) is wanted
    return absent


def _named(statement: Document, principal: Principal) -> Literal["allowed", "delegated"] | None:
    if "NotPrincipal" in statement:
        return None if _matches_principal(statement["NotPrincipal"], principal) else "allowed"
    return _matches_principal(statement.get("Principal"), principal)


def _matches_principal(element: Any, principal: Principal) -> Literal["allowed", "delegated"] | None:
    if element == "*":
        return "allowed"
    if not isinstance(element, Mapping):
        return None
    if principal.is_service:
        return "allowed" if principal.arn in as_list(element.get("Service", [])) else None
    named = set(as_list(element.get("AWS", [])))
    if named & {"*", principal.arn, principal.role_arn}:
        return "allowed"
    partition = principal.arn.split(":")[1]
    account = {principal.account_id, f"arn:{partition}:iam::{principal.account_id}:root"}
    return "delegated" if named & account else None


def _own_context(principal: Principal) -> dict[str, str]:
    """What AWS itself tells about the caller."""
    if principal.is_service:
        return {}
    kind = "AssumedRole" if principal.role_arn else "Account" if principal.is_root else "User"
    # A condition on aws:PrincipalArn is written with the role's ARN, not with a session's.
    context = {
        "aws:PrincipalArn": principal.role_arn or principal.arn,
        "aws:PrincipalAccount": principal.account_id,
        "aws:PrincipalType": kind,
    }
    return {**context, "aws:username": principal.arn.rpartition("/")[2]} if kind == "User" else context
