"""A blueprint provisioned on a cluster by the product's own steps, as the DAG runs them."""

from __future__ import annotations

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import Unreachable
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.retries import persistently
from opensearch_ml.steps.cluster_settings import ensure_ml_settings, ensure_trusted_endpoints
from opensearch_ml.steps.connector import ensure_connector
from opensearch_ml.steps.deployment import look_at_deployment, start_deployment
from opensearch_ml.steps.model import ensure_model, ensure_model_group
from opensearch_ml.steps.predict import smoke_predict
from tests.support.cluster import OPENAI_KEY

CREDENTIAL = {"openAI_key": OPENAI_KEY}


def prepare(hook: OpenSearchMLHook, blueprint: Blueprint) -> None:
    """What every connector here needs: its URL trusted, and calls to this machine allowed."""
    ensure_ml_settings(hook, {"plugins.ml_commons.connector.private_ip_enabled": True})
    ensure_trusted_endpoints(hook, blueprint.trusted)


def provision(hook: OpenSearchMLHook, blueprint: Blueprint, credential: dict[str, str] = CREDENTIAL) -> str:
    """All steps, as the DAG runs them; returns the model's id."""
    prepare(hook, blueprint)
    connector_id = None if blueprint.inline else ensure_connector(hook, blueprint, credential).id
    group_id = ensure_model_group(hook, blueprint).id
    model_id = ensure_model(
        hook, blueprint, model_group_id=group_id, connector_id=connector_id, credential=credential
    ).id
    task_id = start_deployment(hook, model_id)
    persistently(lambda: until_deployed(hook, model_id, task_id))
    smoke_predict(hook, blueprint, model_id)
    return model_id


def until_deployed(hook: OpenSearchMLHook, model_id: str, task_id: str | None) -> None:
    if not look_at_deployment(hook, model_id, task_id).done:
        raise Unreachable("not yet", evidence="", fix="")
