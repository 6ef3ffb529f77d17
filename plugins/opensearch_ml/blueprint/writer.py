"""A blueprint's document as YAML that people read: sections apart, references on one line, scripts as blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from opensearch_ml.blueprint import loader

WIDTH = 110
TEXT = "tag:yaml.org,2002:str"
JSON_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
SECTIONS = ("variables", "connector", "inline", "iam_role", "model", "trusted_endpoints", "smoke_test")


def text_of(document: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """Return a document as the text of a file; read again it is the same document.

    :param comments: lines to begin with, without ``#``.
    """
    names = [name for name in SECTIONS if name in document]
    names += [name for name in document if name not in names]
    sections = [_dumped({name: document[name]}, _Dumper) for name in names]
    return "".join(f"# {line}\n" for line in comments) + "\n".join(sections)


class _Dumper(yaml.SafeDumper):
    """Lists below their key, no anchors, and lines as long as what they hold, unless it is folded."""

    tries_blocks = True

    def analyze_scalar(self, scalar: str) -> Any:
        analysis = super().analyze_scalar(scalar)
        # PyYAML makes no block of a script with spaces at the end of a line, though YAML keeps them.
        analysis.allow_block |= "\n" in scalar and _is_plain(scalar)
        return analysis

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def write_plain(self, text: str, split: bool = True) -> None:
        super().write_plain(text, False)

    def write_single_quoted(self, text: str, split: bool = True) -> None:
        super().write_single_quoted(text, False)

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        super().write_double_quoted(text, False)


class _Trial(_Dumper):
    tries_blocks = False


def _dumped(value: Any, dumper: type[_Dumper]) -> str:
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=WIDTH))


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if not _is_plain(text):
        style = '"'  # \x85 and the like are line breaks for YAML
    elif "\n" in text:
        style = "|"
    elif len(text) > WIDTH and " " in text:
        style = ">"
    elif JSON_NUMBER.fullmatch(text):
        style = "'"  # 1e5 is a text for YAML 1.1, and a number for whoever reads blueprints
    if style in ("|", ">") and dumper.tries_blocks and not _reads_back(text):
        style = '"'
    return dumper.represent_scalar(TEXT, text, style=style)


def _is_plain(text: str) -> bool:
    return all(one.isprintable() or one in "\n\t" for one in text)


def _reads_back(text: str) -> bool:
    # Some texts PyYAML writes wrongly as a block, for instance some that begin with spaces.
    document = {"outer": [{"inner": text}]}
    try:
        return bool(loader.parse(_dumped(document, _Trial)).content == document)
    except loader.Unreadable:
        return False


def _mapping(dumper: _Dumper, mapping: dict[Any, Any]) -> yaml.MappingNode:
    is_reference = mapping.keys() <= {"conn_id", "field", "variable"} and all(
        isinstance(value, str) for value in mapping.values()
    )
    return dumper.represent_mapping("tag:yaml.org,2002:map", mapping, flow_style=is_reference)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)
