"""What mends each kind of change, by the steps that the DAGs for provisioning and rotation use too.

Every one looks again, exactly, before it writes, and returns what it did in a few words. Deletions are in `pruning`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial

from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.client import states
from opensearch_ml.client.documents import Doc
from opensearch_ml.credentials import resolver
from opensearch_ml.credentials.secrets_manager import access_for
from opensearch_ml.errors import Conflict, NotFound
from opensearch_ml.iam.ensure_role import ensure_iam_role, role_on
from opensearch_ml.reconcile import diff_settings
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.reconcile.diff_blueprint import STUCK_S
from opensearch_ml.resources import adoption, bodies, canonical
from opensearch_ml.resources.changes import Change
from opensearch_ml.retries import persistently
from opensearch_ml.rotation.record import RotationRecord, Step
from opensearch_ml.rotation.sources import source_for, supply_for
from opensearch_ml.rotation.swap import rotate
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps import model as models
from opensearch_ml.steps.cluster_settings import ensure_ml_settings, ensure_trusted_endpoints
from opensearch_ml.steps.connector import ensure_connector
from opensearch_ml.steps.deployment import deploy
from opensearch_ml.steps.model import ensure_model, ensure_model_group
from opensearch_ml.steps.predict import smoke_predict
from opensearch_ml.steps.role_mapping import ensure_role_mapping

SEARCHABLE_S = 10.0  # 2.19 finds an update within a second


def mend_cluster(applying: ApplyContext, change: Change, target: Target, blueprints: Mapping[str, Blueprint]) -> str:
    """Set, trust or map what the cluster lacks; what others have added stays.

    :param target: as it was planned for: also with the mapping of whoever signs.
    :param blueprints: all of the target.
    """
    acting = applying.acting
    if change.what == diff_settings.SETTINGS:
        return str(ensure_ml_settings(acting, target.settings.as_cluster_settings()))
    if change.what == diff_settings.TRUSTED:
        pairs = sorted({pair for one in blueprints.values() for pair in one.trusted})
        return str(ensure_trusted_endpoints(acting, pairs))
    role = change.what.removeprefix(diff_settings.MAPPING)
    return str(ensure_role_mapping(acting, role, target.role_mapping[role]))


def mend_role(applying: ApplyContext, blueprint: Blueprint) -> str:
    """Make or mend the IAM role that the domain assumes for the blueprint's connector."""
    role = role_on(applying.hook, blueprint)
    return str(ensure_iam_role(access_for(applying.hook, applying.aws_conn_id), role)) if role else "no role"


def provision(applying: ApplyContext, blueprint: Blueprint) -> tuple[str, str]:
    """Make what is not there of a blueprint, step by step, as the provisioning DAG does.

    :return: what was done, and the model's id; empty for an MCP blueprint, which has none.
    """
    hook = applying.hook
    supply = supply_for(blueprint, hook, applying.aws_conn_id)
    credential = resolver.resolve(blueprint, hook, aws_conn_id=applying.aws_conn_id)
    connector = None if blueprint.inline else ensure_connector(hook, blueprint, credential, supply=supply)
    if blueprint.connector.is_mcp:
        return str(connector), ""
    standing = models.ours(hook, blueprint)
    group_id = str(standing[0]["model_group_id"]) if standing else ensure_model_group(hook, blueprint).id
    model = ensure_model(
        hook,
        blueprint,
        model_group_id=group_id,
        connector_id=connector.id if connector is not None else None,
        credential=credential,
        supply=supply,
    )
    return f"{model}; {deploy_and_ask(applying, blueprint, model.id)}", model.id


def deploy_and_ask(applying: ApplyContext, blueprint: Blueprint, model_id: str) -> str:
    """Deploy a model unless it is deployed, and send its smoke test."""
    deploy(applying.hook, model_id)
    return ask(applying, blueprint, model_id)


def ask(applying: ApplyContext, blueprint: Blueprint, model_id: str) -> str:
    """Send the smoke test."""
    return persistently(partial(smoke_predict, applying.hook, blueprint, model_id), attempts=3)


