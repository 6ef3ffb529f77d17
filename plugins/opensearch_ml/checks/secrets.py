"""Literal secrets anywhere: who reads the file, or has ``ml_read_access``, reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from opensearch_ml.base import secret_patterns
from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.findings import FIELD_LIKE, LONGEST_NAME, closest
from opensearch_ml.checks import aws
from opensearch_ml.checks.credentials import REFERENCE_HINT, literals
from opensearch_ml.errors import Finding

HEADERS = re.compile(r"connector\.(actions\.\d+\.)?headers")
NAMED = re.compile(r"(connector\.parameters|smoke_test\.parameters|variables)(\..*)?")  # whose names are the author's
CREDENTIAL = re.compile(r"connector\.credential(\..*)?")  # `literals` judges what is written there
USER = re.compile(r"://[^/?#\s]*@")
BETWEEN = "\0"  # neither a part of a word nor white space, so that each text has its own beginning and end
PROBLEM = "holds a literal secret, or stands where one does; whoever reads the file or the connector can read it"
FIX = f"Put it under connector.credential as {REFERENCE_HINT} and write ${{credential.<key>}} in a header."


def findings(document: Mapping[str, Any], *, is_malformed: bool = False) -> Iterator[Finding]:
    """Yield every place of a blueprint's document that holds a secret, or something under a secret's name.

    :param is_malformed: any field may be a misspelt one, so all are judged by their names; and a key may be a secret
        in the wrong place, so no finding shows it.
    """
    connector = document.get("connector")
    if isinstance(connector, Mapping):
        credential = connector.get("credential")
        credential = credential if isinstance(credential, Mapping) else {}
        yield from literals(credential)
        # A secret may also stand where the name of a connection or a variable belongs.
        references = {key: value for key, value in credential.items() if isinstance(value, Mapping)}
        document = {**document, "connector": {**connector, "credential": references}}
    texts = list(placeholders.strings(document))
    whole = BETWEEN.join(text for _, text in texts)  # searched once: a fleet has a thousand files
    found = set(_named(document, "", is_malformed=is_malformed))
    found |= {path for path, text in texts if path.endswith("url") and secret_patterns.in_query(text)}
    if is_malformed:
        urls = [(path, text) for path, text in texts if "://" in text]
        found |= {path for path, text in urls if secret_patterns.in_query(text) or USER.search(text)}
    if secret_patterns.in_value(whole):
        found |= {path for path, text in texts if secret_patterns.in_value(text)}
    for path in sorted({_shown(path) for path in found} if is_malformed else found):
        yield Finding(path, PROBLEM, FIX)
    for path, text in texts if secret_patterns.is_removed(whole) else ():
        if secret_patterns.is_removed(text) and path not in found:
            yield Finding(
                _shown(path) if is_malformed else path,
                f"holds {secret_patterns.REMOVED}, which import wrote in the place of a literal secret",
                f"Write what belongs there; a secret goes under connector.credential as {REFERENCE_HINT}.",
            )


def _shown(path: str) -> str:
    """Return a path as far as its keys are surely no secret themselves."""
    known = takewhile(lambda part: part.isdigit() or FIELD_LIKE.fullmatch(part), path.split("."))
    return ".".join(known)


def _named(tree: Any, path: str, *, is_malformed: bool) -> Iterator[str]:
    """Yield the paths of values whose names say that they are secrets."""
    if isinstance(tree, Mapping):
        meant = closest(path.rpartition(".")[2][:LONGEST_NAME], ("headers", "credential")) if is_malformed else None
        is_own = CREDENTIAL.fullmatch(path)
        is_header = HEADERS.fullmatch(path) or meant == "headers"
        is_credential = meant == "credential" and not is_own
        is_named = NAMED.fullmatch(path) or (is_malformed and not is_own)
        for name, value in tree.items():
            inner = placeholders.join(path, name)
            if isinstance(value, (Mapping, list)):
                yield from _named(value, inner, is_malformed=is_malformed)
            elif not (value is None or placeholders.names(str(value), "credential")) and (
                (is_header and secret_patterns.is_header(str(name)))
                or (is_credential and aws.literal_problem(str(name), str(value)))
                or (is_named and value and not isinstance(value, bool) and secret_patterns.is_parameter(str(name)))
            ):
                yield inner
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _named(value, placeholders.join(path, index), is_malformed=is_malformed)
