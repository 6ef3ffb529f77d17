"""Headers: what HTTP allows, what is the server's own to set, and the rules of 3.7 for ``${parameters.x}`` in them.

Source: ml-commons 3.7 AbstractConnector.validateConnectorHeaders, ConnectorUtils.validateSubstitutedHeaders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.fields import Headers
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import Finding

# A caller of predict could set these; 3.7 refuses them.
NEVER_DYNAMIC = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "x-auth-header"),
        *("x-forwarded-for", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip", "x-originating-ip"),
        *("host", "x-forwarded-host", "x-forwarded-server", "forwarded"),
    }
)
# The URL and the body tell these; another value is sent as it is, and breaks the call.
NEVER_WRITTEN = frozenset({"host", "content-length", "transfer-encoding", "connection"})
SIGNED = frozenset({"authorization", "x-amz-date", "x-amz-security-token"})
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # all but tab
MAX_HEADER, MAX_HEADERS = 8192, 65536  # characters of name and value


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield what is wrong with the headers of every action, or of an MCP connector."""
    connector = blueprint.connector
    for path, headers in connector.headers_by_path:
        yield from _names(path, headers, signed=connector.protocol == "aws_sigv4")
        yield from _dynamic(path, headers, mcp=connector.is_mcp)
        yield from _values(path, {name: _filled(value, connector.parameters) for name, value in headers.items()})
    yield from _smoke_test(blueprint)


def _names(path: str, headers: Headers, *, signed: bool) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if not TOKEN.fullmatch(name):
            yield Finding(path, "has a name that is no header's", "Use letters, digits and hyphens only.")
        if first.setdefault(lower, name) != name:
            yield Finding(f"{path}.{name}", f"is {first[lower]} once more, in other letters", "Remove one of the two.")
        if lower in NEVER_WRITTEN and not placeholders.names(value, "parameters"):
            yield Finding(
                f"{path}.{name}", "is for the server to set; another value is sent as it is, and breaks", "Remove it."
            )
        if signed and lower in SIGNED and not placeholders.names(value, "parameters"):
            yield Finding(f"{path}.{name}", "is replaced by the signature of protocol aws_sigv4", "Remove it.")


def _dynamic(path: str, headers: Headers, *, mcp: bool) -> Iterator[Finding]:
    for name, value in headers.items():
        if placeholders.names(value, "parameters") and (mcp or name.lower() in NEVER_DYNAMIC):
            yield Finding(
                f"{path}.{name}",
                "uses ${parameters.…}, which a caller of predict could set; the server refuses it from 3.7 on",
                "Use ${credential.…}, or write the value itself.",
            )


def _values(path: str, headers: Headers) -> Iterator[Finding]:
    for name, value in headers.items():
        if problem := _problem(name, value):
            yield Finding(f"{path}.{name}", problem, "Write it in one line of plain text, or shorten it.")
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEADERS:
        yield Finding(path, "are longer than 64 KB together, which the server refuses from 3.7 on", "Shorten them.")


def _smoke_test(blueprint: Blueprint) -> Iterator[Finding]:
    """Hold what the smoke test puts into headers against the same rules."""
    if blueprint.smoke_test is None:
        return
    own, given = blueprint.connector.parameters, blueprint.smoke_test.parameters
    for action in blueprint.connector.actions:
        for header, value in (action.headers or {}).items():
            for name in sorted(placeholders.names(value, "parameters") & given.keys()):
                alone = {**own, name: given[name]}
                if not _problem(header, _filled(value, own)) and (problem := _problem(header, _filled(value, alone))):
                    yield Finding(
                        f"smoke_test.parameters.{name}", f"in header {header}: {problem}", "Use a short line of text."
                    )


def _filled(value: str, parameters: dict[str, object]) -> str:
    return placeholders.fill(value, "parameters", parameters)


def _problem(name: str, value: str) -> str | None:
    if CONTROL.search(value):
        return "holds a line break or another control character, which the server refuses from 3.7 on"
    if len(name) + len(value) > MAX_HEADER:
        return "is longer than 8 KB with its name, which the server refuses from 3.7 on"
    return None
