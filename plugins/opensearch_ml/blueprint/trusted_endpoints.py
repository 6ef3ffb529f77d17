"""Trusted endpoints: the regular expressions that decide which URLs a cluster may call.

The cluster matches the whole URL with Java's ``Matcher.matches()`` (setting
``plugins.ml_commons.trusted_connector_endpoints_regex``). The setting is one list that everybody shares, and it has no
room for an owner; so what we add carries our name as a named group, which the match ignores:

    ^(?<opensearchml>https://api\\.openai\\.com/v1/embeddings)$

That label is how a later run knows which entries it may remove.

Java and Python read many patterns differently (``[a[b]]``, ``\\Q…\\E``, ``&&``), and some run for ever. So a pattern is
judged here only if it is made of what both read alike; any other covers nothing, and is refused in a blueprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from opensearch_ml.blueprint import placeholders

SETTING = "plugins.ml_commons.trusted_connector_endpoints_regex"
LABEL = "(?<opensearchml>"
SPECIAL = re.compile(r"([\\.\[\]{}()*+?^$|])")
ANY_SEGMENT = "[^/?#]+"  # what a runtime parameter may become: never another path, query or host
MAX_QUANTIFIERS = 3  # each further one multiplies the steps of a match that fails by the URL's length

# What Java and Python read alike, piece by piece.
_CLASS = r"\[\^?(?:(?!&&|--|~~|\|\|)[^\\\[\]^]|\\[^A-Za-z0-9]|\\[dws])+\]"
_ATOM = rf"(?:[^\\\[\](){{}}*+?|.^$]|\.|\\[^A-Za-z0-9]|\\[dDwWsS]|{_CLASS})"
_QUANTIFIER = r"(?:[*+?]|\{\d{1,4}(?:,\d{0,4})?\})\??(?![*+?{])"
_PIECE = rf"{_ATOM}(?:{_QUANTIFIER})?"
# A group may be optional but not be repeated: (a+)+ is how a match comes to run for ever.
_READ_ALIKE = re.compile(rf"(?:{_PIECE}|\((?:\?:|\?<[A-Za-z][A-Za-z0-9]*>)?|\)\??(?![*+?{{])|[|^$])*")

_HOST = r"(?:(?:[A-Za-z0-9-]|\\[.-])+|\\\[[0-9A-Fa-f:.]+\\\])(?::\d{1,5})?"
# The slash after the host must be there, or .* behind it would take in https://api.openai.com.evil.example
_ORIGIN = re.compile(rf"https?://{_HOST}(?:\Z|(?=(?:\\?/|\\\?)(?![?*{{])))")
_PATH = re.compile(rf"(?:{_PIECE})*")

_AUTHORITY = re.compile(  # what java.net.URI takes for a host; with any other, every predict fails
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?"
    r"|\d{1,3}(?:\.\d{1,3}){3}"
    r"|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
)
_NOT_IN_A_URI = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}\[\]]|%(?![0-9A-Fa-f]{2})")


def entries(settings: Mapping[str, Any]) -> list[str]:
    """Return the cluster's list.

    :param settings: all effective settings, flat.
    """
    value = settings.get(SETTING) or []
    # A setting that was written as a text, the server splits at commas.
    return [entry.strip() for entry in value.split(",")] if isinstance(value, str) else list(value)


def derive(url: str, parameters: Mapping[str, Any]) -> str:
    """Return the narrowest pattern for an action's URL: anchored, escaped, host and port literal.

    :param url: the action's URL; ``${parameters.x}`` in its path may have a value in `parameters` or only at predict.
    """
    filled = placeholders.fill(url, "parameters", parameters)
    pieces = placeholders.PLACEHOLDER.split(filled)
    literals = pieces[:: placeholders.PLACEHOLDER.groups + 1]
    return "^" + ANY_SEGMENT.join(SPECIAL.sub(r"\\\1", literal) for literal in literals) + "$"


def labelled(pattern: str) -> str:
    """Return the pattern as we write it into the cluster's list."""
    return pattern if is_ours(pattern) else f"^{LABEL}{_without_anchors(pattern)})$"


def is_ours(pattern: str) -> bool:
    """Tell whether an entry of the cluster's list was added by us."""
    return pattern.startswith("^" + LABEL)


def covers(pattern: str, url: str) -> bool:
    """Tell whether a pattern matches a whole URL, by Java's rules.

    A pattern that Java may read otherwise than Python, or that may run away, covers nothing.
    """
    readable = _readable(pattern)
    return readable is not None and readable.fullmatch(url) is not None


