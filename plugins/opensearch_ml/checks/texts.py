"""Texts: what the server can store and take, what is visible, and placeholders that are almost some."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.findings import closest
from opensearch_ml.blueprint.models import Blueprint, Connector
from opensearch_ml.blueprint.placeholders import as_text
from opensearch_ml.errors import Finding

# From 3.1 on the server refuses names and descriptions with anything else. Source: ml-commons 3.6 StringUtils.
PLAIN_TEXT = re.compile(r"""[\w \t\n\r.,!?():@\-/'"]*""")
MAX_VALUE_BYTES = 32_000  # Lucene takes 32,766 bytes, of which the server needs some for the field's path
ALMOST_PLACEHOLDER = re.compile(r"\$\{(?P<kind>\s*\w+\s*)\.(?P<name>[^}:{]*)")
# A name with a quote, a comma or a line break in it is what follows a name whose brace is missing.
UNCLOSED = re.compile(
    r"\$\{(?:(?P<kind>\w+)\.)?(?:[^{}\"',\n:]*(?:[{\"',\n]|\Z)|[^{}]*?:-(?:(?!\$\{)[^}])*(?:\$\{|\Z))"
)
BODY = re.compile(r"\.request_body$")
# They turn the direction of what is read, so that a reviewer sees another text than the machine.
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Joiners are letters' own in some scripts, so they may stand in what is meant for the model.
UNSEEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")
PROSE = re.compile(r"connector\.(parameters|actions\.\d+\.(request_body|p\w+_process_function))\b.*|smoke_test\b.*")


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield what is wrong with names, descriptions and any other text."""
    plain = list(_not_plain(blueprint))
    yield from plain
    yield from _too_long(blueprint.connector)
    written = blueprint.model_dump(by_alias=True)
    whole = as_text(written)  # searched once, because a fleet has a thousand files, and hardly one that holds any
    hidden = _unseen(written, "") if TURNING.search(whole) or UNSEEN.search(whole) else ()
    for path in dict.fromkeys(hidden):
        if path not in {finding.path for finding in plain}:
            yield Finding(
                path,
                "holds a character that is not seen (zero width, or turning the reading direction)",
                "Write it again by hand; copied text may carry such characters.",
            )
    for path, text in (*templates(blueprint.connector), *_asked(blueprint)):
        if "${" not in text:
            continue
        almost = list(_almost_placeholders(path, text))
        yield from almost or _unclosed(path, text)


def templates(connector: Connector) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of everything that the server fills placeholders in."""
    for index, action in enumerate(connector.actions):
        parts = action.model_dump(include={"url", "headers", "request_body"}, exclude_none=True)
        yield from placeholders.strings(parts, f"connector.actions.{index}")
    yield from placeholders.strings(connector.parameters, "connector.parameters")
    yield from placeholders.strings({"url": connector.url, "headers": connector.headers}, "connector")


def _not_plain(blueprint: Blueprint) -> Iterator[Finding]:
    model = blueprint.model
    for part, path in ((blueprint.connector, "connector"), (model, "model"), (model.group, "model.group")):
        for field in ("name", "description"):
            if not PLAIN_TEXT.fullmatch(getattr(part, field, None) or ""):
                yield Finding(
                    f"{path}.{field}",
                    "holds a character that the server refuses from 3.1 on",
                    "Use letters, digits, spaces and . , ! ? ( ) : @ - _ ' / \" only.",
                )


def _too_long(connector: Connector) -> Iterator[Finding]:
    stored = connector.model_dump(include={"actions"}, exclude_none=True)
    stored["parameters"] = {name: as_text(value) for name, value in connector.parameters.items()}
    for path, text in placeholders.strings(stored, "connector"):
        if len(text) > MAX_VALUE_BYTES // 4 and len(text.encode(errors="replace")) > MAX_VALUE_BYTES:
            yield Finding(path, f"is longer than the {MAX_VALUE_BYTES} bytes that the server can store", "Shorten it.")


def _unseen(tree: Any, path: str) -> Iterator[str]:
    if isinstance(tree, str):
        if TURNING.search(tree) or (UNSEEN.search(tree) and not PROSE.fullmatch(path)):
            yield path
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            if TURNING.search(str(key)) or UNSEEN.search(str(key)):
                yield path
            yield from _unseen(value, placeholders.join(path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _unseen(value, placeholders.join(path, index))


def _asked(blueprint: Blueprint) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of what a predict fills into the body, and the server fills in turn."""
    if blueprint.smoke_test:
        yield from placeholders.strings(blueprint.smoke_test.parameters, "smoke_test.parameters")


def _unclosed(path: str, text: str) -> Iterator[Finding]:
    for match in UNCLOSED.finditer(text):
        # In what is meant for a model, anything else between ${ and the text's end may be meant as it is.
        if closest(match["kind"] or "", placeholders.KINDS) or not PROSE.fullmatch(path) or BODY.search(path):
            shown = f"${{{match['kind']}.…" if match["kind"] in placeholders.KINDS else "${"
            yield Finding(
                path, f"holds {shown} without its closing brace, which nobody fills", "Write } after the name."
            )
            return


def _almost_placeholders(path: str, text: str) -> Iterator[Finding]:
    for match in ALMOST_PLACEHOLDER.finditer(text):
        if match["kind"] in placeholders.KINDS and match["name"] == match["name"].strip():
            continue
        kind = closest(match["kind"].strip(), placeholders.KINDS)
        if kind:
            yield Finding(
                path,
                f"holds ${{{match['kind']}.…}}, which nobody fills as it is written",
                f"Write ${{{kind}.…}}, without spaces.",
            )
            return  # one shows what is wrong with the others
