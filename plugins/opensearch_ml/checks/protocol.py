"""What goes with a connector's protocol. What signing needs is in `checks.aws`."""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import Finding

MCP_ENDPOINTS = {"mcp_sse": "sse_endpoint", "mcp_streamable_http": "endpoint"}


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield what an MCP connector cannot have, and what only it can."""
    connector = blueprint.connector
    if not connector.is_mcp:
        if connector.url or connector.headers:
            yield Finding(
                "connector.url", "url and headers beside actions are for MCP protocols", "Move them into actions."
            )
        return
    if not connector.url:
        yield Finding("connector.url", "is missing", "MCP protocols need the server's URL.")
    if connector.actions or blueprint.inline or blueprint.smoke_test or "model" in blueprint.model_fields_set:
        yield Finding(
            "connector.protocol",
            f"{connector.protocol} has no actions and no model",
            "Remove actions, model, inline and smoke_test, or use protocol http.",
        )
    yield from _mcp_endpoint(connector.protocol, connector.parameters)


def _mcp_endpoint(protocol: str, parameters: dict[str, object]) -> Iterator[Finding]:
    own = MCP_ENDPOINTS[protocol]
    for name in MCP_ENDPOINTS.values():
        if name not in parameters:
            continue
        path = f"connector.parameters.{name}"
        if name != own:
            yield Finding(path, f"is not read with protocol {protocol}, which reads {own}", f"Rename it to {own}.")
        elif not str(parameters[name]).startswith("/"):
            yield Finding(path, "is no path on the server: the URL names the server", "Begin it with a slash.")