def adopt(applying: ApplyContext, blueprint: Blueprint, change: Change) -> str:
    """Make ours what others made: one write of a mark, which no caller notices, and a look that it is read as ours."""
    hook = applying.hook
    known = None
    if not blueprint.supplied:
        credential = resolver.resolve(blueprint, hook, aws_conn_id=applying.aws_conn_id)
        known = resolver.mark(blueprint, hook, credential)
    if blueprint.connector.is_mcp:
        return _adopt_connector(applying, blueprint, change.connectors[0], known)
    [model_id] = change.models
    model = _there(hook.get_model(model_id), f"model {model_id}")
    described = adoption.described(model.get("description"), blueprint.name, known)
    if model.get("description") != described:
        persistently(lambda: hook.update_model(model_id, {"description": described}))
    until = time.monotonic() + SEARCHABLE_S
    # By the search, too: what looks next may be a plan.
    while not any(one["id"] == model_id for one in connectors.adopted_models(hook, blueprint.name)):
        if time.monotonic() > until:
            raise Conflict(
                f"model {model_id} was marked, and does not read as {blueprint.name}'s",
                evidence=str((hook.get_model(model_id) or {}).get("description")),
                fix="run again; let nobody else write its description meanwhile",
            )
        time.sleep(0.1)
    return f"model {model_id} is ours by its description; nothing else was written"


def update(applying: ApplyContext, blueprint: Blueprint, change: Change) -> str:
    """Bring a model's own fields to what the blueprint says, by one PUT; an MCP connector is made anew."""
    hook = applying.hook
    if blueprint.connector.is_mcp:
        supply = supply_for(blueprint, hook, applying.aws_conn_id)
        credential = resolver.resolve(blueprint, hook, aws_conn_id=applying.aws_conn_id)
        return str(ensure_connector(hook, blueprint, credential, supply=supply))
    [model_id] = change.models
    wanted = bodies.model(blueprint, model_group_id="", credential={}, known=bodies.NO_LABEL)

    def attempt() -> list[str]:
        found = _there(hook.get_model(model_id), f"model {model_id}")
        body = bodies.model_update(wanted, found)
        if found.get("name") != blueprint.model_name:
            body["name"] = blueprint.model_name
        if change.connectors and found.get("connector_id") != change.connectors[0]:
            _there(hook.get_connector(change.connectors[0]), f"connector {change.connectors[0]}")
            body["connector_id"] = change.connectors[0]
        if body:
            hook.update_model(model_id, body)
        return sorted(body)

    written = persistently(attempt)
    return f"model {model_id} updated: {', '.join(written)}" if written else f"model {model_id} was right already"


def redeploy(applying: ApplyContext, blueprint: Blueprint, model_id: str) -> str:
    """Deploy a model again; one whose deployment failed, or is stuck, is undeployed first, or it stays so."""
    hook = applying.hook
    found = _there(hook.get_model(model_id), f"model {model_id}")
    state = str(found.get("model_state"))
    age_s = time.time() - int(found.get("last_updated_time") or 0) / 1000
    if state in states.MODEL_DEPLOY_FAILED or (state in states.MODEL_DEPLOYING and age_s > STUCK_S):
        persistently(partial(hook.undeploy_model, model_id))
    return f"model {model_id} was {state}, and is deployed; {deploy_and_ask(applying, blueprint, model_id)}"


def swap(applying: ApplyContext, blueprint: Blueprint, turns: threading.Semaphore) -> RotationRecord:
    """Bring a new credential or definition to a model under traffic, or end what a killed rotation began.

    :param turns: held by the caller; released during the grace period, which takes half a minute and sends nothing.
    """

    def on_step(step: Step, when: str) -> None:
        if step is Step.GRACE:
            (turns.release if when == "before" else turns.acquire)()

    source = source_for(blueprint, applying.hook, applying.aws_conn_id)
    return rotate(applying.hook, blueprint, source, token=applying.token, acting=applying.acting, on_step=on_step)


def _adopt_connector(applying: ApplyContext, blueprint: Blueprint, connector_id: str, known: str | None) -> str:
    # No model uses an MCP connector, so it takes a PUT, which adds our marks to its parameters.
    marks = {canonical.LABEL_OWNER: OWNER, canonical.LABEL_BLUEPRINT: blueprint.name}
    if known:
        marks[canonical.LABEL_CREDENTIAL] = known
    persistently(lambda: applying.hook.update_connector(connector_id, {"parameters": marks}))
    return f"connector {connector_id} is ours by its parameters; nothing else was written"


def _there(found: Doc | None, what: str) -> Doc:
    if found is None:
        raise NotFound(f"{what} is gone", evidence="GET -> 404", fix="run again: the next plan sees it")
    return found
