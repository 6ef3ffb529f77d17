"""The policy documents of a connector's role: made, compared, and merged without touching what others wrote.

A role's *trust policy* says who may assume it: Amazon OpenSearch Service, and only for the domains that it names.
A *permission policy* says what the role may do. The caller needs a third one, to pass the role and to reach the domain.
Source: "Amazon OpenSearch Service ML connectors for AWS services"; IAM's policy grammar and quotas.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from opensearch_ml.aws.policy_evaluation import (
    Document,
    Unmet,
    as_list,
    concerns,
    conditions,
    names_principal,
    statements,
    unmet,
)
from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint.placeholders import as_text
from opensearch_ml.iam.permissions import Permission

VERSION = "2012-10-17"
OUR_SID = "OpenSearchML"
ASSUME_ROLE = "sts:AssumeRole"
SOURCE_ACCOUNT, SOURCE_ARN = "aws:SourceAccount", "aws:SourceArn"
DOMAIN_ACTIONS = ("es:ESHttpDelete", "es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut")

# IAM's quotas, in characters without white space. Source: "IAM and AWS STS quotas".
TRUST_POLICY_LIMIT = 2_048  # the default; AWS raises it on request
INLINE_POLICIES_LIMIT = 10_240  # all inline policies of a role together

# Conditions that keep other accounts' domains out, and the values with which they do.
BINDING = {
    SOURCE_ACCOUNT.lower(): r"\d{12}",
    SOURCE_ARN.lower(): r"arn:[^:]+:[^:]+:[^:]*:\d{12}:.+",
    "aws:sourceorgid": r"o-\w+",
    "aws:sourceorgpaths": r"o-\w+/.*",
}
LISTS = ("Action", "NotAction", "Resource", "NotResource")  # what IAM lets stand with and without a list
PRINCIPALS = ("Principal", "NotPrincipal")

TrustKind = Literal["no_statement", "principal", "source_account", "source_arn", "explicit_deny", "other_condition"]


@dataclass(frozen=True, slots=True)
class TrustProblem:
    """Why the service may not assume a role for a domain.

    :param words: a sentence that names the service, the domain and what the policy has instead.
    """

    kind: TrustKind
    words: str

    def __str__(self) -> str:
        return self.words


def trust_policy(domain_arns: Iterable[DomainArn], services: Iterable[str]) -> dict[str, Any]:
    """Return the trust policy that lets these services assume a role for these domains, and for no others."""
    return {"Version": VERSION, "Statement": [_our_statement({}, domain_arns, services)]}


def permission_policy(
    permissions: Iterable[Permission], statements: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the policy that allows these permissions, and what the user's own statements say, verbatim.

    :return: its ``Statement`` is empty if there is nothing to allow; IAM takes no such document.
    """
    actions: dict[str, tuple[Permission, set[str]]] = {}
    for permission in permissions:
        like = as_text([sorted(permission.resources), permission.condition])
        actions.setdefault(like, (permission, set()))[1].add(permission.action)
    allowed = [{**first.statement(), "Action": _plain(names)} for first, names in actions.values()]
    return {"Version": VERSION, "Statement": [*allowed, *map(dict, statements)]}


def caller_policy(role_arn: str | None, domain_arn: DomainArn) -> dict[str, Any]:
    """Return what the caller needs to make a connector with a role: pass the role, and send requests to the domain.

    :param role_arn: None for a connector without one.
    """
    pass_role = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role_arn}
    reach = {"Effect": "Allow", "Action": list(DOMAIN_ACTIONS), "Resource": f"{domain_arn}/*"}
    return {"Version": VERSION, "Statement": [pass_role, reach] if role_arn else [reach]}


def same(one: Document, other: Document) -> bool:
    """Tell whether two documents say the same: order, single or list, and the case of actions do not matter."""
    return _canonical(one, fold=True) == _canonical(other, fold=True)


def diff(old: Document, new: Document) -> str:
    """Return what changes from one document to the other, line by line, in an order that hides what does not matter."""
    before, after = (
        json.dumps(_canonical(one, fold=False), indent=2, ensure_ascii=False).splitlines() for one in (old, new)
    )
    return "\n".join(difflib.unified_diff(before, after, "found", "wanted", lineterm=""))


def size_problem(documents: Iterable[Document], limit: int) -> str | None:
    """Tell that documents are longer than IAM takes, or None.

    :param limit: `TRUST_POLICY_LIMIT` for a trust policy, `INLINE_POLICIES_LIMIT` for all of a role's inline policies.
    """
    size = sum(len(as_text(document)) for document in documents)
    return f"{size} characters without white space, and IAM takes {limit}" if size > limit else None


