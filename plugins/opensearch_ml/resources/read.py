"""Looking at a whole cluster: a handful of requests whatever the number of models. Nothing here writes.

What it says may be a second old: whoever writes looks again, exactly, before it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint.target import Target
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.errors import PermissionDenied
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import canonical
from opensearch_ml.resources.bodies import GROUP_LABEL
from opensearch_ml.resources.inventory import Cluster, Fleet, is_canary

REMOTE = {"term": {"algorithm": "REMOTE"}}


def read_fleet(hook: OpenSearchMLHook, more_connectors: Iterable[str] = ()) -> Fleet:
    """Look at all remote models and at their connectors, in two searches.

    :param more_connectors: ids of others to look at.
    Source: ``POST /_plugins/_ml/models/_search``, ``POST /_plugins/_ml/connectors/_search``.
    """
    models = hook.search_models(REMOTE)
    ours = {"term": {f"parameters.{canonical.LABEL_OWNER}": OWNER}}
    used = {str(one["connector_id"]) for one in models if one.get("connector_id")}
    by_id = {"ids": {"values": sorted(used.union(more_connectors))}}
    connectors = hook.search_connectors({"bool": {"should": [ours, by_id], "minimum_should_match": 1}})
    return Fleet(connectors, models, hook.version)


def read_cluster(
    hook: OpenSearchMLHook,
    target: Target,
    fleet: Fleet,
    model_names: Mapping[str, str],
    *,
    admin: OpenSearchMLHook | None = None,
) -> Cluster:
    """Look at what else a plan for a target needs: with the fleet five requests, or four if it maps no role.

    One more asks for the groups of models whose connector does not tell whose they are, if there are such.

    :param fleet: as `read_fleet` returned it.
    :param model_names: of the blueprints that are wanted here, by blueprint.
    :param admin: who may read role mappings, if not the user of `hook`.
    Source: ``GET /_cat/plugins``, the two searches, ``GET /_cluster/settings``, ``GET …/api/rolesmapping``.
    """
    if asked := _unclear_groups(fleet, model_names):
        groups = hook.search_model_groups({"ids": {"values": asked}})
        marked = frozenset(group["id"] for group in groups if GROUP_LABEL in (group.get("description") or ""))
        fleet = replace(fleet, groups=marked)
    settings = hook.cluster_settings()
    if not target.role_mapping:
        return Cluster(fleet, settings)
    try:
        return Cluster(fleet, settings, (admin or hook).role_mappings())
    except PermissionDenied as refusal:
        conn_id = (admin or hook).opensearch_conn_id
        told = f"role mappings: the user of connection {conn_id} may not read them ({refusal.evidence})"
        return Cluster(fleet, settings, unseen=(told,))


def _unclear_groups(fleet: Fleet, model_names: Mapping[str, str]) -> Sequence[str]:
    wanted = set(model_names.values())

    def unclear(model: ModelDoc) -> bool:
        if owner := fleet.owner(model):
            return model.get("name") != model_names.get(owner)
        return model.get("name") in wanted or fleet.connector_in(model) is None

    found = {model.get("model_group_id") for model in fleet.models if not is_canary(model) and unclear(model)}
    return sorted(str(group) for group in found if group)
