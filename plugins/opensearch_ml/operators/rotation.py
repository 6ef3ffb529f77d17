"""Operators that bring new credentials and definitions to models under traffic."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from opensearch_ml import notifications
from opensearch_ml.assets import MODELS, asset_of
from opensearch_ml.aws.access import DEFAULT_CONNECTION
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog import folders
from opensearch_ml.errors import NoSuchBlueprint
from opensearch_ml.links import OpenSearchModelLink
from opensearch_ml.operators.base import (
    OpenSearchMLAdminOperator,
    OpenSearchMLBaseOperator,
    OpenSearchMLBlueprintOperator,
    fail_fast,
)
from opensearch_ml.operators.handover import FAILURE, Failure, flat, is_true, pulled, token_of
from opensearch_ml.resources.read import read_fleet
from opensearch_ml.rotation import summary
from opensearch_ml.rotation.failures import file_is_gone
from opensearch_ml.rotation.schedule import next_run
from opensearch_ml.rotation.selection import Standing, standings
from opensearch_ml.rotation.sources import source_for
from opensearch_ml.rotation.sources.iam_user_key import IamUserKeySource
from opensearch_ml.rotation.sources.role_arn import RoleArnSource
from opensearch_ml.rotation.swap import rotate
from opensearch_ml.steps.model import made_from

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = [
    "OpenSearchFindRotationsOperator",
    "OpenSearchPlanNextRotationOperator",
    "OpenSearchRotateCredentialOperator",
    "OpenSearchSummarizeRotationsOperator",
]

NOT_IN_A_RUN_ID = re.compile(r"[^A-Za-z0-9_.~:+-]")  # Airflow's default for scheduler.allowed_run_id_pattern
STANDINGS = "opensearch_ml_standings"


class OpenSearchFindRotationsOperator(OpenSearchMLBaseOperator):
    """Find the models that may need a rotation; a few searches whatever their number, and no write.

    :param blueprints: names, as a list or with commas; none: every blueprint that has a model here (templated).
    :param force: name those too for which nothing is to do (templated).
    :param aws_conn_id: who asks AWS for what the sources of credentials need (templated).
    :return: names of blueprints, one for each rotation to run.
    """

    template_fields: Sequence[str] = ("blueprints", "force", "aws_conn_id", *OpenSearchMLBaseOperator.template_fields)

    def __init__(
        self,
        *,
        blueprints: Sequence[str] | str = (),
        force: bool | str = False,
        aws_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.blueprints = blueprints
        self.force = force
        self.aws_conn_id = aws_conn_id

    def execute(self, context: Context) -> list[str]:
        with Failure(self, context, ""):
            return self._find(context)

    @fail_fast
    def _find(self, context: Context) -> list[str]:
        catalog = folders.catalog()
        fleet = read_fleet(self.hook)
        asked = self.blueprints.split(",") if isinstance(self.blueprints, str) else self.blueprints
        names = [name.strip() for name in asked if name.strip()]
        found = standings(
            fleet,
            names or sorted(fleet.blueprints),
            load=lambda name: catalog.blueprint(
                name, opensearch_conn_id=self.opensearch_conn_id, domain_arn=self.hook.domain_arn
            ),
            source_for=lambda blueprint: source_for(blueprint, self.hook, self.aws_conn_id),
            force=is_true(self.force),
        )
        self._say(found)
        context["ti"].xcom_push(key=STANDINGS, value=[standing.as_dict() for standing in found])
        return [standing.blueprint for standing in found if standing.why]

    def _say(self, found: Sequence[Standing]) -> None:
        for standing in found:
            self.log.log(logging.INFO if standing.can else logging.WARNING, "%s", standing)
            if standing.warning:
                self.log.warning("%s: %s", standing.blueprint, standing.warning)
        some = sum(bool(standing.why) and standing.can for standing in found)
        lame = sum(not standing.can for standing in found)
        cannot = f", {lame} cannot be rotated" if lame else ""
        self.tell(f"{some} of {len(found)} models may need a rotation{cannot}; nothing was written")


class OpenSearchRotateCredentialOperator(OpenSearchMLAdminOperator, OpenSearchMLBlueprintOperator):
    """Bring a blueprint's new credential or definition to its model, which keeps its id and goes on answering.

    The new one is tested before it serves; if it is refused, the old one goes on serving. A try after a killed one goes
    on where that one stopped.

    :param blueprint: the blueprint's name (templated).
    :param force: also if nothing differs (templated).
    :param aws_conn_id: who asks AWS for what the source of the credential needs (templated).
    :param opensearch_admin_conn_id: who lets the cluster call a new URL, if not the user of ``opensearch_conn_id``;
        not asked as long as the URL is the same (templated).
    :return: what was done: `RotationRecord.as_dict`, which holds no secret; it is also the event's extra.
    """

    template_fields: Sequence[str] = (
        "blueprint",
        "force",
        "aws_conn_id",
        *OpenSearchMLAdminOperator.template_fields,
    )
    operator_extra_links = (OpenSearchModelLink(),)
    ui_color = "#f2d8a7"

    def __init__(self, *, force: bool | str = False, aws_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.force = force
        self.aws_conn_id = aws_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        with Failure(self, context, self.blueprint):
            return self._rotate(context)

    def load(self) -> Blueprint:
        """Read the blueprint, whose name may come from a mark in the cluster: then its file may be gone."""
        try:
            return super().load()
        except NoSuchBlueprint:
            if made := made_from(self.hook, self.blueprint):
                raise file_is_gone(self.blueprint, [model["id"] for model in made]) from None
            raise

    @fail_fast
    def _rotate(self, context: Context) -> dict[str, Any]:
        blueprint = self.load()
        source = source_for(blueprint, self.hook, self.aws_conn_id)
        self.log.info("%s: credential: %s", blueprint.name, blueprint.credential_origin)
        done = rotate(
            self.hook,
            blueprint,
            source,
            token=token_of(context),
            acting=self.acting_hook,
            force=is_true(self.force),
        )
        if isinstance(source, RoleArnSource):
            for seen in source.check():
                self.log.info("%s", seen)
        if isinstance(source, IamUserKeySource) and done.outcome == "unchanged":
            for told in source.tidy(done.new_mark):  # an old key whose time has come
                self.log.info("%s", told)
        record = done.as_dict()
        OpenSearchModelLink.persist(context, self.hook.base_url, done.model_id)
        if done.outcome == "rotated" and MODELS in self.outlets:
            target = folders.catalog().target(self.opensearch_conn_id).name
            context["outlet_events"][MODELS].add(asset_of(target, blueprint.name), extra=record)
        self.tell(str(done))
        return record


class OpenSearchPlanNextRotationOperator(OpenSearchMLBaseOperator):
    """Have Airflow start this DAG once more when the next credential is due, if that is before the schedule sees it.

    :param find_task_id: task of `OpenSearchFindRotationsOperator` (templated).
    :param rotate_task_id: the mapped task of `OpenSearchRotateCredentialOperator` (templated).
    :param aws_conn_id: handed on to that run (templated).
    """

    template_fields: Sequence[str] = (
        "find_task_id",
        "rotate_task_id",
        "aws_conn_id",
        *OpenSearchMLBaseOperator.template_fields,
    )
    ui_color = "#e8f0f2"

    def __init__(
        self,
        *,
        find_task_id: str = "find",
        rotate_task_id: str = "rotate",
        aws_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.find_task_id = find_task_id
        self.rotate_task_id = rotate_task_id
        self.aws_conn_id = aws_conn_id

    def execute(self, context: Context) -> None:
        rows = _rows(context, self.find_task_id, self.rotate_task_id)
        at = next_run(datetime.now(timezone.utc), [(row.due, row.ends, row.outcome == "failed") for row in rows])
        if at is None:
            raise AirflowSkipException("no credential is due before the schedule's next run")
        at = at.replace(microsecond=0)
        self.tell(f"the next run starts at {at.isoformat()}, when a credential is due")
        raise DagRunTriggerException(
            trigger_dag_id=self.dag_id,
            # The same moment is planned once, whoever plans it.
            dag_run_id=NOT_IN_A_RUN_ID.sub("-", f"due__{self.opensearch_conn_id}__{at.isoformat()}"),
            conf={"opensearch_conn_id": self.opensearch_conn_id, "aws_conn_id": self.aws_conn_id},
            run_after=at,
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=60,
            deferrable=False,
        )


class OpenSearchSummarizeRotationsOperator(OpenSearchMLBaseOperator):
    """Tell what became of every model, alarm for credentials about to end, and fail if one was not rotated.

    :param find_task_id: task of `OpenSearchFindRotationsOperator` (templated).
    :param rotate_task_id: the mapped task of `OpenSearchRotateCredentialOperator` (templated).
    :return: how many models had which outcome.
    """

    template_fields: Sequence[str] = ("find_task_id", "rotate_task_id", *OpenSearchMLBaseOperator.template_fields)
    ui_color = "#e8f0f2"

    def __init__(self, *, find_task_id: str = "find", rotate_task_id: str = "rotate", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.find_task_id = find_task_id
        self.rotate_task_id = rotate_task_id

    def execute(self, context: Context) -> dict[str, int]:
        if found := pulled(context, self.find_task_id, FAILURE):
            raise AirflowFailException(f"no model was looked at: {found[0]['told']}")
        if not pulled(context, self.find_task_id, STANDINGS):
            raise AirflowFailException(f"no model was looked at: read the log of task {self.find_task_id}")
        rows = _rows(context, self.find_task_id, self.rotate_task_id)
        for row in summary.endangered(rows):
            subject = f"the credential of {row.blueprint} ends at {row.ends}, and was not replaced"
            notifications.tell(context, subject, row.told)
        told = summary.table(rows)
        self.tell(told)
        failed = [row for row in rows if row.outcome == "failed"]
        if failed:
            causes = "\n".join(f"{row.blueprint}: {row.told}" for row in failed)
            raise AirflowFailException(f"{told}\n{causes}")
        return {outcome: sum(row.outcome == outcome for row in rows) for outcome in summary.OUTCOMES}


def _rows(context: Context, find_task_id: str, rotate_task_id: str) -> list[summary.Row]:
    return summary.rows(
        flat(pulled(context, find_task_id, STANDINGS)),
        flat(pulled(context, find_task_id, "return_value")),
        pulled(context, rotate_task_id, "return_value"),
        pulled(context, rotate_task_id, FAILURE),
    )
