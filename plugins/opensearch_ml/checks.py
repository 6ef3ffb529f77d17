"""What a blueprint may not say although its fields are well-formed: the server takes it; it breaks or leaks later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opensearch_ml import placeholders, trusted_endpoints
from opensearch_ml.errors import Finding

if TYPE_CHECKING:
    from opensearch_ml.blueprint import Blueprint, Connector

MARK_PREFIX = "opensearch_ml_"
LITERALS = frozenset({"roleArn", "externalAccountRoleArn", "region", "service_name"})  # of a credential: not secret
SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-auth-token", "x-goog-api-key"}
)
SECRET_SHAPES = re.compile(
    r"sk-[A-Za-z0-9_-]{16,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bBearer\s+(?!\$\{)\S{8,}|-----BEGIN [A-Z ]*PRIVATE KEY"
)
SECRET_QUERY = re.compile(r"[?&](?:api[-_]?key|key|token|access_token|code|sig)=(?!\$\{)[^&]+", re.IGNORECASE)
REFERENCE_HINT = "{conn_id: my_connection, field: password}"


def findings(blueprint: Blueprint) -> list[Finding]:
    """Return everything that is wrong with a well-formed blueprint."""
    connector = blueprint.connector
    return [
        *_credential(connector),
        *_literal_secrets(connector),
        *_placeholders(connector),
        *_actions(connector),
        *_urls(connector),
        *_trusted_endpoints(blueprint),
        *_access(connector, "connector"),
        *(_access(blueprint.model.group, "model.group") if blueprint.model.group else ()),
        *_protocol(blueprint),
    ]


def _credential(connector: Connector) -> Iterator[Finding]:
    for key, value in connector.credential.items():
        if isinstance(value, str) and key not in LITERALS:
            yield Finding(
                f"connector.credential.{key}",
                "is a literal value; a secret may stand in no file",
                f"Write a reference instead: {key}: {REFERENCE_HINT}.",
            )
    if not connector.credential and not connector.is_mcp:
        yield Finding(
            "connector.credential",
            "is empty, which the server refuses even where no header uses it",
            f"Give it one key, for instance key: {REFERENCE_HINT}.",
        )
    for key in connector.parameters:
        if key.startswith(MARK_PREFIX):
            yield Finding(
                f"connector.parameters.{key}", "has a name that is kept for our own marks", "Use another name."
            )


def _literal_secrets(connector: Connector) -> Iterator[Finding]:
    body = connector.model_dump(exclude={"credential"}, exclude_none=True)
    for path, text in placeholders.strings(body):
        if SECRET_SHAPES.search(text) or (path.endswith("url") and SECRET_QUERY.search(text)):
            yield _literal_secret(f"connector.{path}")
    for path, headers in _headers(connector):
        for name, value in headers.items():
            if (
                name.lower() in SECRET_HEADERS
                and not placeholders.PLACEHOLDER.search(value)
                and not SECRET_SHAPES.search(value)
            ):
                yield _literal_secret(f"{path}.{name}")


def _literal_secret(path: str) -> Finding:
    return Finding(
        path,
        "holds a literal secret, which everybody with ml_read_access can read",
        f"Put it under connector.credential as {REFERENCE_HINT} and write ${{credential.<key>}} in a header.",
    )


def _placeholders(connector: Connector) -> Iterator[Finding]:
    for path, headers in _headers(connector):
        for name, value in headers.items():
            for key in sorted(placeholders.names(value, "credential") - connector.credential.keys()):
                yield Finding(
                    f"{path}.{name}",
                    f"uses ${{credential.{key}}}, which is not there: the server would send the placeholder itself",
                    f"Add {key} under connector.credential.",
                )
    for index, action in enumerate(connector.actions):
        for field in ("url", "request_body"):
            if placeholders.names(getattr(action, field) or "", "credential"):
                yield Finding(
                    f"connector.actions.{index}.{field}",
                    "uses ${credential.…}, which the server fills in headers only",
                    "Move it into a header.",
                )


def _actions(connector: Connector) -> Iterator[Finding]:
    seen: dict[tuple[Any, Any], int] = {}
    for index, action in enumerate(connector.actions):
        first = seen.setdefault((action.action_type, action.name), index)
        if first != index:
            yield Finding(
                f"connector.actions.{index}",
                f"is a second {action.action_type} action: the server only ever uses the first",
                f"Remove one of actions {first} and {index}.",
            )


def _urls(connector: Connector) -> Iterator[Finding]:
    paths = [f"connector.actions.{index}.url" for index in range(len(connector.actions))]
    for path, url in zip([*paths, "connector.url"], connector.urls, strict=False):
        if problem := trusted_endpoints.host_problem(url):
            yield Finding(path, problem, "Write the whole URL, or use ${variables.x} for what differs between targets.")


def _trusted_endpoints(blueprint: Blueprint) -> Iterator[Finding]:
    patterns = blueprint.trusted_endpoints or []
    for index, pattern in enumerate(patterns):
        if problem := trusted_endpoints.problem(pattern):
            yield Finding(
                f"trusted_endpoints.{index}",
                problem,
                r"Write it like ^https://api\.example\.com/v1/embeddings$, or leave it out: the URL tells it.",
            )
    if not patterns:
        return
    for url in blueprint.connector.urls:
        example = trusted_endpoints.example_url(url, blueprint.connector.parameters)
        if not any(trusted_endpoints.covers(pattern, example) for pattern in patterns):
            yield Finding(
                "trusted_endpoints",
                f"no pattern matches the connector's own URL {example}",
                f"Add {trusted_endpoints.derive(url, blueprint.connector.parameters)}.",
            )


def _access(scope: Any, path: str) -> Iterator[Finding]:
    roles, mode = scope.backend_roles, scope.access_mode
    if mode in ("public", "private") and (roles or scope.add_all_backend_roles):
        yield Finding(
            f"{path}.backend_roles", f"cannot go with access_mode {mode}", "Use access_mode: restricted, or no roles."
        )
    if mode == "restricted" and not roles and not scope.add_all_backend_roles:
        yield Finding(
            f"{path}.access_mode", "is restricted to nobody", "Add backend_roles or add_all_backend_roles: true."
        )


def _protocol(blueprint: Blueprint) -> Iterator[Finding]:
    connector = blueprint.connector
    if connector.is_mcp:
        if not connector.url:
            yield Finding("connector.url", "is missing", "MCP protocols need the server's URL.")
        if connector.actions or blueprint.inline or blueprint.smoke_test:
            yield Finding(
                "connector.protocol",
                f"{connector.protocol} has no actions and no model",
                "Remove actions, inline and smoke_test, or use protocol http.",
            )
        return
    if not any(action.action_type == "predict" for action in connector.actions):
        yield Finding("connector.actions", "has no predict action, so no model on it could answer", "Add one.")
    if connector.url or connector.headers:
        yield Finding(
            "connector.url", "url and headers beside actions are for MCP protocols", "Move them into actions."
        )
    if connector.protocol == "aws_sigv4":
        yield from _aws(connector)


def _aws(connector: Connector) -> Iterator[Finding]:
    keys = connector.credential.keys()
    if "roleArn" not in keys and not {"access_key", "secret_key"} <= keys:
        yield Finding(
            "connector.credential",
            "protocol aws_sigv4 signs with access_key and secret_key (or roleArn on Amazon OpenSearch Service)",
            "Add both as references, or roleArn.",
        )
    for name in ("region", "service_name"):
        if name not in connector.parameters and name not in keys:
            yield Finding(f"connector.parameters.{name}", "is missing, and protocol aws_sigv4 needs it", "Add it.")


def _headers(connector: Connector) -> Iterator[tuple[str, dict[str, str]]]:
    for index, action in enumerate(connector.actions):
        yield f"connector.actions.{index}.headers", action.headers or {}
    yield "connector.headers", connector.headers or {}
