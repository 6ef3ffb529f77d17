"""What would change on the cluster itself: its settings, the endpoints that it trusts, and who has a role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target, differing_settings
from opensearch_ml.resources.changes import Change, Difference, Kind
from opensearch_ml.resources.inventory import Cluster

SETTINGS, TRUSTED, MAPPING = "cluster settings", "trusted endpoints", "mapping of role "
PRIVATE_IP = "plugins.ml_commons.connector.private_ip_enabled"


def changes(target: Target, blueprints: Iterable[Blueprint], cluster: Cluster) -> Iterator[Change]:
    """Yield what the cluster lacks; what others have set, trusted and mapped besides is left."""
    if found := differing_settings(target.settings.as_cluster_settings(), cluster.settings):
        # Models read this one when they are deployed.
        why = "models see private_ip_enabled once they are deployed again" if PRIVATE_IP in found else ""
        differences = (
            Difference(name, _told(cluster.settings.get(name)), _told(value)) for name, value in sorted(found.items())
        )
        yield Change(Kind.SETTINGS, SETTINGS, why, tuple(differences))
    if patterns := _untrusted(blueprints, trusted_endpoints.entries(cluster.settings)):
        differences = (Difference("trusted", None, pattern) for pattern in patterns)
        yield Change(Kind.SETTINGS, TRUSTED, "", tuple(differences))
    for role, wanted in sorted(target.role_mapping.items()):
        if cluster.mappings is None:
            continue
        missing = wanted.missing(cluster.mappings.get(role, {}))
        if missing:
            differences = (Difference(kind, None, name) for kind, names in missing.items() for name in names)
            yield Change(Kind.SETTINGS, f"{MAPPING}{role}", "", tuple(differences))


def _untrusted(blueprints: Iterable[Blueprint], have: list[str]) -> list[str]:
    known = set(have)
    # What we have added ourselves is told by its text: a thousand URLs against a thousand patterns take a second.
    pairs = sorted(
        {pair for one in blueprints for pair in one.trusted if trusted_endpoints.labelled(pair[0]) not in known}
    )
    return trusted_endpoints.missing(pairs, have)


def _told(value: object) -> str | None:
    return None if value is None else str(value).lower()
