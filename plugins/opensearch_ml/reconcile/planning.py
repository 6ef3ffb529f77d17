"""A plan from files and cluster: what the command line and a DAG both start with. Nothing here writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.credentials import resolver
from opensearch_ml.credentials.secrets_manager import access_for
from opensearch_ml.errors import PermissionDenied
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.iam.ensure_role import role_on, what_lacks
from opensearch_ml.reconcile.credential_cache import Resolving, Serving
from opensearch_ml.reconcile.desired import desired
from opensearch_ml.reconcile.diff_blueprint import NO_TOKEN
from opensearch_ml.reconcile.plan import plan
from opensearch_ml.resources.changes import Plan
from opensearch_ml.resources.inventory import Cluster
from opensearch_ml.resources.read import read_cluster, read_fleet
from opensearch_ml.rotation.sources import source_for
from opensearch_ml.steps.role_mapping import wanted_mappings


@dataclass(frozen=True)
class Planned:
    """A plan, and what it was made of.

    :param blueprints: those without findings, by name.
    :param target: with the mapping of whoever signs the requests, if he is mapped to no role that may use ML Commons.
    """

    plan: Plan
    blueprints: Mapping[str, Blueprint]
    cluster: Cluster
    target: Target

    @property
    def version(self) -> str:
        """The cluster's, for people."""
        return ".".join(map(str, self.cluster.fleet.version))


def plan_for(
    hook: OpenSearchMLHook,
    catalog: Catalog,
    target: Target,
    names: Iterable[str],
    *,
    admin: OpenSearchMLHook | None = None,
    aws_conn_id: str | None = None,
    token: str = NO_TOKEN,
) -> Planned:
    """Return what would change on a target's cluster.

    :param hook: of the target's connection.
    :param names: of the blueprints that live there, as `Catalog.fleet` returns them.
    :param admin: who may read role mappings, and maps whoever signs, if not the user of `hook`.
    :param aws_conn_id: who asks AWS; default: who signs the requests to the cluster, or ``aws_default``.
    :param token: of the run that asks: what it began itself does not keep it from going on.
    :raises OpenSearchMLError: the cluster could not be looked at.
    """
    names = list(names)

    def looked_at_by(looker: OpenSearchMLHook, target: Target) -> Planned:
        return _planned(hook, looker, catalog, target, names, admin=admin, aws_conn_id=aws_conn_id, token=token)

    try:
        return looked_at_by(hook, target)
    except PermissionDenied:
        if admin is None or admin is hook:
            raise
        mappings = wanted_mappings(hook, target)
        if mappings == target.role_mapping:
            raise
    # A new domain knows nobody but its master user: he looks, and the first change is to map whoever signs.
    return looked_at_by(admin, target.model_copy(update={"role_mapping": mappings}))


def _planned(
    hook: OpenSearchMLHook,
    looker: OpenSearchMLHook,
    catalog: Catalog,
    target: Target,
    names: Iterable[str],
    *,
    admin: OpenSearchMLHook | None,
    aws_conn_id: str | None,
    token: str,
) -> Planned:
    version = looker.version
    with ThreadPoolExecutor(1) as beside:  # the cluster searches while the files are read
        looking = beside.submit(read_fleet, looker, target.adopt.values())
        wanted = desired(catalog, target, names, domain_arn=hook.domain_arn, version=version)
    blueprints = {one.name: one.blueprint for one in wanted if one.blueprint}
    model_names = {name: blueprint.model_name for name, blueprint in blueprints.items()}
    cluster = read_cluster(looker, target, looking.result(), model_names, admin=admin)
    looks = resolver.Looks(hook, aws_conn_id)
    made = plan(
        target,
        wanted,
        cluster,
        serves=Serving(lambda blueprint: source_for(blueprint, hook, aws_conn_id, looks=looks)),
        resolves=Resolving(lambda blueprint: resolver.resolve(blueprint, hook, looks=looks)),
        now_ms=int(time.time() * 1000),
        role_lacks=_role_lacks(hook, aws_conn_id),
        token=token,
    )
    return Planned(made, blueprints, cluster, target)


def _role_lacks(
    hook: OpenSearchMLHook, aws_conn_id: str | None
) -> Callable[[Blueprint], tuple[str, ...] | None] | None:
    if hook.domain_arn is None:
        return None  # nothing assumes a role there
    access = access_for(hook, aws_conn_id)

    def lacks(blueprint: Blueprint) -> tuple[str, ...] | None:
        role = role_on(hook, blueprint)
        return what_lacks(access, role) if role else ()

    return lacks
