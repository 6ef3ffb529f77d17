"""What only some versions of the server know: an older one drops it silently, or refuses it halfway.

Source: ml-commons, each release branch; what 2.19.1 and 3.6.0 do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opensearch_ml import placeholders
from opensearch_ml.errors import Finding

if TYPE_CHECKING:
    from opensearch_ml.blueprint import Blueprint, Connector

Version = tuple[int, ...]

PROTOCOLS: dict[str, Version] = {"mcp_sse": (3, 0), "mcp_streamable_http": (3, 3)}
ACTION_TYPES: dict[str, Version] = {
    "execute": (2, 15),
    "batch_predict": (2, 16),
    "cancel_batch_predict": (2, 17),
    "batch_predict_status": (2, 17),
}
ACTION_FIELDS: dict[str, Version] = {"name": (3, 5)}
CLIENT_CONFIG: dict[str, Version] = {
    "max_connection": (2, 13),
    "connection_timeout": (2, 13),
    "read_timeout": (2, 13),
    "retry_backoff_millis": (2, 15),
    "retry_timeout_seconds": (2, 15),
    "max_retry_times": (2, 15),
    "retry_backoff_policy": (2, 15),
    "skip_ssl_verification": (3, 5),
}
MODEL_FIELDS: dict[str, Version] = {
    "is_enabled": (2, 12),
    "rate_limiter": (2, 12),
    "guardrails": (2, 13),
    "interface": (2, 14),
}
STATIC_HEADER_PARAMETERS: Version = (2, 15)
DYNAMIC_HEADER_PARAMETERS: Version = (3, 7)


def findings(blueprint: Blueprint, version: Version) -> list[Finding]:
    """Return what a blueprint says that a server of this version does not know.

    :param version: the server's version, for instance ``(2, 19, 1)``.
    """
    since = {path: needed for path, needed in _used(blueprint) if version < needed}
    return [
        Finding(
            path,
            f"needs OpenSearch {_text(needed)}, and the cluster runs {_text(version)}",
            f"Remove {path}, or upgrade the cluster.",
        )
        for path, needed in since.items()
    ]


def _used(blueprint: Blueprint) -> Iterator[tuple[str, Version]]:
    connector, model = blueprint.connector, blueprint.model
    if connector.protocol in PROTOCOLS:
        yield "connector.protocol", PROTOCOLS[connector.protocol]
    for index, action in enumerate(connector.actions):
        at = f"connector.actions.{index}"
        if action.action_type in ACTION_TYPES:
            yield f"{at}.action_type", ACTION_TYPES[action.action_type]
        yield from _given(action, ACTION_FIELDS, at)
        for name, value in (action.headers or {}).items():
            yield from _header(f"{at}.headers.{name}", value, connector)
    if connector.client_config:
        yield from _given(connector.client_config, CLIENT_CONFIG, "connector.client_config")
    yield from _given(model, MODEL_FIELDS, "model")


def _given(part: object, fields: dict[str, Version], path: str) -> Iterator[tuple[str, Version]]:
    for field, needed in fields.items():
        if getattr(part, field) is not None:
            yield f"{path}.{field}", needed


def _header(path: str, value: str, connector: Connector) -> Iterator[tuple[str, Version]]:
    if placeholders.names(value, "parameters"):
        # Without a value of the connector's own, an older server sends the placeholder itself.
        dynamic = placeholders.names_without_default(value, "parameters") - connector.parameters.keys()
        yield path, DYNAMIC_HEADER_PARAMETERS if dynamic else STATIC_HEADER_PARAMETERS


def _text(version: Version) -> str:
    return ".".join(map(str, version))
