"""Literal secrets anywhere: who reads the file, or has ``ml_read_access``, reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from opensearch_ml.base import secret_patterns
from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.findings import FIELD_LIKE
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.checks.credentials import REFERENCE_HINT
from opensearch_ml.errors import Finding

BETWEEN = "\0"  # neither a part of a word nor white space, so that each text has its own beginning and end
PROBLEM = "holds a literal secret, or stands where one does; whoever reads the file or the connector can read it"
FIX = f"Put it under connector.credential as {REFERENCE_HINT} and write ${{credential.<key>}} in a header."


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield every place that holds a secret, or something under a secret's name."""
    connector = blueprint.connector
    written = blueprint.model_dump(by_alias=True, exclude_none=True, exclude={"connector": {"credential"}})
    # A secret that was pasted where a connection's or a variable's name belongs.
    written["connector"]["credential"] = {
        key: one.model_dump(exclude_none=True) for key, one in connector.references.items()
    }
    texts = list(placeholders.strings(written))
    whole = BETWEEN.join(text for _, text in texts)  # searched once: a fleet has a thousand files
    found = {path for path, text in texts if path.endswith("url") and secret_patterns.in_query(text)}
    if secret_patterns.in_value(whole):
        found |= {path for path, text in texts if secret_patterns.in_value(text)}
    for path, headers in connector.headers_by_path:
        found |= {
            f"{path}.{name}"
            for name, value in headers.items()
            if secret_patterns.is_header(name) and not placeholders.names(value, "credential")
        }
    found |= set(_named(connector.parameters, "connector.parameters"))
    found |= set(_named(blueprint.variables, "variables"))
    if blueprint.smoke_test:
        found |= set(_named(blueprint.smoke_test.parameters, "smoke_test.parameters"))
    for path in sorted(found):
        yield Finding(path, PROBLEM, FIX)
    for path, text in texts if secret_patterns.is_removed(whole) else ():
        if secret_patterns.is_removed(text) and path not in found:
            yield Finding(
                path,
                f"holds {secret_patterns.REMOVED}, which import wrote in the place of a literal secret",
                f"Write what belongs there; a secret goes under connector.credential as {REFERENCE_HINT}.",
            )


def of_unread(values: Iterable[tuple[str, Any]]) -> Iterator[Finding]:
    """Yield the secrets in what is no part of a blueprint, because it is unknown or malformed.

    :param values: each with its path.
    """
    found = {
        _shown(inner)
        for path, value in values
        for inner in (
            *(one for one, text in placeholders.strings(value, path) if secret_patterns.in_value(text)),
            *_named({path.rpartition(".")[2]: value}, path.rpartition(".")[0]),
        )
        if not re.fullmatch(r"connector\.credential(\..*)?", inner)  # the finding on its form says what may be there
    }
    for path in sorted(found):
        yield Finding(path, PROBLEM, FIX)


def _shown(path: str) -> str:
    """Return a path as far as its keys are surely no secret themselves."""
    known = takewhile(lambda part: part.isdigit() or FIELD_LIKE.fullmatch(part), path.split("."))
    return ".".join(known)


def _named(tree: Any, path: str) -> Iterator[str]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            inner = placeholders.join(path, name)
            scalar = value and not isinstance(value, (Mapping, list, bool))
            if scalar and secret_patterns.is_parameter(str(name)) and not placeholders.names(str(value), "credential"):
                yield inner
            yield from _named(value, inner)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _named(value, placeholders.join(path, index))
