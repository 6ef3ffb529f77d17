"""Variables without a target: a blueprint's defaults, and for the rest values that only stand in for the real ones.

So a blueprint can be checked before any target is written; what really has no value on a target is told by `catalog`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from opensearch_ml.base import secret_patterns
from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.placeholders import as_text, names

BY_ENDING = {
    "region": "us-east-1",
    "account_id": "111122223333",
    "partition": "aws",
    "dns_suffix": "amazonaws.com",
    "domain_name": "domain",
    "dimension": 1024,
    "dimensions": 1024,
    "url": "https://stand-in.example.com",
    "host": "stand-in.example.com",
    "secret_name": "stand-in-AbCdEf",  # with what Secrets Manager adds
    "role_arn": "arn:aws:iam::111122223333:role/stand-in",
}
ANY = "4711"  # a field of numbers takes this text too, so that it does not make the document malformed


def stand_in(name: str) -> Any:
    """Return a value such as a variable of that name may have."""
    return next((value for end, value in BY_ENDING.items() if name == end or name.endswith(f"_{end}")), ANY)


def filled(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its variables filled, each from its default or else by a stand-in.

    A variable that needs its own value is filled by a stand-in too.
    """
    defaults = document.get("variables")
    variables = dict(defaults) if isinstance(defaults, Mapping) else {}
    written = {key: value for key, value in document.items() if key != "variables"}
    for name in sorted(names(as_text([written, variables]), "variables") - variables.keys()):
        variables[name] = stand_in(name)

    def cycle(_: str, circle: list[str]) -> None:
        variables[circle[0]] = stand_in(circle[0])

    for _ in range(len(variables) + 1):
        before = dict(variables)
        expanded = placeholders.expand(variables, written, lambda *_: None, cycle)
        if variables == before:
            break
    return dict(placeholders.fill_variables(written, expanded, lambda *_: None))


def undecided(
    document: Mapping[str, Any], variables: Mapping[str, Any], without_value: set[str]
) -> Callable[[str, str], bool]:
    """Return what tells of a finding whether it may be about a stand-in only.

    :param document: as written, without its section ``variables``.
    :param without_value: the variables that were stood in for.
    :return: a predicate of the finding's path and problem.
    """
    stood = set(without_value)
    while more := {name for name, value in variables.items() if names(as_text(value), "variables") & stood} - stood:
        stood |= more
    texts = dict(placeholders.strings(document))
    values = "|".join(re.escape(as_text(stand_in(name))) for name in without_value)
    of_a_value = re.compile(rf"(?<![\w-])(?:{values})(?![\w-])")

    def of_stand_in(path: str) -> bool:
        while path and path not in texts:
            path = path.rpartition(".")[0]
        return bool(names(texts.get(path, ""), "variables") & stood)

    urls = [path for path in texts if path.endswith("url") and of_stand_in(path)]

    def told(path: str, problem: str) -> bool:
        if secret_patterns.in_value(texts.get(path, "")):
            return False  # it stands beside the variable, whatever that will be
        return (
            of_stand_in(path)
            or of_a_value.search(problem) is not None
            or (bool(urls) and path.startswith("trusted_endpoints"))
        )

    return told
