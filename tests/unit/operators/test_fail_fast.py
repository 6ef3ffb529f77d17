"""How an error ends a task: at once and said in full if a retry would repeat it, else as Airflow retries it."""

from __future__ import annotations

import inspect
import json
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any, NoReturn

import pytest
import tenacity
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    TaskDeferred,
)
from structlog.tracebacks import ExceptionDictTransformer

from opensearch_ml import errors
from opensearch_ml.errors import Final, Finding, OpenSearchMLError, Transient
from opensearch_ml.operators.base import fail_fast
from opensearch_ml.triggers import OpenSearchDeployTaskTrigger
from tests.support.airflow_classes import OPERATORS, own_arguments
from tests.support.cluster import connections
from tests.support.doubles import ClusterDouble, TaskInstanceDouble, as_context

SECRET = "canary-Hn5-Ya3-Mw7"


def _all(kind: type[OpenSearchMLError]) -> list[type[OpenSearchMLError]]:
    return [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, kind)]


def example(cls: type[OpenSearchMLError]) -> OpenSearchMLError:
    if "findings" in inspect.signature(cls).parameters:
        of_a_file: Callable[..., OpenSearchMLError] = cls
        return of_a_file("a.yaml", [Finding("connector.name", "is missing", "Add it.")])
    return cls("what happened", evidence="what shows it", fix="what to do")


class Task:
    """Stands for an operator whose requests are those of one hook."""

    hook = acting_hook = ClusterDouble()

    @fail_fast
    def ending_in(self, *errors: BaseException) -> None:
        for error in errors:
            raise error


ending_in = Task().ending_in


@pytest.mark.parametrize("cls", [cls for cls in _all(Final) if cls is not errors.PreflightFailed])
def test_a_final_error_ends_the_task_and_says_cause_evidence_and_fix(cls: type[Final]) -> None:
    error = example(cls)
    with pytest.raises(AirflowFailException) as raised:
        ending_in(error)
    assert str(raised.value) == str(error)
    assert [line.partition(":")[0] for line in str(raised.value).splitlines()[1:]] == ["  evidence", "  fix"]


@pytest.mark.usefixtures("_impatient_with_iam")
@pytest.mark.parametrize("cls", _all(Transient))
def test_a_passing_error_is_left_to_airflows_retries(cls: type[Transient]) -> None:
    error = example(cls)
    with pytest.raises(cls) as raised:
        ending_in(error)
    assert raised.value is error


@pytest.mark.parametrize(
    "signal",
    [
        TaskDeferred(trigger=OpenSearchDeployTaskTrigger("c", "m", None, 0.0), method_name="execute_complete"),
        AirflowSkipException("nothing to do"),
        # Airflow gives this one no types.
        AirflowRescheduleException(datetime(2030, 1, 1, tzinfo=timezone.utc)),  # type: ignore[no-untyped-call]
        KeyError("a mistake of ours"),
        KeyboardInterrupt(),
    ],
    ids=lambda signal: type(signal).__name__,
)
def test_everything_else_passes_as_it_is(signal: BaseException) -> None:
    with pytest.raises(type(signal)) as raised:
        ending_in(signal)
    assert raised.value is signal


def test_what_lies_behind_a_final_error_is_not_in_the_log() -> None:
    def refused() -> None:
        try:
            raise ValueError(f"body: {SECRET}")
        except ValueError as cause:
            raise errors.RequestRefused("the cluster refuses", evidence="400", fix="mend it") from cause

    with pytest.raises(AirflowFailException) as raised:
        fail_fast(lambda _: refused())(Task())
    error = raised.value
    printed = "".join(traceback.format_exception(error))
    # What Airflow writes to a task's log: the same transformer, with its own settings.
    logged = ExceptionDictTransformer(use_rich=False, show_locals=False)((type(error), error, error.__traceback__))
    assert "the cluster refuses" in printed
    assert "the cluster refuses" in json.dumps(logged)
    assert SECRET not in printed + json.dumps(logged)


