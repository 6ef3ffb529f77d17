"""URLs, and the patterns that make the cluster trust them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opensearch_ml import trusted_endpoints
from opensearch_ml.errors import Finding

if TYPE_CHECKING:
    from opensearch_ml.blueprint import Blueprint, Connector


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield URLs that cannot be called or could be turned elsewhere, and patterns that could trust more."""
    yield from _urls(blueprint.connector)
    yield from _patterns(blueprint)


def _urls(connector: Connector) -> Iterator[Finding]:
    paths = [f"connector.actions.{index}.url" for index in range(len(connector.actions))]
    for path, url in zip([*paths, "connector.url"], connector.urls, strict=False):
        if problem := trusted_endpoints.url_problem(url, connector.parameters):
            yield Finding(path, problem, "Write the whole URL, or use ${variables.x} for what differs between targets.")


def _patterns(blueprint: Blueprint) -> Iterator[Finding]:
    patterns = blueprint.trusted_endpoints or []
    urls = {
        url: trusted_endpoints.example_url(url, blueprint.connector.parameters)
        for url in blueprint.connector.urls
        if not trusted_endpoints.url_problem(url, blueprint.connector.parameters)
    }
    for index, pattern in enumerate(patterns):
        problem = trusted_endpoints.problem(pattern)
        if not problem and urls and not any(trusted_endpoints.covers(pattern, example) for example in urls.values()):
            problem = "matches no URL of the connector, so it would never be used"
        if problem:
            yield Finding(
                f"trusted_endpoints.{index}",
                problem,
                r"Write it like ^https://api\.example\.com/v1/embeddings$, or leave it out: the URL tells it.",
            )
    for example in urls.values():
        if patterns and not any(trusted_endpoints.covers(pattern, example) for pattern in patterns):
            yield Finding(
                "trusted_endpoints",
                "no pattern matches the connector's own URL",
                "Leave trusted_endpoints out: the URL tells what to trust.",
            )
