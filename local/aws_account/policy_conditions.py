"""The ``Condition`` block of a policy's statement.

All operators and all keys of a block must be met; of a key's values one is enough. A key that the request does not have
meets no operator, except a negated one, ``…IfExists``, ``Null`` and ``ForAllValues:``.
Source: IAM User Guide, "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

Test = Callable[[str, str], bool]  # the request's value, the policy's value


def are_met(block: Mapping[str, Mapping[str, Any]], context: Mapping[str, str | Sequence[str]]) -> bool:
    """Whether a request meets a ``Condition`` block; an operator that IAM does not have is never met.

    :param context: the request's condition keys; their case does not matter.
    """
    folded = {key.lower(): _texts(value) for key, value in context.items()}
    return all(
        _is_met(name, folded.get(key.lower()), _texts(wanted))
        for name, tests in block.items()
        for key, wanted in tests.items()
    )


def matches(value: str, pattern: str) -> bool:
    """Whether a text matches a policy's: ``*`` is any text, ``?`` any character, everything else means itself."""
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _is_met(name: str, found: list[str] | None, wanted: list[str]) -> bool:
    if name == "Null":
        return str(found is None).lower() in [value.lower() for value in wanted]
    quantifier, _, bare = name.rpartition(":")
    base = bare.removesuffix("IfExists")
    negated = base in _NEGATED
    test = _TESTS.get(_NEGATED.get(base, base))
    if test is None:
        return False
    if not found:
        return base != bare or quantifier == "ForAllValues" or (negated and not quantifier)

    def holds(value: str) -> bool:
        return any(_holds(test, value, one) for one in wanted) is not negated

    # Without a quantifier a key has one value; a negated operator with several must hold for each, as AWS has it.
    every = quantifier == "ForAllValues" or (negated and not quantifier)
    return all(map(holds, found)) if every else any(map(holds, found))


def _holds(test: Test, value: str, wanted: str) -> bool:
    try:
        return test(value, wanted)
    except ValueError:  # no number, date or address: it cannot be equal to one
        return False


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    # JSON's true is written "true" in a policy.
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]


def _arn_like(value: str, pattern: str) -> bool:
    # Each of an ARN's six parts is compared for itself: an asterisk does not reach over a colon.
    parts, patterns = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) and all(map(matches, parts, patterns))


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _in_network(value: str, network: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)


def _ordered(kind: str, convert: Callable[[str], float]) -> dict[str, Test]:
    def test(compare: Callable[[float, float], bool]) -> Test:
        return lambda value, wanted: compare(convert(value), convert(wanted))

    return {
        f"{kind}Equals": test(operator.eq),
        f"{kind}LessThan": test(operator.lt),
        f"{kind}LessThanEquals": test(operator.le),
        f"{kind}GreaterThan": test(operator.gt),
        f"{kind}GreaterThanEquals": test(operator.ge),
    }


def _same_but_for_case(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


_TESTS: dict[str, Test] = {
    "StringEquals": operator.eq,
    "StringEqualsIgnoreCase": _same_but_for_case,
    "StringLike": matches,
    "ArnEquals": _arn_like,  # AWS: "ArnEquals and ArnLike behave identically"
    "ArnLike": _arn_like,
    "Bool": _same_but_for_case,
    "BinaryEquals": operator.eq,
    "IpAddress": _in_network,
    **_ordered("Numeric", float),
    **_ordered("Date", _seconds),
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}
