"""Reads what we write into a cluster, exactly as the server returns it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import requests

from tests.support.cluster import Cluster

CLAIMED = "claimed"
CREDENTIAL, BLUEPRINT, RUN = (f"opensearch_ml_{name}" for name in ("credential", "blueprint", "run"))
CANARY = "opensearch_ml.canary."
DEPLOYED = "DEPLOYED"
POLL_S = 0.05
Document = dict[str, Any]
Moment = dict[str, Any]


def documents(cluster: Cluster, blueprints: Iterable[str], *, extra: Iterable[str] = ()) -> Moment:
    """Return the connectors, models and model groups of some blueprints: as a search and as GET return them.

    :param extra: names of other models.
    """
    wanted = [*blueprints, *extra]
    names = {*wanted, *(CANARY + name for name in wanted)}
    models = [one for one in _search(cluster, "models") if one["_source"].get("name") in names]
    used = {one["_source"].get("connector_id") for one in models}
    connectors = [
        one
        for one in _search(cluster, "connectors")
        if one["_id"] in used or one["_source"].get("parameters", {}).get(BLUEPRINT) in wanted
    ]
    groups = {one["_source"].get("model_group_id") for one in models}
    found = {
        "connectors": connectors,
        "models": models,
        "model_groups": [one for one in _search(cluster, "model_groups") if one["_id"] in groups],
    }
    return {
        kind: {hit["_id"]: {"search": hit["_source"], "get": _get(cluster, kind, hit["_id"])} for hit in hits}
        for kind, hits in found.items()
    }


def settings(cluster: Cluster) -> Document:
    """Return the persistent settings and the role mapping that we write, and the cluster's UUID, which a salt needs."""
    mapping = cluster.request("GET", "/_plugins/_security/api/rolesmapping/ml_full_access")
    return {
        "settings": cluster.get("/_cluster/settings?flat_settings=true")["persistent"],
        "role_mapping": mapping.json() if mapping.ok else None,
        "cluster_uuid": cluster.get("/")["cluster_uuid"],
    }


class Watcher:
    """Keeps the first moment that fulfills each condition, while a rotation runs.

    :param conditions: by the name of the moment.
    """

    def __init__(
        self, cluster: Cluster, blueprints: Iterable[str], conditions: dict[str, Callable[[Moment], bool]]
    ) -> None:
        self._cluster, self._blueprints, self._conditions = cluster, list(blueprints), conditions
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")
        self.moments: dict[str, Moment] = {}

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def wait_for(self, name: str, timeout_s: float = 120.0) -> None:
        """Wait until a moment was seen."""
        deadline = time.monotonic() + timeout_s
        while name not in self.moments:
            assert time.monotonic() < deadline, f"moment {name} never came"
            time.sleep(POLL_S)

    def _watch(self) -> None:
        while not self._ended.wait(POLL_S):
            with suppress(requests.RequestException, TypeError):  # an object was deleted while it was read
                seen = documents(self._cluster, self._blueprints)
                for name, holds in self._conditions.items():
                    if name not in self.moments and holds(seen):
                        self.moments[name] = seen


def is_claimed(name: str) -> Callable[[Moment], bool]:
    """Return the condition that a blueprint has a candidate without a credential."""

    def holds(seen: Moment) -> bool:
        return any(one["get"]["parameters"][CREDENTIAL] == CLAIMED for one in _connectors(seen, name))

    return holds


def is_tested(*names: str) -> Callable[[Moment], bool]:
    """Return the condition that each blueprint has a candidate with a credential, and a deployed canary on it."""

    def holds(seen: Moment) -> bool:
        return all(
            canary["get"]["model_state"] == DEPLOYED
            and seen["connectors"][canary["get"]["connector_id"]]["get"]["parameters"][CREDENTIAL] != CLAIMED
            and not _serves(seen, name, canary)
            for name in names
            for canary in _canaries(seen, name)
        ) and all(_canaries(seen, name) for name in names)

    return holds


def is_switched(*names: str) -> Callable[[Moment], bool]:
    """Return the condition that each blueprint's model uses the candidate, and that the old connector still exists."""

    def holds(seen: Moment) -> bool:
        return all(
            any(_serves(seen, name, canary) for canary in _canaries(seen, name))
            and (_is_inline(seen, name) or len(_connectors(seen, name)) > 1)
            for name in names
        )

    return holds


def _serves(seen: Moment, name: str, canary: Document) -> bool:
    candidate = canary["get"]["connector_id"]
    model = _model(seen, name)["get"]
    if "connector" not in model:
        return bool(model["connector_id"] == candidate)
    mark = seen["connectors"][candidate]["get"]["parameters"][CREDENTIAL]
    return bool(model["connector"]["parameters"][CREDENTIAL] == mark)


def _is_inline(seen: Moment, name: str) -> bool:
    return "connector" in _model(seen, name)["get"]


def _model(seen: Moment, name: str) -> Document:
    return next(one for one in seen["models"].values() if one["search"]["name"] == name)


def _canaries(seen: Moment, name: str) -> list[Document]:
    return [one for one in seen["models"].values() if one["search"]["name"] == CANARY + name]


def _connectors(seen: Moment, name: str) -> list[Document]:
    return [one for one in seen["connectors"].values() if one["get"].get("parameters", {}).get(BLUEPRINT) == name]


def _search(cluster: Cluster, kind: str) -> list[Document]:
    body = {"query": {"match_all": {}}, "size": 1000}
    answer = cluster.request("POST", f"/_plugins/_ml/{kind}/_search", json=body)
    answer.raise_for_status()
    hits: list[Document] = answer.json()["hits"]["hits"]
    return hits


def _get(cluster: Cluster, kind: str, object_id: str) -> Document | None:
    answer = cluster.request("GET", f"/_plugins/_ml/{kind}/{object_id}")
    found: Document | None = answer.json() if answer.ok else None
    return found
