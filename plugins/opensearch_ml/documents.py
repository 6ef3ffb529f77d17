"""One YAML or JSON file, read strictly: what plain YAML would guess at or drop silently is a finding.

A finding tells line and column and the parser's own words, never what the file says there, which may be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from opensearch_ml.errors import Finding
from opensearch_ml.findings import FIELD_LIKE

MAX_VALUES = 100_000  # nine lines of aliases can stand for a thousand million values
YAML_TAG = "tag:yaml.org,2002:"
MERGE = YAML_TAG + "merge"


class Unreadable(Exception):  # noqa: N818 (callers turn it into their own error)
    """A file that is no document; `finding` says why."""

    def __init__(self, where: str, problem: str, fix: str = "Correct the file.") -> None:
        super().__init__(problem)
        self.finding = Finding(where, problem, fix)


def read(path: Path) -> Any:
    """Return the document in a file.

    :param path: JSON if it ends in ``.json``, else YAML.
    :raises Unreadable: with the one finding that keeps the file from being read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("file", "is not UTF-8 text") from None
    except OSError as error:
        raise Unreadable("file", f"cannot be read ({error.strerror})") from None
    try:
        # JSON is YAML, but for tabs and for characters escaped as two surrogates.
        document = _json(text) if path.suffix == ".json" else _yaml(text)
        values = sum(1 for _ in islice(_values(document), MAX_VALUES + 1))
    except RecursionError:
        raise Unreadable("file", "is nested too deeply") from None
    if values > MAX_VALUES:
        raise Unreadable("file", f"stands for more than {MAX_VALUES} values")
    return document


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        where, problem = f"line {error.lineno}, column {error.colno}", f"is not valid JSON ({error.msg})"
    # Raised here, because the failure holds the whole text.
    raise Unreadable(where, problem)


def _yaml(text: str) -> Any:
    where, problem = "file", "is not valid YAML"
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        if error.problem_mark:
            where = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
        problem = f"is not valid YAML ({_words(error.problem or '')})"
    except ReaderError as error:
        problem = f"holds a character that YAML does not allow (character {error.position + 1})"
    except ValueError:
        problem = "holds a value that is not of its tag"
    # Raised here, because the failure holds a piece of the text.
    raise Unreadable(where, problem)


class _Loader(yaml.SafeLoader):
    """YAML with JSON's types alone: ``NO`` is a text, and so are ``2024-02-01`` and ``16:9``."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.deep_construct = True  # only so does the constructor refuse an alias inside its own anchor

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        _unique([(self.construct_object(key, deep=True), None) for key, _ in node.value if key.tag != MERGE], node)
        return super().construct_mapping(node, deep)


_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(YAML_TAG) in ("null", "bool", "int", "float", "str", "seq", "map")
}
_Loader.yaml_implicit_resolvers = {}
for _type, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(YAML_TAG + _type, re.compile(rf"(?:{_pattern})\Z"), _first)


def _unique(pairs: list[tuple[Any, Any]], node: yaml.MappingNode | None = None) -> dict[Any, Any]:
    # Both formats silently keep the last of two.
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            name = f"key {key}" if FIELD_LIKE.fullmatch(str(key)) else "a key"
            where = f"line {node.start_mark.line + 1}" if node else "file"
            raise Unreadable(where, f"{name} is given {keys.count(key)} times", "Remove all but one.")
    return dict(pairs) if node is None else {}


def _words(problem: str) -> str:
    # Only the parser's own words: what it quotes may be a secret that was not (*secret is an alias, !secret a tag).
    def masked(quoted: re.Match[str]) -> str:
        own = len(quoted[0]) <= 3 or quoted[0].startswith(("'<", f"'{YAML_TAG}python/"))
        return quoted[0] if own else "'…'"

    return re.sub(r"'[^']*'", masked, problem)


def _values(tree: Any) -> Iterator[Any]:
    yield tree
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for child in children:
        yield from _values(child)
