"""Trusted endpoints: the regular expressions that decide which URLs a cluster may call.

The cluster matches the whole URL with Java's ``Matcher.matches()`` (setting
``plugins.ml_commons.trusted_connector_endpoints_regex``). The setting is one list that everybody shares, and it has no
room for an owner; so what we add carries our name as a named group, which the match ignores:

    ^(?<opensearchml>https://api\\.openai\\.com/v1/embeddings)$

That label is how a later run knows which entries it may remove.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from opensearch_ml import placeholders

LABEL = "(?<opensearchml>"
JAVA_SPECIAL = re.compile(r"([\\.\[\]{}()*+?^$|])")
ANY_SEGMENT = "[^/?#]+"  # what a runtime parameter may become: never another path, query or host
LITERAL_HOST = re.compile(r"https?://(?:[A-Za-z0-9_-]|\\\.|\\-|\[[0-9A-Fa-f:]+\])+(?::\d+)?(?=/|\\/|\\\?|$)")


def derive(url: str, parameters: Mapping[str, Any]) -> str:
    """Return the narrowest pattern for an action's URL: anchored, escaped, host and port literal.

    :param url: the action's URL; ``${parameters.x}`` in its path may have a value in `parameters` or only at predict.
    """
    filled = placeholders.fill(url, "parameters", parameters)
    parts = placeholders.PLACEHOLDER.split(filled)
    literals = parts[:: placeholders.PLACEHOLDER.groups + 1]
    return "^" + ANY_SEGMENT.join(JAVA_SPECIAL.sub(r"\\\1", literal) for literal in literals) + "$"


def labelled(pattern: str) -> str:
    """Return the pattern as we write it into the cluster's list."""
    return pattern if is_ours(pattern) else f"^{LABEL}{pattern.removeprefix('^').removesuffix('$')})$"


def is_ours(pattern: str) -> bool:
    """Tell whether an entry of the cluster's list was added by us."""
    return pattern.startswith("^" + LABEL)


def covers(pattern: str, url: str) -> bool:
    """Tell whether a pattern matches a whole URL. A pattern that only Java understands covers nothing."""
    try:
        # Java writes a named group (?<n>…) where Python writes (?P<n>…); look-behinds look alike in both.
        return re.fullmatch(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", pattern), url) is not None
    except re.error:
        return False


def example_url(url: str, parameters: Mapping[str, Any]) -> str:
    """Return a URL such as the server will check: what only a predict can fill is stood in for."""
    return placeholders.PLACEHOLDER.sub("x", placeholders.fill(url, "parameters", parameters))


def missing(needed: Iterable[tuple[str, str]], have: Sequence[str]) -> list[str]:
    """Return the patterns that the cluster's list lacks.

    :param needed: pairs of (pattern, example URL).
    :param have: the cluster's list. A URL that an entry covers already needs no other one.
    """
    lacking = [labelled(pattern) for pattern, url in needed if not any(covers(entry, url) for entry in have)]
    return list(dict.fromkeys(lacking))


def no_longer_needed(have: Sequence[str], urls_in_use: Iterable[str]) -> list[str]:
    """Return our own entries that cover no URL of any connector on the cluster."""
    urls = list(urls_in_use)
    return [entry for entry in have if is_ours(entry) and not any(covers(entry, url) for url in urls)]


def problem(pattern: str) -> str | None:
    """Tell why a pattern given by a user could trust more than it says, or None.

    The scheme and the host must be literal: with ``.*`` or an unescaped dot in it, another host fits too, and whoever
    owns that host is sent the credential.
    """
    try:
        re.compile(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", pattern))
    except re.error as error:
        # The cluster accepts an invalid pattern and from then on refuses every connector of everybody.
        return f"is not a valid regular expression ({error})"
    body = pattern.removeprefix("^").removeprefix(LABEL)
    if not LITERAL_HOST.match(body):
        return "does not start with a literal scheme and host (https://, dots escaped), so other hosts would fit too"
    if "|" in re.sub(r"\\.|\[[^]]*\]", "", body):
        return "has an alternative (|), whose right side is not bound to the host"
    return None


def host_problem(url: str) -> str | None:
    """Tell why an action's URL has no fixed scheme, host and port, or None."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "${" in scheme or "${" in authority:
        return "scheme, host and port must be literal: a caller of predict could send the credential elsewhere"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"is not a URL ({error})"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is not an absolute http or https URL"
    if parts.username or parts.password:
        return "carries a user name or password, which everybody with ml_read_access can read"
    return None
