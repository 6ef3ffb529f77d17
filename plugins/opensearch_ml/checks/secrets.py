"""Literal secrets anywhere: who reads the file, or has ``ml_read_access``, reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from opensearch_ml import literal_secrets, placeholders
from opensearch_ml.checks.credentials import REFERENCE_HINT
from opensearch_ml.errors import Finding

if TYPE_CHECKING:
    from opensearch_ml.blueprint import Blueprint


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield every place that holds a secret, or something under a secret's name."""
    connector = blueprint.connector
    written = blueprint.model_dump(by_alias=True, exclude={"connector": {"credential"}})
    # A secret that was pasted where a connection's or a variable's name belongs.
    written["connector"]["credential"] = {key: one.model_dump() for key, one in connector.references.items()}
    found = {
        path
        for path, text in placeholders.strings(written)
        if literal_secrets.in_value(text) or (path.endswith("url") and literal_secrets.in_query(text))
    }
    for path, headers in connector.headers_by_path:
        found |= {
            f"{path}.{name}"
            for name, value in headers.items()
            if literal_secrets.is_header(name) and not placeholders.names(value, "credential")
        }
    found |= set(_named(connector.parameters, "connector.parameters"))
    found |= set(_named(blueprint.variables, "variables"))
    if blueprint.smoke_test:
        found |= set(_named(blueprint.smoke_test.parameters, "smoke_test.parameters"))
    for path in sorted(found):
        yield Finding(
            path,
            "holds a literal secret, or stands where one does; whoever reads the file or the connector can read it",
            f"Put it under connector.credential as {REFERENCE_HINT} and write ${{credential.<key>}} in a header.",
        )


def _named(tree: Any, path: str) -> Iterator[str]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            inner = placeholders.join(path, name)
            scalar = value and not isinstance(value, (Mapping, list))
            if scalar and literal_secrets.is_parameter(str(name)) and not placeholders.names(str(value), "credential"):
                yield inner
            yield from _named(value, inner)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _named(value, placeholders.join(path, index))
