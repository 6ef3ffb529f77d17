"""URLs, and the patterns that make the cluster trust them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import Finding


def urls(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield URLs that cannot be called or could be turned elsewhere."""
    connector = blueprint.connector
    paths = [f"connector.actions.{index}.url" for index in range(len(connector.actions))]
    for path, url in zip([*paths, "connector.url"], connector.urls, strict=False):
        if problem := trusted_endpoints.url_problem(url, connector.parameters):
            yield Finding(path, problem, "Write the whole URL, or use ${variables.x} for what differs between targets.")


def patterns(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield patterns that could trust more than the connector's URLs, or do not match them."""
    given = blueprint.trusted_endpoints or []
    examples = {
        url: trusted_endpoints.example_url(url, blueprint.connector.parameters)
        for url in blueprint.connector.urls
        if not trusted_endpoints.url_problem(url, blueprint.connector.parameters)
    }
    for index, pattern in enumerate(given):
        problem = trusted_endpoints.problem(pattern)
        if not problem and examples and not any(map(partial(trusted_endpoints.covers, pattern), examples.values())):
            problem = "matches no URL of the connector, so it would never be used"
        if problem:
            yield Finding(
                f"trusted_endpoints.{index}",
                problem,
                r"Write it like ^https://api\.example\.com/v1/embeddings$, or leave it out: the URL tells it.",
            )
    for example in examples.values():
        if given and not any(trusted_endpoints.covers(pattern, example) for pattern in given):
            yield Finding(
                "trusted_endpoints",
                "no pattern matches the connector's own URL",
                "Leave trusted_endpoints out: the URL tells what to trust.",
            )
