"""The rotation's operators, as far as no cluster is needed: their token, the next run, and the summary's alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from opensearch_ml import notifications
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc, ModelGroupDoc
from opensearch_ml.errors import NoSuchBlueprint, RemoteModelRefused, RotationFailed, ServerBusy
from opensearch_ml.operators.handover import FAILURE, token_of
from opensearch_ml.operators.rotation import (
    STANDINGS,
    OpenSearchPlanNextRotationOperator,
    OpenSearchRotateCredentialOperator,
    OpenSearchSummarizeRotationsOperator,
)
from opensearch_ml.rotation.record import RotationRecord
from opensearch_ml.rotation.selection import Standing
from tests.support.doubles import TaskInstanceDouble, as_context

NOW = datetime.now(timezone.utc)


def context(
    standings: Sequence[Standing] = (), mapped: Sequence[str] = (), **left: Sequence[Mapping[str, Any]]
) -> Context:
    found: dict[tuple[str, str], list[Any]] = {
        ("find", STANDINGS): [[standing.as_dict() for standing in standings]],
        ("find", "return_value"): [list(mapped)],
        ("rotate", "return_value"): list(left.get("records", [None])),
        ("rotate", FAILURE): list(left.get("failures", [None])),
    }
    return as_context({"ti": TaskInstanceDouble(found)})


def session(name: str, due_s: float, ends_s: float, *why: str) -> Standing:
    return Standing(name, "m", why, NOW + timedelta(seconds=due_s), NOW + timedelta(seconds=ends_s))


def test_every_try_of_a_task_has_the_same_token_and_no_other_task_has() -> None:
    tokens = {token_of(as_context({"ti": TaskInstanceDouble(try_number=number)})) for number in (1, 2)}
    assert tokens == {"rotation/manual/rotate/3"}
    other = token_of(as_context({"ti": TaskInstanceDouble(map_index=4)}))
    assert other not in tokens


@pytest.mark.parametrize("error", [RemoteModelRefused, ServerBusy])
def test_what_ends_a_rotation_is_left_for_the_summary(
    monkeypatch: pytest.MonkeyPatch, error: type[RemoteModelRefused] | type[ServerBusy]
) -> None:
    operator = OpenSearchRotateCredentialOperator(task_id="rotate", blueprint="chat")

    def fails() -> None:
        operator.hook.keep_secret(["canary-Jw4"])
        raise error("refused", evidence="401 canary-Jw4", fix="correct the key")

    monkeypatch.setattr(operator, "load", fails)
    ti = TaskInstanceDouble()
    with pytest.raises((AirflowFailException, ServerBusy)):
        operator.execute(as_context({"ti": ti}))
    [left] = ti.xcoms["rotate", FAILURE]
    assert left == {"blueprint": "chat", "told": "refused\n  evidence: 401 ***\n  fix: correct the key"}


class Cluster:
    """A hook on a cluster where one connector carries a blueprint's mark; it has no trusted endpoints to ask for."""

    domain_arn = aws = None

    def search_connectors(self, query: Mapping[str, object]) -> list[ConnectorDoc]:
        return [{"id": "Ab3", "actions": [], "parameters": {}}]

    def search_models(self, query: Mapping[str, object]) -> list[ModelDoc]:
        return [{"id": "Xy9", "name": "anything"}, {"id": "c", "name": "opensearch_ml.canary.deleted_file"}]


class WithoutModels(Cluster):
    """The same without a model."""

    version = (3, 6, 0)

    def search_models(self, query: Mapping[str, object]) -> list[ModelDoc]:
        return []

    def search_model_groups(self, query: Mapping[str, object]) -> list[ModelGroupDoc]:
        return []


def test_a_model_whose_file_is_gone_is_named_and_nothing_else_is_suggested() -> None:
    operator = OpenSearchRotateCredentialOperator(task_id="rotate", blueprint="openai_embeding")
    vars(operator)["hook"] = Cluster()
    with pytest.raises(RotationFailed) as told:
        operator.load()
    assert "model Xy9 was made from it" in told.value.cause
    assert "Did you mean" not in str(told.value)
    vars(operator)["hook"] = WithoutModels()
    with pytest.raises(NoSuchBlueprint, match="Did you mean openai_embedding"):
        operator.load()


