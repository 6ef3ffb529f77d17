"""What IAM would decide: policy documents, an action, a resource and a request's context in, the decision out.

An unmet condition makes a statement not apply; it never denies. An unknown operator counts as not met.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from opensearch_ml.blueprint.placeholders import as_text

Decision = Literal["allowed", "explicitDeny", "implicitDeny"]
Document = Mapping[str, Any]
Context = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unmet:
    """One condition that a request does not meet.

    :param found: what the request has for the key; empty if it has none.
    """

    operator: str
    key: str
    wanted: tuple[str, ...]
    found: tuple[str, ...]

    def __str__(self) -> str:
        found = " or ".join(self.found) or "none"
        return f"{self.operator} {self.key} {' or '.join(self.wanted)} (the request has {found})"


def decide(
    documents: Iterable[Document],
    action: str,
    resource: str,
    context: Context | None = None,
    *,
    principals: Collection[str] | None = None,
) -> Decision:
    """Return what IAM decides on one request by these policies.

    :param documents: decoded policy documents; their ``Statement`` is a mapping or a list.
    :param action: for instance ``sagemaker:InvokeEndpoint``; its case does not matter.
    :param resource: the ARN, or ``*`` for actions without one.
    :param context: the request's condition keys; a value is a text or a list of texts.
    :param principals: for policies of a resource or a role's trust: all that ``Principal`` may call the caller, such as
        a role's ARN, its session's ARN, its account's root ARN, or a service. None: a statement's principal is ignored.
    """
    applying = [
        statement
        for document in documents
        for statement in statements(document)
        if concerns(statement, action, resource)
        and (principals is None or names_principal(statement, principals))
        and not unmet(statement, context or {})
    ]
    if any(statement.get("Effect") == "Deny" for statement in applying):
        return "explicitDeny"
    return "allowed" if any(statement.get("Effect") == "Allow" for statement in applying) else "implicitDeny"


def statements(document: Document) -> list[Mapping[str, Any]]:
    """Return a document's statements; one alone may stand there without a list."""
    return [statement for statement in as_list(document.get("Statement")) if isinstance(statement, Mapping)]


def concerns(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    """Tell whether a statement is about an action on a resource; a trust policy's names no resource."""
    return _named(statement, "Action", action, ignore_case=True) and (
        _named(statement, "Resource", resource, ignore_case=False) or not statement.keys() & {"Resource", "NotResource"}
    )


def names_principal(statement: Mapping[str, Any], principals: Collection[str]) -> bool:
    """Tell whether a statement's principal is one of these; their kinds (AWS, Service, …) do not overlap."""
    if "NotPrincipal" in statement:
        return not _is_principal(statement["NotPrincipal"], principals)
    return _is_principal(statement.get("Principal"), principals)


def unmet(statement: Mapping[str, Any], context: Context) -> list[Unmet]:
    """Return the conditions of a statement that a request does not meet; a condition's keys have any case."""
    have = {key.lower(): tuple(map(as_text, as_list(value))) for key, value in context.items()}
    return [
        Unmet(operator, key, wanted, have.get(key.lower(), ()))
        for operator, key, wanted in conditions(statement)
        if not _met(operator, wanted, have.get(key.lower()))
    ]


def conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield a statement's conditions as (operator, key, values)."""
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, wanted in keys.items():
            yield operator, key, tuple(map(as_text, as_list(wanted)))


def as_list(value: Any) -> list[Any]:
    """Return what a policy may write with and without a list as a list; None as an empty one."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def fits(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Tell whether a text fits a pattern with ``*`` and ``?``, and no other wildcards."""
    return _wildcards(pattern, ignore_case).fullmatch(text) is not None


def _named(statement: Mapping[str, Any], element: str, text: str, *, ignore_case: bool) -> bool:
    if f"Not{element}" in statement:
        return not any(fits(one, text, ignore_case=ignore_case) for one in as_list(statement[f"Not{element}"]))
    return any(fits(one, text, ignore_case=ignore_case) for one in as_list(statement.get(element)))


def _is_principal(element: Any, principals: Collection[str]) -> bool:
    if element == "*":
        return True
    named = element.items() if isinstance(element, Mapping) else ()
    # A wildcard stands for everybody or for nobody: as a part of an ARN it means itself.
    return any(one in principals or (kind == "AWS" and one == "*") for kind, value in named for one in as_list(value))


def _met(operator: str, wanted: tuple[str, ...], found: tuple[str, ...] | None) -> bool:
    name = operator.lower()
    if name == "null":
        return any((found is None) == (one.lower() == "true") for one in wanted)
    if name.endswith("ifexists"):
        if found is None:
            return True
        name = name[: -len("ifexists")]
    negated = name.replace("not", "", 1) if "not" in name else None
    compare = _OPERATORS.get(negated or name)
    if compare is None:
        return False
    if found is None:
        return negated is not None
    return any(compare(one, have) for one in wanted for have in found) != (negated is not None)


def _arn_fits(pattern: str, arn: str) -> bool:
    # Each of the six parts is compared by itself, so that no wildcard reaches over a colon into the next.
    wanted, found = pattern.split(":", 5), arn.split(":", 5)
    return pattern == "*" or (len(wanted) == len(found) == 6 and all(map(fits, wanted, found)))


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "stringequals": lambda wanted, found: wanted == found,
    "stringequalsignorecase": lambda wanted, found: wanted.lower() == found.lower(),
    "stringlike": fits,
    "arnequals": _arn_fits,
    "arnlike": _arn_fits,
    "bool": lambda wanted, found: wanted.lower() == found.lower(),
}


@lru_cache(maxsize=4096)
def _wildcards(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    literal = {"*": ".*", "?": "."}
    return re.compile("".join(literal.get(c, re.escape(c)) for c in pattern), re.DOTALL | ignore_case * re.IGNORECASE)
