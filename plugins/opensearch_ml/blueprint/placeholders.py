"""The three placeholders of a blueprint, and who fills them.

``${variables.x}``   ours: filled from target and domain before anything is sent; a value may hold others in turn
``${parameters.x}``  the server's: filled at create (URL, headers) and at predict (URL, body)
``${credential.x}``  the server's: filled in headers only, from what it stores encrypted

Source of the server's rules: connector blueprints, https://docs.opensearch.org/latest/ml-commons-plugin/remote-models/blueprints/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

KINDS = ("variables", "parameters", "credential")
# Neither part reaches over the next placeholder, or a text of many that are not closed would be read for ever. Nor does
# a name reach over a quote or a comma: with its brace missing it would take in what follows, which may be a secret.
PLACEHOLDER = re.compile(
    r"\$\{(?P<kind>variables|parameters|credential)\.(?P<name>[^}:{\"',\n]+)(?P<default>:-(?:(?!\$\{)[^}])*)?\}"
)


def names(text: str, kind: str) -> set[str]:
    """Return the names that `text` asks for under one kind, for instance ``{"model"}``."""
    return {match["name"] for match in PLACEHOLDER.finditer(text) if match["kind"] == kind}


def names_without_default(text: str, kind: str) -> set[str]:
    """Return the names under one kind that need a value from somewhere."""
    return {match["name"] for match in PLACEHOLDER.finditer(text) if match["kind"] == kind and not match["default"]}


def fill(text: str, kind: str, values: Mapping[str, Any]) -> str:
    """Fill the placeholders of one kind; those without a value and without a default stay.

    A placeholder that stands in a value is not filled in turn.
    """

    def value(match: re.Match[str]) -> str:
        if match["kind"] != kind:
            return match[0]
        if match["name"] in values:
            return as_text(values[match["name"]])
        return match["default"][2:] if match["default"] else match[0]

    return PLACEHOLDER.sub(value, text)


def fill_variables(tree: Any, variables: Mapping[str, Any], missing: Callable[[str, str], None]) -> Any:
    """Fill ``${variables.x}`` everywhere in a parsed document, its keys too.

    A string that is nothing but one placeholder takes the variable's own type, so that numbers stay numbers.

    :param missing: called with (path, name) for each variable that has neither a value nor a default.
    :return: a new tree; `tree` is left as it was.
    """

    def replaced(text: str, path: str) -> Any:
        if "${" not in text:  # as nearly all are, of the thousands in a fleet's files
            return text
        for name in sorted(names_without_default(text, "variables") - variables.keys()):
            missing(path, name)
        whole = PLACEHOLDER.fullmatch(text)
        if whole and whole["kind"] == "variables" and whole["name"] in variables:
            return variables[whole["name"]]
        return fill(text, "variables", variables)

    def walk(node: Any, path: str) -> Any:
        if isinstance(node, str):
            return replaced(node, path)
        if isinstance(node, Mapping):
            return {key(name, path): walk(value, join(path, name)) for name, value in node.items()}
        if isinstance(node, list):
            return [walk(value, join(path, index)) for index, value in enumerate(node)]
        return node

    def key(name: Any, path: str) -> Any:
        return as_text(replaced(name, join(path, name))) if isinstance(name, str) else name

    return walk(tree, "")


def expand(
    variables: Mapping[str, Any],
    tree: Any,
    missing: Callable[[str, str], None],
    cycle: Callable[[str, list[str]], None],
) -> dict[str, Any]:
    """Return the variables that `tree` uses, each with the variables in its own value filled.

    :param missing: called with (path, name) for each variable in a value that has neither a value nor a default.
    :param cycle: called with (path, names) for each variable that would need its own value.
    """
    expanded: dict[str, Any] = {}

    def add(name: str, above: list[str]) -> None:
        if name in above:
            cycle(join("variables", name), [*above[above.index(name) :], name])
            expanded[name] = variables[name]  # told once; whoever else needs it is not the cause
        if name in expanded or name not in variables:
            return
        for inner in sorted(names(as_text(variables[name]), "variables")):
            add(inner, [*above, name])
        if name not in expanded:
            own = {name: variables[name]}
            expanded.update(fill_variables(own, expanded, lambda path, inner: missing(join("variables", path), inner)))

    for name in sorted(names(as_text(tree), "variables")):
        add(name, [])
    return expanded


def strings(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted path, string) for every string value in a parsed document."""
    # One generator for all of the tree: each level of one in another hands on every text.
    left = [(path, tree)]
    while left:
        at, one = left.pop()
        if isinstance(one, str):
            yield at, one
        elif isinstance(one, (dict, Mapping)):
            left += [(join(at, key), value) for key, value in reversed([*one.items()])]
        elif isinstance(one, list):
            left += [(join(at, index), one[index]) for index in reversed(range(len(one)))]


def as_text(value: Any) -> str:
    """Return a value as it stands inside a text: a string as it is, anything else as compact JSON, like the server."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def join(path: str, part: Any) -> str:
    """Return the dotted path of something below `path`, which is empty at the top."""
    return f"{path}.{part}" if path else str(part)