def test_an_endpoint_is_trusted_for_a_candidate_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blueprint without a model here, or with a right one, lets the cluster call nothing."""
    operator = OpenSearchRotateCredentialOperator(task_id="rotate", blueprint="openai_chat")
    vars(operator)["hook"] = WithoutModels()
    monkeypatch.setattr("opensearch_ml.operators.rotation.source_for", lambda *given: None)
    with pytest.raises(AirflowFailException, match="nothing to rotate"):
        operator._rotate(as_context({"ti": TaskInstanceDouble()}))


def test_the_next_run_is_started_when_the_next_session_is_due_once() -> None:
    operator = OpenSearchPlanNextRotationOperator(task_id="plan_next", opensearch_conn_id="team/one", aws_conn_id="aws")
    due = (NOW + timedelta(minutes=30)).replace(microsecond=0)
    with pytest.raises(DagRunTriggerException) as triggered:
        operator.execute(context([session("chat", 1800, 3600)]))
    told = triggered.value
    assert abs(told.run_after - due) <= timedelta(seconds=1)
    assert told.dag_run_id == f"due__team-one__{told.run_after.isoformat()}"
    assert told.conf == {"opensearch_conn_id": "team/one", "aws_conn_id": "aws"}
    assert (told.skip_when_already_exists, told.reset_dag_run, told.wait_for_completion) == (True, False, False)


def test_what_a_rotation_brought_is_what_counts_for_the_next() -> None:
    operator = OpenSearchPlanNextRotationOperator(task_id="plan_next")
    new_due = NOW + timedelta(hours=1)
    record = RotationRecord(outcome="rotated", blueprint="chat", model_id="m", source="assume_role", next_due=new_due)
    with pytest.raises(DagRunTriggerException) as triggered:
        operator.execute(context([session("chat", -5, 600, "credential")], ["chat"], records=[record.as_dict()]))
    assert triggered.value.run_after == new_due.replace(microsecond=0)


@pytest.mark.parametrize("standings", [[], [Standing("chat", "m")]])
def test_without_sessions_the_schedule_is_enough(standings: list[Standing]) -> None:
    with pytest.raises(AirflowSkipException, match="before the schedule's next run"):
        OpenSearchPlanNextRotationOperator(task_id="plan_next").execute(context(standings))


def test_a_session_that_was_not_replaced_alarms_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[str] = []
    monkeypatch.setattr(notifications, "tell", lambda context, subject, text: alarms.append(f"{subject}: {text}"))
    standing = session("chat", -5, 600, "credential")
    failures = [{"blueprint": "chat", "told": "STS refuses\n  fix: allow it"}]
    given = context([standing, session("other", 5, 600)], ["chat"], failures=failures)
    operator = OpenSearchSummarizeRotationsOperator(task_id="summary")
    monkeypatch.setattr(operator, "tell", lambda outcome: None)
    with pytest.raises(AirflowFailException, match="1 unchanged, 0 rotated, 0 busy, 1 failed"):
        operator.execute(given)
    [alarm] = alarms
    assert alarm.startswith("the credential of chat ends at ")
    assert alarm.endswith(", and was not replaced: STS refuses\n  fix: allow it")


@pytest.mark.parametrize(
    ("xcoms", "told"),
    [
        ({("find", FAILURE): [{"blueprint": "", "told": "401\n  fix: login"}]}, "401\n  fix: login"),
        ({}, "read the log of task find"),  # it was killed
    ],
)
def test_a_run_that_could_not_look_is_no_success(xcoms: dict[tuple[str, str], list[Any]], told: str) -> None:
    with pytest.raises(AirflowFailException, match="no model was looked at") as failed:
        OpenSearchSummarizeRotationsOperator(task_id="summary").execute(as_context({"ti": TaskInstanceDouble(xcoms)}))
    assert told in str(failed.value)