def test_the_name_and_docstring_of_what_is_wrapped_stay() -> None:
    assert ending_in.__name__ == "ending_in"


# ---- what is asked before an error ends the task, and waited for

REFUSED = errors.PermissionDenied("refused", evidence="403", fix="mend it")
NOT_YET = errors.NotYetEffective("IAM has it, and AWS does not go by it yet", evidence="403", fix="run again")

Asked = list[tuple[OpenSearchMLError, object]]


@pytest.fixture
def _impatient_with_iam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opensearch_ml.retries.wait_random_exponential", lambda **_: tenacity.wait_fixed(0.01))
    monkeypatch.setattr("opensearch_ml.operators.base.EFFECTIVE_S", 0.1)


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch, _impatient_with_iam: None) -> Callable[..., Asked]:
    """Lets the explanation of an error be another error; returns what is asked for one, and with which hook."""

    def let(meaning: dict[OpenSearchMLError, OpenSearchMLError] | None = None) -> Asked:
        asked: Asked = []

        def explain(error: OpenSearchMLError, hook: object) -> OpenSearchMLError:
            asked.append((error, hook))
            return (meaning or {}).get(error, error)

        monkeypatch.setattr("opensearch_ml.operators.base.explain", explain)
        return asked

    return let


def test_a_refusal_ends_the_task_in_the_words_of_its_explanation(explained: Callable[..., Asked]) -> None:
    explained({REFUSED: errors.PermissionDenied("nobody may pass the role", evidence="403", fix="allow it")})
    with pytest.raises(AirflowFailException, match="nobody may pass the role") as raised:
        ending_in(REFUSED)
    assert raised.value.__suppress_context__


def test_the_acting_hook_is_asked_first_and_the_callers_after_it(explained: Callable[..., Asked]) -> None:
    asked, task = explained(), Task()
    task.hook = ClusterDouble(model=["of who calls"])
    with pytest.raises(AirflowFailException):
        task.ending_in(REFUSED)
    assert asked == [(REFUSED, Task.acting_hook), (REFUSED, task.hook)]


def test_a_cluster_that_is_not_reached_is_explained_too_and_stays_passing(explained: Callable[..., Asked]) -> None:
    away = errors.Unreachable("no answer", evidence="time-out", fix="run again")
    explained({away: errors.Unreachable("the domain is in a VPC", evidence="time-out", fix="run Airflow in it")})
    with pytest.raises(errors.Unreachable, match="in a VPC"):
        ending_in(away)


@pytest.mark.parametrize("error", [errors.ServerBusy("busy", evidence="429", fix="run again"), KeyError("a mistake")])
def test_nobody_is_asked_about_what_is_no_refusal(explained: Callable[..., Asked], error: Exception) -> None:
    asked = explained()
    with pytest.raises(type(error)):
        ending_in(error)
    assert asked == []


def test_what_cannot_be_explained_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        @property
        def aws(self) -> None:
            raise errors.InvalidConnection("there is no connection", evidence="a", fix="b")

    monkeypatch.setattr(Task, "acting_hook", Broken())
    with pytest.raises(AirflowFailException) as raised:
        ending_in(REFUSED)
    assert str(raised.value) == str(REFUSED)


def test_a_preflight_report_is_told_as_it_is() -> None:
    report = errors.PreflightFailed("a", [REFUSED, errors.NotFound("no role", evidence="404", fix="make it")])
    with pytest.raises(AirflowFailException) as raised:
        ending_in(report)
    assert str(raised.value) == str(report)


