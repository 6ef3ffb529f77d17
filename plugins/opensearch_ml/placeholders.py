"""The three placeholders of a blueprint, and who fills them.

``${variables.x}``   ours: filled from the target before anything is sent
``${parameters.x}``  the server's: filled at create (URL, headers) and at predict (URL, body)
``${credential.x}``  the server's: filled in headers only, from what it stores encrypted

Source of the server's rules: connector blueprints, https://docs.opensearch.org/latest/ml-commons-plugin/remote-models/blueprints/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

PLACEHOLDER = re.compile(r"\$\{(?P<kind>variables|parameters|credential)\.(?P<name>[^}:]+)(?P<default>:-[^}]*)?\}")


def names(text: str, kind: str) -> set[str]:
    """Return the names that `text` asks for under one kind, for instance ``{"model"}``."""
    return {match["name"] for match in PLACEHOLDER.finditer(text) if match["kind"] == kind}


def fill(text: str, kind: str, values: Mapping[str, Any]) -> str:
    """Fill the placeholders of one kind; those without a value and without a default stay."""

    def value(match: re.Match[str]) -> str:
        if match["kind"] != kind:
            return match[0]
        if match["name"] in values:
            return str(values[match["name"]])
        return match["default"][2:] if match["default"] else match[0]

    return PLACEHOLDER.sub(value, text)


def fill_variables(tree: Any, variables: Mapping[str, Any], missing: Callable[[str, str], None]) -> Any:
    """Fill ``${variables.x}`` everywhere in a parsed document.

    A string that is nothing but one placeholder takes the variable's own type, so that numbers stay numbers.

    :param missing: called with (path, name) for each variable that has no value.
    :return: a new tree; `tree` is left as it was.
    """

    def replaced(text: str, path: str) -> Any:
        for name in sorted(names(text, "variables") - variables.keys()):
            missing(path, name)
        whole = PLACEHOLDER.fullmatch(text)
        if whole and whole["kind"] == "variables" and whole["name"] in variables:
            return variables[whole["name"]]
        return fill(text, "variables", variables)

    def walk(node: Any, path: str) -> Any:
        if isinstance(node, str):
            return replaced(node, path)
        if isinstance(node, Mapping):
            return {key: walk(value, f"{path}.{key}".lstrip(".")) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value, f"{path}.{index}".lstrip(".")) for index, value in enumerate(node)]
        return node

    return walk(tree, "")


def strings(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted path, string) for every string value in a parsed document."""
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from strings(value, f"{path}.{key}".lstrip("."))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from strings(value, f"{path}.{index}".lstrip("."))
