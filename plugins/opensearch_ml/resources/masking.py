"""What a difference shows of a value: never a secret, also not one that somebody else wrote into a connector.

Our own definitions hold none, their files are checked for it. A connector made by hand may have one in a header, a
parameter or a URL, where every user with ``ml_read_access`` can read it; a plan is for even more people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from opensearch_ml.base import secret_patterns
from opensearch_ml.blueprint import placeholders

HIDDEN = "***"
REFERENCE = re.compile(r"(?:[A-Za-z]+ )?\$\{(?:credential|parameters)\.[^}]+\}")  # what stands for a secret is none
FINGERPRINT_SHOWN = 6


def value(path: str, told: Any) -> str | None:
    """Return a value as a plan shows it; None stays None.

    :param path: dotted, such as ``actions.0.headers.Authorization``.
    """
    return None if told is None else placeholders.as_text(_masked(path.split("."), told))


def mark(known: str | None) -> str:
    """Return what stands for a credential: enough to tell two apart, too little to try guesses against.

    :param known: the mark that the connector carries, see `source.NextCredential.mark`.
    """
    if not known:
        return "not known"
    kind, _, rest = known.partition(":")
    if kind.startswith("scrypt"):
        return f"fp:{rest.rpartition(':')[2][:FINGERPRINT_SHOWN]}…"
    return f"{kind if rest and kind.isidentifier() else 'mark'}:…{known[-4:]}"


def _masked(path: list[str], told: Any) -> Any:
    if isinstance(told, Mapping):
        return {str(key): _masked([*path, str(key)], one) for key, one in told.items()}
    if isinstance(told, list):
        return [_masked([*path, str(index)], one) for index, one in enumerate(told)]
    if not isinstance(told, str):
        return told
    if _names_a_secret(path) and not REFERENCE.fullmatch(told):
        return HIDDEN
    return secret_patterns.SHAPES.sub(HIDDEN, secret_patterns.QUERY.sub(_without_value, told))


def _names_a_secret(path: list[str]) -> bool:
    name, above = path[-1], path[-2] if len(path) > 1 else ""
    return (above == "headers" and secret_patterns.is_header(name)) or secret_patterns.is_parameter(name)


def _without_value(part: re.Match[str]) -> str:
    return f"{part[0].partition('=')[0]}={HIDDEN}"