@pytest.mark.parametrize("own", [False, True], ids=["explained", "the task's own"])
def test_iams_delay_is_waited_for_and_the_log_says_why(
    explained: Callable[..., Asked], caplog: pytest.LogCaptureFixture, own: bool
) -> None:
    explained({REFUSED: NOT_YET})
    tries: list[OpenSearchMLError] = [NOT_YET if own else REFUSED] * 3

    def execute(_: Task) -> str:
        if tries:
            raise tries.pop()
        return "done"

    with caplog.at_level("INFO"):
        assert fail_fast(execute)(Task()) == "done"
    waits = [record.getMessage() for record in caplog.records if record.name == "opensearch_ml.retries"]
    assert waits == ["IAM has it, and AWS does not go by it yet (403); trying again in 0.0 s"] * 3


@pytest.mark.parametrize(("wait_s", "least_s", "most_s"), [(None, 0.05, 0.5), (0.0, 0.0, 0.05)])
def test_iams_delay_is_waited_for_no_longer_than_the_task_allows(
    explained: Callable[..., Asked], wait_s: float | None, least_s: float, most_s: float
) -> None:
    explained({REFUSED: NOT_YET})
    task, started = Task(), time.monotonic()
    if wait_s is not None:
        vars(task)["wait_s"] = wait_s
    with pytest.raises(errors.NotYetEffective):
        task.ending_in(REFUSED)
    assert least_s <= time.monotonic() - started < most_s


def test_a_final_error_after_iams_delay_ends_the_task(explained: Callable[..., Asked]) -> None:
    explained({REFUSED: NOT_YET})
    left: list[OpenSearchMLError] = [errors.NotFound("no role", evidence="404", fix="make it"), REFUSED]

    def execute(_: Task) -> None:
        raise left.pop()

    with pytest.raises(AirflowFailException, match="no role"):
        fail_fast(execute)(Task())


# ---- every operator's own execute


class ClusterThatFails:
    """Stands for a hook on a cluster where every request fails with one error."""

    base_url = "https://search.example.com:443"

    def __init__(self, error: OpenSearchMLError) -> None:
        self._error = error

    def keep_secret(self, secrets: object) -> None:
        """As the hook: needs no cluster."""

    def redact(self, text: str) -> str:
        """As the hook, which knows no secret yet."""
        return text

    def __getattr__(self, name: str) -> NoReturn:
        raise self._error


@pytest.fixture
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("opensearch_ml.retries.wait_random_exponential", lambda **_: tenacity.wait_none())
    key = json.dumps({"conn_type": "generic", "password": SECRET})
    with connections(openai_default=key):
        yield


OF_AIRFLOW_ALONE = {"OpenSearchPlanNextRotationOperator", "OpenSearchSummarizeRotationsOperator"}  # they read XComs
WITH_A_CLUSTER = {
    name: operator
    for name, operator in OPERATORS.items()
    # A target's own are in test_fleet_operators.
    if "execute" in vars(operator) and name not in OF_AIRFLOW_ALONE and "target" not in own_arguments(operator)
}


@pytest.mark.usefixtures("_without_pauses")
@pytest.mark.parametrize("error", [errors.PermissionDenied, errors.Unreachable], ids=["final", "passing"])
@pytest.mark.parametrize("operator", WITH_A_CLUSTER.values(), ids=WITH_A_CLUSTER)
def test_every_operator_tells_final_from_passing(operator: type[BaseOperator], error: type[OpenSearchMLError]) -> None:
    arguments: dict[str, Any] = {
        "blueprint": "openai_embedding",
        "model_id": "m",
        "model_group_id": "g",
        "connector_id": "c",
        "settings": {"private_ip_enabled": True},
        "role_mapping": {"ml_full_access": {"users": ["someone"]}},
    }
    made = operator(task_id="one", **{n: v for n, v in arguments.items() if n in own_arguments(operator)})
    vars(made)["hook"] = ClusterThatFails(example(error))
    with pytest.raises(AirflowFailException if issubclass(error, Final) else error) as raised:
        made.execute(as_context({"ti": TaskInstanceDouble()}))
    assert str(raised.value) == str(example(error))