def with_trust(document: Document, domain_arn: DomainArn, services: Sequence[str]) -> Document:
    """Return a trust policy that lets a domain in; the same one if it does already.

    Only our own statement (``Sid`` OpenSearchML) is extended or added. An explicit deny, and what others put into our
    statement, stay: ask `trust_problem` about the result.
    """
    problems = [problem for service in services if (problem := trust_problem(document, service, domain_arn))]
    if not problems or any(problem.kind == "explicit_deny" for problem in problems):
        return document
    own = _own(document)
    extended = _our_statement(own or {}, [domain_arn], services)
    others = [statement for statement in statements(document) if statement is not own]
    at = statements(document).index(own) if own else len(others)
    return {**document, "Statement": [*others[:at], extended, *others[at:]]}


def without_trust(document: Document, domain_arn: DomainArn) -> Document | None:
    """Return a trust policy without a domain in our statement, and without that statement if no domain is left in it.

    :return: None if our statement is not there or does not name the domain. The result may have no statement left, a
        document that IAM does not take: then the role was ours alone.
    """
    own = _own(document)
    named = _values(own, SOURCE_ARN) if own else []
    if own is None or str(domain_arn) not in named:
        return None
    left = [arn for arn in named if arn != str(domain_arn)]
    statement = [_restricted(own, left)] if left else []
    at = statements(document).index(own)
    others = [one for one in statements(document) if one is not own]
    return {**document, "Statement": [*others[:at], *statement, *others[at:]]}


def trust_problem(document: Document, service: str, domain_arn: DomainArn) -> TrustProblem | None:
    """Tell why a service may not assume a role with this trust policy for a domain, or None if it may."""
    who = f"{service} may not assume the role for {domain_arn}"
    context = _context(service, domain_arn)
    about = [statement for statement in statements(document) if concerns(statement, ASSUME_ROLE, "*")]
    for statement in about:
        if (
            statement.get("Effect") == "Deny"
            and names_principal(statement, {service})
            and not unmet(statement, context)
        ):
            return TrustProblem("explicit_deny", f"{who}: {_called(statement)} denies it")
    allowing = [statement for statement in about if statement.get("Effect") == "Allow"]
    if not allowing:
        return TrustProblem("no_statement", f"{who}: no statement of the trust policy allows {ASSUME_ROLE} to anybody")
    naming = [statement for statement in allowing if names_principal(statement, {service})]
    if not naming:
        principals = ", ".join(sorted({text for one in allowing for text in _principal_texts(one)}))
        return TrustProblem("principal", f"{who}: the trust policy names other principals only ({principals})")
    nearest = min(naming, key=lambda statement: len(unmet(statement, context)))
    failing = unmet(nearest, context)
    if not failing:
        return None
    words = "; ".join(f"{one}{_literal_wildcard(one)}" for one in failing)
    return TrustProblem(_kind(failing), f"{who}: {_called(nearest)} asks for {words}")


def trust_warning(document: Document, service: str) -> str | None:
    """Tell that a trust policy lets a service in for domains of any account, or None."""
    for statement in statements(document):
        if statement.get("Effect") != "Allow" or not concerns(statement, ASSUME_ROLE, "*"):
            continue
        if names_principal(statement, {service}) and not _bound(statement):
            return (
                f"{_called(statement)} of the trust policy lets {service} assume the role for every domain of every "
                f"account: bind it by {SOURCE_ACCOUNT} (StringEquals) and {SOURCE_ARN} (ArnLike)"
            )
    return None


def _our_statement(own: Mapping[str, Any], domain_arns: Iterable[DomainArn], services: Iterable[str]) -> dict[str, Any]:
    """Return our statement with these domains and services added to what it says already."""
    domains = list(domain_arns)
    condition = {operator: dict(keys) for operator, keys in (own.get("Condition") or {}).items()}
    added = {
        SOURCE_ACCOUNT: ("StringEquals", {domain.account_id for domain in domains}),
        SOURCE_ARN: ("ArnLike", set(map(str, domains))),
    }
    for key, (operator, values) in added.items():
        at, written = _place(own, key) or (operator, key)
        keys = condition.setdefault(at, {})
        keys[written] = _plain({*as_list(keys.get(written)), *values})
    named = own.get("Principal")
    principal = named if isinstance(named, Mapping) else {}
    trusted = {*as_list(principal.get("Service")), *services}
    return {
        "Sid": OUR_SID,
        "Effect": "Allow",
        "Principal": {**principal, "Service": _plain(trusted)},
        "Action": _plain({*as_list(own.get("Action")), ASSUME_ROLE}),
        "Condition": condition,
    }


