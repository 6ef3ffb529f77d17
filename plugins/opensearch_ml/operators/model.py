"""Operators for model groups and models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from opensearch_ml import assets
from opensearch_ml.catalog import folders
from opensearch_ml.links import OpenSearchModelLink
from opensearch_ml.operators.base import (
    OpenSearchMLBaseOperator,
    OpenSearchMLBlueprintOperator,
    OpenSearchMLCredentialOperator,
    fail_fast,
)
from opensearch_ml.rotation.candidate import delete_canaries, undeploy_canaries
from opensearch_ml.steps.deployment import start_deployment, undeploy
from opensearch_ml.steps.model import delete_model_group, delete_models, ensure_model, ensure_model_group
from opensearch_ml.steps.predict import smoke_predict

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = [
    "OpenSearchCreateModelGroupOperator",
    "OpenSearchDeleteModelGroupOperator",
    "OpenSearchDeleteModelOperator",
    "OpenSearchDeployModelOperator",
    "OpenSearchPredictOperator",
    "OpenSearchRegisterModelOperator",
    "OpenSearchUndeployModelOperator",
]


class OpenSearchCreateModelGroupOperator(OpenSearchMLBlueprintOperator):
    """Create a blueprint's model group, or reuse the one that has its name.

    :param blueprint: the blueprint's name (templated).
    :return: the model group's id.
    """

    @fail_fast
    def execute(self, context: Context) -> str:
        blueprint = self.load()
        if blueprint.connector.is_mcp:
            raise AirflowSkipException(f"{blueprint.name} is a source of tools for agents: it has no model")
        outcome = ensure_model_group(self.hook, blueprint)
        self.tell(outcome)
        return outcome.id


class OpenSearchRegisterModelOperator(OpenSearchMLCredentialOperator):
    """Register a blueprint's model, unless it is there.

    :param blueprint: the blueprint's name (templated).
    :param model_group_id: the model group (templated).
    :param connector_id: the standalone connector; None for an internal one (templated).
    :return: the model's id.
    """

    template_fields: Sequence[str] = (
        "model_group_id",
        "connector_id",
        *OpenSearchMLCredentialOperator.template_fields,
    )
    operator_extra_links = (OpenSearchModelLink(),)

    def __init__(self, *, model_group_id: str, connector_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_group_id = model_group_id
        self.connector_id = connector_id

    @fail_fast
    def execute(self, context: Context) -> str:
        blueprint = self.load()
        outcome = ensure_model(
            self.hook,
            blueprint,
            model_group_id=self.model_group_id,
            connector_id=self.connector_id,
            credential=self.credential(blueprint) if blueprint.inline else None,
            supply=self.supply(blueprint) if blueprint.inline else None,
        )
        OpenSearchModelLink.persist(context, self.hook.base_url, outcome.id)
        assets.note(context, outcome)
        self.tell(outcome)
        return outcome.id


class OpenSearchDeployModelOperator(OpenSearchMLBaseOperator):
    """Start to deploy a model, unless it is deployed; `OpenSearchDeployTaskSensor` tells how it ends.

    :param model_id: the model (templated).
    :return: the deploy task's id; None if the model is deployed already.
    """

    template_fields: Sequence[str] = ("model_id", *OpenSearchMLBaseOperator.template_fields)

    def __init__(self, *, model_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id

    @fail_fast
    def execute(self, context: Context) -> str | None:
        task_id = start_deployment(self.hook, self.model_id)
        assets.note(context, f"model {self.model_id} deployed" if task_id else "")
        self.tell(
            f"model {self.model_id} deploys in task {task_id}"
            if task_id
            else f"model {self.model_id} is deployed already"
        )
        return task_id


class OpenSearchPredictOperator(OpenSearchMLCredentialOperator):
    """Send a blueprint's smoke test to its model, and check the answer's content.

    With `assets.MODELS` among its outlets it makes an event of the model's asset, if an earlier task of the run changed
    something, or the model was never announced: the run that made it may have failed.

    :param blueprint: the blueprint's name (templated).
    :param model_id: the deployed model (templated).
    :return: the model's id, which now is known to answer.
    """

    template_fields: Sequence[str] = ("model_id", *OpenSearchMLCredentialOperator.template_fields)
    operator_extra_links = (OpenSearchModelLink(),)

    def __init__(self, *, model_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id

    @fail_fast
    def execute(self, context: Context) -> str:
        blueprint = self.load()
        # A model's platform may echo the key that it refuses.
        self.credential(blueprint)
        seen = smoke_predict(self.hook, blueprint, self.model_id)
        OpenSearchModelLink.persist(context, self.hook.base_url, self.model_id)
        if assets.MODELS in self.outlets:
            self._announce(context, blueprint.name)
        self.tell(seen)
        return self.model_id

    def _announce(self, context: Context, blueprint_name: str) -> None:
        asset = assets.asset_of(folders.catalog().target(self.opensearch_conn_id).name, blueprint_name)
        earlier = self.get_flat_relative_ids(upstream=True)
        done = assets.noted(context, [task_id for task_id in self.dag.task_ids if task_id in earlier])
        if done or not assets.was_announced(asset, self.model_id):
            assets.announce(context, asset, self.model_id, done)


class OpenSearchUndeployModelOperator(OpenSearchMLBlueprintOperator):
    """Disable and undeploy the models that we registered for a blueprint, also a killed rotation's canary.

    :param blueprint: the blueprint's name (templated).
    """

    @fail_fast
    def execute(self, context: Context) -> None:
        blueprint = self.load()
        if left := undeploy_canaries(self.hook, blueprint.name):
            self.tell(f"canary {', '.join(left)}, which a killed rotation left, undeployed")
        self.tell(undeploy(self.hook, blueprint))


class OpenSearchDeleteModelOperator(OpenSearchMLBlueprintOperator):
    """Delete the models that we registered for a blueprint, canaries too; they must be undeployed.

    :param blueprint: the blueprint's name (templated).
    """

    @fail_fast
    def execute(self, context: Context) -> None:
        blueprint = self.load()
        if left := delete_canaries(self.hook, blueprint.name):
            self.tell(f"canary {', '.join(left)} deleted")
        self.tell(delete_models(self.hook, blueprint))


class OpenSearchDeleteModelGroupOperator(OpenSearchMLBlueprintOperator):
    """Delete a blueprint's model group, if we made it and it is empty.

    :param blueprint: the blueprint's name (templated).
    """

    @fail_fast
    def execute(self, context: Context) -> None:
        self.tell(delete_model_group(self.hook, self.load()))