def example_url(url: str, parameters: Mapping[str, Any]) -> str:
    """Return a URL such as the server will check: what only a predict can fill is stood in for."""
    return placeholders.PLACEHOLDER.sub("x", placeholders.fill(url, "parameters", parameters))


def missing(needed: Iterable[tuple[str, str]], have: Sequence[str]) -> list[str]:
    """Return the patterns that the cluster's list lacks.

    :param needed: pairs of (pattern, example URL).
    :param have: the cluster's list. A URL that an entry covers already needs no other one.
    """
    lacking = [labelled(pattern) for pattern, url in needed if not any(covers(entry, url) for entry in have)]
    return [pattern for pattern in dict.fromkeys(lacking) if pattern not in have]


def no_longer_needed(have: Sequence[str], urls_in_use: Iterable[str]) -> list[str]:
    """Return our own entries that cover no URL of any connector on the cluster; what cannot be judged stays."""
    urls = list(urls_in_use)
    return [
        entry
        for entry in have
        if is_ours(entry) and _readable(entry) is not None and not any(covers(entry, url) for url in urls)
    ]


def problem(pattern: str) -> str | None:
    """Tell why a pattern given by a user could trust more than it says, or None.

    The scheme and the host must be literal: with ``.*`` or an unescaped dot in it, another host fits too, and whoever
    owns that host is sent the credential. ``https?`` is refused as well: plain http carries the credential in clear.
    """
    body = _without_anchors(pattern)
    if body.startswith("https?:"):
        return "fits plain http too, which would carry the credential in clear"
    origin = _ORIGIN.match(body)
    if not origin:
        return (
            "does not start with a literal scheme and host (https://, dots escaped, then a slash that must be there), "
            "so other hosts would fit too"
        )
    path = body[origin.end() :]
    if re.search(r"[(|)]", _bare(path)):
        return "has a group or an alternative, whose sides need not be bound to the host"
    if not _PATH.fullmatch(path):
        return "is not a regular expression that Java and Python read alike"
    if _quantifiers(path) > MAX_QUANTIFIERS:
        return f"has more than {MAX_QUANTIFIERS} quantifiers, with which a match may take for ever"
    try:
        re.compile(body)
    except (re.error, OverflowError, RecursionError) as error:
        # The cluster accepts an invalid pattern and from then on refuses every connector of everybody.
        return f"is not a valid regular expression ({error})"
    return None


def url_problem(url: str, parameters: Mapping[str, Any]) -> str | None:
    """Tell why an action's URL has no fixed scheme, host and port that the server can call, or None."""
    scheme, authority, rest = parts(url)
    if "${" in scheme or "${" in authority:
        return "scheme, host and port must be literal: a caller of predict could send the credential elsewhere"
    if scheme not in ("http", "https") or not authority:
        return "is not an absolute http or https URL"
    if "@" in authority:
        return "carries a user name or password, which everybody with ml_read_access can read"
    host = _AUTHORITY.fullmatch(authority)
    if not host or int(host["port"] or 0) > 65535:
        return "names a host that is none: letters, digits, dots and inner hyphens (no underscore), or an IP address"
    if _NOT_IN_A_URI.search(example_url(rest, parameters)):
        return "holds a character that no URL may hold as it is; write it percent-encoded"
    return None


def parts(url: str) -> tuple[str, str, str]:
    """Return scheme, authority and the rest of a URL as it is written; `urlsplit` fails at some that are none."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return scheme, authority, rest[len(authority) :]


@lru_cache(maxsize=4096)  # a fleet holds every entry against every URL
def _readable(pattern: str) -> re.Pattern[str] | None:
    if not _READ_ALIKE.fullmatch(pattern) or _quantifiers(pattern) > MAX_QUANTIFIERS:
        return None
    try:
        # Java writes a named group (?<n>…) where Python writes (?P<n>…), and its \d is ASCII.
        return re.compile(re.sub(r"(?<!\\)\(\?<(?=[A-Za-z])", "(?P<", pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None


def _without_anchors(pattern: str) -> str:
    # A dollar after an odd number of backslashes is a literal one.
    return re.sub(r"(?<!\\)((?:\\\\)*)\$\Z", r"\1", pattern.removeprefix("^"))


def _bare(pattern: str) -> str:
    # What is left without escapes and character classes has its special meaning.
    return re.sub(rf"\\.|{_CLASS}", "", pattern)


def _quantifiers(pattern: str) -> int:
    return len(re.findall(r"(?<!\()(?:[*+?]|\{\d+,\d*\})\??", _bare(pattern)))