def _restricted(own: Mapping[str, Any], arns: list[str]) -> dict[str, Any]:
    accounts = {arn.split(":")[4] for arn in arns if arn.count(":") > 4}
    condition = {operator: dict(keys) for operator, keys in own["Condition"].items()}
    for key, values in ((SOURCE_ARN, set(arns)), (SOURCE_ACCOUNT, accounts)):
        if values and (place := _place(own, key)):
            condition[place[0]][place[1]] = _plain(values)
    return {**own, "Condition": condition}


def _place(statement: Mapping[str, Any], key: str) -> tuple[str, str] | None:
    # The operator under which a condition key stands, and the key as it is written there.
    return next(((at, name) for at, name, _ in conditions(statement) if name.lower() == key.lower()), None)


def _values(statement: Mapping[str, Any], key: str) -> list[str]:
    return [value for _, name, values in conditions(statement) if name.lower() == key.lower() for value in values]


def _own(document: Document) -> Mapping[str, Any] | None:
    return next((statement for statement in statements(document) if statement.get("Sid") == OUR_SID), None)


def _bound(statement: Mapping[str, Any]) -> bool:
    return any(
        key.lower() in BINDING and all(re.fullmatch(BINDING[key.lower()], value) for value in values)
        for operator, key, values in conditions(statement)
        if "not" not in operator.lower() and operator.lower() != "null"
    )


def _context(service: str, domain_arn: DomainArn) -> dict[str, str]:
    return {
        SOURCE_ACCOUNT: domain_arn.account_id,
        SOURCE_ARN: str(domain_arn),
        "aws:PrincipalIsAWSService": "true",
        "aws:PrincipalServiceName": service,
    }


def _kind(failing: list[Unmet]) -> TrustKind:
    keys = {one.key.lower() for one in failing}
    if SOURCE_ACCOUNT.lower() in keys:
        return "source_account"
    return "source_arn" if SOURCE_ARN.lower() in keys else "other_condition"


def _literal_wildcard(condition: Unmet) -> str:
    literal = condition.operator.lower() == "stringequals" and any(set("*?") & set(one) for one in condition.wanted)
    return " — StringEquals takes a wildcard literally; use ArnLike" if literal else ""


def _called(statement: Mapping[str, Any]) -> str:
    return f"statement {statement['Sid']}" if statement.get("Sid") else "a statement"


def _principal_texts(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal")
    if not isinstance(principal, Mapping):
        return [f"all but {as_text(statement['NotPrincipal'])}"] if "NotPrincipal" in statement else [str(principal)]
    return [str(one) for value in principal.values() for one in as_list(value)]


def _canonical(document: Document, *, fold: bool) -> dict[str, Any]:
    found = {as_text(one): one for one in (_canonical_statement(one, fold=fold) for one in statements(document))}
    return {"Version": document.get("Version", "2008-10-17"), "Statement": [found[text] for text in sorted(found)]}


def _canonical_statement(statement: Mapping[str, Any], *, fold: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for element, value in sorted(statement.items()):
        if element in LISTS:
            lower = fold and element.endswith("Action")
            made[element] = sorted({one.lower() if lower else one for one in as_list(value)})
        elif element in PRINCIPALS:
            kinds = value if isinstance(value, Mapping) else {"AWS": value}
            made[element] = {kind: sorted({_account(one) for one in as_list(kinds[kind])}) for kind in sorted(kinds)}
        elif element != "Condition":
            made[element] = value
    condition: dict[str, dict[str, list[str]]] = {}
    for operator, key, values in sorted(conditions(statement)):
        name = key.lower() if fold else key
        condition.setdefault(operator, {})[name] = sorted(set(values))
    return {**made, **({"Condition": condition} if condition else {})}


def _account(principal: Any) -> str:
    # IAM stores an account's number as the ARN of its root.
    return re.sub(r"arn:[a-z-]+:iam::(\d{12}):root", r"\1", str(principal))


def _plain(values: Iterable[str]) -> str | list[str]:
    several = sorted(set(values))
    return several[0] if len(several) == 1 else several
