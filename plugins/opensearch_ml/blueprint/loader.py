"""One YAML or JSON file, read strictly: what plain YAML would guess at or drop silently is a finding.

A finding tells its line and the parser's own words, never what the file says there, which may be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import ReaderError

from opensearch_ml.blueprint.findings import FIELD_LIKE
from opensearch_ml.blueprint.placeholders import join
from opensearch_ml.errors import Finding

MAX_CHARACTERS = 1_000_000  # of a file; the server takes 32 KB for a value
MAX_DEPTH = 100  # Python's own limit is met in the middle of somebody else's work
TOO_DEEP = "is nested too deeply"
MAX_VALUES = 100_000  # nine lines of aliases can stand for a thousand million values
YAML_TAG = "tag:yaml.org,2002:"
MERGE, STRING = YAML_TAG + "merge", YAML_TAG + "str"
READ_UNLIKE = re.compile("[\t\r\x85\u2028\u2029\ufeff]")  # libyaml takes more of these than PyYAML


class Unreadable(Exception):  # noqa: N818 (callers turn it into their own error)
    """A file that is no document; `finding` says why."""

    def __init__(self, problem: str, fix: str = "Correct the file.", *, line: int | None = None) -> None:
        super().__init__(problem)
        self.finding = Finding("", problem, fix, line)


@dataclass(frozen=True)
class Document:
    """What a file says, and where."""

    content: Any
    _lines: Callable[[], dict[str, int]] = field(repr=False)

    @cached_property
    def lines(self) -> dict[str, int]:
        """The line of every field, counted from 1, by the field's dotted path; only findings need it."""
        return self._lines()


def read(path: Path) -> Document:
    """Return the document in a file.

    :param path: JSON if it ends in ``.json``, else YAML.
    :raises Unreadable: with the one finding that keeps the file from being read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    return parse(text, is_json=path.suffix == ".json")


def parse(text: str, *, is_json: bool = False) -> Document:
    """Return the document that a text is.

    :param is_json: it must be valid JSON besides.
    :raises Unreadable: with the one finding that keeps the text from being read.
    """
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"is longer than {MAX_CHARACTERS} characters")
    return _json(text) if is_json else _yaml(text)


def _json(text: str) -> Document:
    line = None
    try:
        content = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        line, problem = error.lineno, f"is not valid JSON in column {error.colno} ({error.msg})"
    except RecursionError:
        problem = TOO_DEEP
    else:
        # JSON is YAML, except for these characters. The YAML reader finds lines, repeated keys and too many values.
        same = _yaml(READ_UNLIKE.sub(" ", text))
        return Document(content, lambda: {"": 1, **same.lines})
    # Raised here, because the failure holds the whole text.
    raise Unreadable(problem, line=line)


def _no_number(name: str) -> NoReturn:
    raise Unreadable(f"holds {name}, which is no number in JSON")


def _yaml(text: str) -> Document:
    line, problem = None, "is not valid YAML"
    try:
        node, content = _loaded(text)
    except yaml.MarkedYAMLError as error:
        if mark := error.problem_mark:
            line, problem = mark.line + 1, f"is not valid YAML in column {mark.column + 1}"
        problem += f" ({_words(error.problem or '')})"
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"holds a character that YAML does not allow (character {error.position + 1})"
    except ValueError:
        problem = "holds a value that is not of its tag"
    else:
        _refuse_too_many(content)
        return Document(content, lambda: dict(_yaml_lines(node)) if node else {})
    # Raised here, because the failure holds a piece of the text.
    raise Unreadable(problem, line=line)


def _loaded(text: str) -> tuple[yaml.Node | None, Any]:
    if _QuickLoader is not None and not READ_UNLIKE.search(text):
        try:
            return _document(_QuickLoader(text))
        except (yaml.YAMLError, ValueError):
            pass  # PyYAML's own words are what people know
    return _document(_Loader(text))


def _document(loader: _Loader | yaml.CSafeLoader) -> tuple[yaml.Node | None, Any]:
    loader.deep_construct = True  # only so does the constructor refuse an alias inside its own anchor
    node = loader.get_single_node()
    return node, None if node is None else loader.construct_document(node)


def _yaml_lines(node: yaml.Node, path: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = join(path, key.value)
            yield inner, key.start_mark.line + 1
            yield from _yaml_lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield join(path, index), item.start_mark.line + 1
            yield from _yaml_lines(item, join(path, index))


class _Strict(SafeConstructor):
    """YAML with JSON's types alone: ``NO`` is a text, and so are ``2024-02-01`` and ``16:9``."""

    _depth = 0

    def descend_resolver(self, parent: yaml.Node | None, index: Any) -> None:
        # Both composers call this before each node. Nesting without a limit would end the process in libyaml's.
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(TOO_DEEP)

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if all(key.tag == STRING for key, _ in node.value):
            texts = [key.value for key, _ in node.value]
            if len(set(texts)) == len(texts):
                return super().construct_mapping(node, deep)
        keys: dict[Any, int] = {}
        for key, _ in node.value:
            if key.tag != MERGE and isinstance(key, yaml.ScalarNode):
                _refuse_second(self.construct_object(key, deep=True), keys, key.start_mark.line + 1)
        return super().construct_mapping(node, deep)


class _Loader(_Strict, yaml.SafeLoader):
    """Reads with PyYAML alone."""


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


def _quick_loader() -> type[yaml.CSafeLoader] | None:
    if not yaml.__with_libyaml__:
        return None

    class QuickLoader(_Strict, yaml.CSafeLoader):
        """Reads with libyaml, in a fifth of the time; a fleet has a thousand files."""

        yaml_constructors = _Loader.yaml_constructors
        yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    return QuickLoader


_QuickLoader = _quick_loader()


def _refuse_second(key: Hashable, before: dict[Any, int], line: int) -> None:
    # Both formats silently keep the last of two.
    if key in before:
        name = f"key {key}" if FIELD_LIKE.fullmatch(str(key)) else "a key"
        raise Unreadable(f"{name} was given before, in line {before[key]}", "Remove one of them.", line=line)
    before[key] = line


def _words(problem: str) -> str:
    # Only the parser's own words: what it quotes may be a secret that was not (*secret is an alias, !secret a tag).
    def masked(quoted: re.Match[str]) -> str:
        own = len(quoted[0]) <= 3 or quoted[0].startswith(("'<", f"'{YAML_TAG}python/"))
        return quoted[0] if own else "'…'"

    return re.sub(r"'[^']*'", masked, problem)


def _refuse_too_many(content: Any) -> None:
    if sum(1 for _ in islice(_values(content), MAX_VALUES + 1)) > MAX_VALUES:
        raise Unreadable(f"stands for more than {MAX_VALUES} values")


def _values(tree: Any, depth: int = 0) -> Iterator[Any]:
    if depth > MAX_DEPTH:
        raise Unreadable(TOO_DEEP)
    yield tree
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for child in children:
        yield from _values(child, depth + 1)
