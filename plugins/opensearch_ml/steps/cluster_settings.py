"""Cluster settings that remote models need: the ML switches, and the trusted endpoints."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from opensearch_ml.base.outcome import Changed, changed
from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.placeholders import fill
from opensearch_ml.blueprint.target import differing_settings
from opensearch_ml.blueprint.trusted_endpoints import example_url
from opensearch_ml.client.documents import ConnectorDoc
from opensearch_ml.errors import Conflict, OpenSearchMLError, PermissionDenied, UntrustedEndpoint
from opensearch_ml.hook import TRUSTED_ENDPOINTS, OpenSearchMLHook
from opensearch_ml.retries import persistently

log = logging.getLogger(__name__)

SECOND_LOOK_S = 0.3  # longer than another writer needs from reading the list to writing it


def ensure_ml_settings(hook: OpenSearchMLHook, wanted: Mapping[str, bool]) -> Changed:
    """Set what differs; every other setting stays.

    :param wanted: full setting names and values.
    Source: ``GET`` and ``PUT /_cluster/settings``.
    """
    differing = differing_settings(wanted, hook.cluster_settings())
    if differing:
        persistently(lambda: hook.put_cluster_settings(differing))
    return changed("ML cluster settings", (f"{name} = {str(value).lower()}" for name, value in differing.items()))


def ensure_trusted_endpoints(hook: OpenSearchMLHook, needed: Iterable[tuple[str, str]]) -> Changed:
    """Add what is missing to the trusted endpoints; others' entries and their order stay.

    :param needed: pairs of (pattern, example URL). A URL that is trusted already needs no entry.
    :raises UntrustedEndpoint: some are missing, and the connection's user may not add them.
    :raises Conflict: other writers overwrote ours again and again.
    """
    pairs = list(needed)
    added: dict[str, None] = {}

    def attempt() -> None:
        have = hook.trusted_endpoints()
        if missing := trusted_endpoints.missing(pairs, have):
            try:
                hook.put_trusted_endpoints([*have, *missing])  # the setting takes the whole list, never an addition
            except PermissionDenied as refusal:
                raise _untrusted(missing, [*have, *missing], refusal) from None
            added.update(dict.fromkeys(missing))
            _expect(hook, present=missing)

    persistently(attempt)
    return changed("trusted endpoints", (f"added {pattern}" for pattern in added))


@contextmanager
def trusting(hook: OpenSearchMLHook, needed: Iterable[tuple[str, str]]) -> Iterator[None]:
    """Trust endpoints for what the block makes; if it fails, what this added and no connector needs is removed again.

    :param needed: as for `ensure_trusted_endpoints`.
    """
    pairs = list(needed)
    before = set(hook.trusted_endpoints())
    log.info("%s", ensure_trusted_endpoints(hook, pairs))
    try:
        yield
    except Exception as failed:
        added = [pattern for pattern, _ in pairs if trusted_endpoints.labelled(pattern) not in before]
        left = _withdraw(hook, added) if added else ""
        if left and isinstance(failed, OpenSearchMLError):
            failed.evidence += f"; {left}"
        raise


def remove_trusted_endpoints(hook: OpenSearchMLHook, patterns: Iterable[str] | None = None) -> Changed:
    """Remove our own entries that no connector on the cluster needs any more; others' stay.

    :param patterns: only these. One that another run has just added, for a connector that it is about to create, is
        needed by none yet; None takes all of ours, for a cluster on which nothing else runs.
    """
    removed: dict[str, None] = {}
    only = None if patterns is None else set(map(trusted_endpoints.labelled, patterns))

    def attempt() -> None:
        have = hook.trusted_endpoints()
        if not any(map(trusted_endpoints.is_ours, have)):
            return
        idle = [
            entry
            for entry in trusted_endpoints.no_longer_needed(have, urls_in_use(hook))
            if only is None or entry in only
        ]
        if idle:
            hook.put_trusted_endpoints([entry for entry in have if entry not in idle])
            removed.update(dict.fromkeys(idle))
            _expect(hook, absent=idle)

    persistently(attempt)
    return changed("trusted endpoints", (f"removed {pattern}" for pattern in removed), action="deleted")


def trusted_for(connectors: Iterable[ConnectorDoc]) -> set[str]:
    """Return the trusted endpoints that the URLs of connectors need, as patterns without our label."""
    return {
        trusted_endpoints.derive(url, connector.get("parameters") or {})
        for connector in connectors
        for url in _urls(connector)
    }


def urls_in_use(hook: OpenSearchMLHook) -> list[str]:
    """Return the URLs of every connector on the cluster, standalone and inside models, whoever made it."""
    inside = [model["connector"] for model in hook.search_models({"exists": {"field": "connector.protocol"}})]
    urls = []
    for connector in [*hook.search_connectors({"match_all": {}}), *inside]:
        parameters = connector.get("parameters") or {}
        urls += [example_url(fill(url, "parameters", parameters), {}) for url in _urls(connector)]
    return urls


def _urls(connector: ConnectorDoc) -> list[str]:
    own = [action["url"] for action in connector.get("actions") or ()] + [connector.get("url")]
    return [url for url in own if url]


def _withdraw(hook: OpenSearchMLHook, added: list[str]) -> str:
    try:
        log.info("%s", remove_trusted_endpoints(hook, added))
    except OpenSearchMLError as error:
        return f"trusted endpoint {', '.join(added)} was added, and stays: {error.cause}"
    return ""


def _untrusted(missing: list[str], whole: list[str], refusal: PermissionDenied) -> UntrustedEndpoint:
    body = json.dumps({"persistent": {TRUSTED_ENDPOINTS: whole}})
    return UntrustedEndpoint(
        f"the cluster does not trust {', '.join(missing)}, and the connection's user may not change that",
        evidence=refusal.evidence,
        fix=f"let an administrator send PUT /_cluster/settings {body}, or use a connection whose user has "
        "cluster:admin/settings/update",
    )


def _expect(hook: OpenSearchMLHook, *, present: Iterable[str] = (), absent: Iterable[str] = ()) -> None:
    # The setting carries no version: a writer that read the list before us may still overwrite it, so the 200 proves
    # nothing, nor does one look.
    for pause_s in (0.0, SECOND_LOOK_S):
        time.sleep(pause_s)
        have = set(hook.trusted_endpoints())
        if lost := [*(set(present) - have), *(set(absent) & have)]:
            raise Conflict(
                "another writer overwrote our trusted endpoints", evidence=f"{sorted(lost)}", fix="run again"
            )
