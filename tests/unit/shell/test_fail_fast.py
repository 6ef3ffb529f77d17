"""How an error ends a task: at once and said in full if a retry would repeat it, else as Airflow retries it."""

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

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
from tests.conftest import connections
from tests.unit.shell.shell_classes import OPERATORS, own_arguments

SECRET = "canary-Hn5-Ya3-Mw7"


def _all(kind: type[OpenSearchMLError]) -> list[type[OpenSearchMLError]]:
    return [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, kind)]


def example(cls: type[OpenSearchMLError]) -> OpenSearchMLError:
    if "findings" in inspect.signature(cls).parameters:
        return cls("a.yaml", [Finding("connector.name", "is missing", "Add it.")])  # type: ignore[call-arg,arg-type]
    return cls("what happened", evidence="what shows it", fix="what to do")


@fail_fast
def ending_in(_: Any, error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("cls", _all(Final))
def test_a_final_error_ends_the_task_and_says_cause_evidence_and_fix(cls: type[Final]) -> None:
    error = example(cls)
    with pytest.raises(AirflowFailException) as raised:
        ending_in(None, error)
    assert str(raised.value) == str(error)
    assert [line.partition(":")[0] for line in str(raised.value).splitlines()[1:]] == ["  evidence", "  fix"]


@pytest.mark.parametrize("cls", _all(Transient))
def test_a_passing_error_is_left_to_airflows_retries(cls: type[Transient]) -> None:
    error = example(cls)
    with pytest.raises(cls) as raised:
        ending_in(None, error)
    assert raised.value is error


@pytest.mark.parametrize(
    "signal",
    [
        TaskDeferred(trigger=OpenSearchDeployTaskTrigger("c", "m", None, 0.0), method_name="execute_complete"),
        AirflowSkipException("nothing to do"),
        AirflowRescheduleException(datetime(2030, 1, 1, tzinfo=timezone.utc)),
        KeyError("a mistake of ours"),
        KeyboardInterrupt(),
    ],
    ids=lambda signal: type(signal).__name__,
)
def test_everything_else_passes_as_it_is(signal: BaseException) -> None:
    with pytest.raises(type(signal)) as raised:
        ending_in(None, signal)
    assert raised.value is signal


def test_what_lies_behind_a_final_error_is_not_in_the_log() -> None:
    def refused() -> None:
        try:
            raise ValueError(f"body: {SECRET}")
        except ValueError as cause:
            raise errors.RequestRefused("the cluster refuses", evidence="400", fix="mend it") from cause

    with pytest.raises(AirflowFailException) as raised:
        fail_fast(lambda _: refused())(None)
    error = raised.value
    printed = "".join(traceback.format_exception(error))
    # What Airflow writes to a task's log: the same transformer, with its own settings.
    logged = ExceptionDictTransformer(use_rich=False, show_locals=False)((type(error), error, error.__traceback__))
    assert "the cluster refuses" in printed
    assert "the cluster refuses" in json.dumps(logged)
    assert SECRET not in printed + json.dumps(logged)


def test_the_name_and_docstring_of_what_is_wrapped_stay() -> None:
    assert ending_in.__name__ == "ending_in"


# ---- every operator's own execute


class ClusterThatFails:
    """Stands for a hook on a cluster where every request fails with one error."""

    base_url = "https://search.example.com:443"

    def __init__(self, error: OpenSearchMLError) -> None:
        self._error = error

    def keep_secret(self, secrets: Any) -> None:
        """As the hook: needs no cluster."""

    def __getattr__(self, name: str) -> Any:
        raise self._error


@pytest.fixture
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("opensearch_ml.retries.wait_random_exponential", lambda **_: tenacity.wait_none())
    key = json.dumps({"conn_type": "generic", "password": SECRET})
    with connections(openai_default=key):
        yield


WITH_A_CLUSTER = {name: operator for name, operator in OPERATORS.items() if "execute" in vars(operator)}


@pytest.mark.usefixtures("_without_pauses")
@pytest.mark.parametrize("error", [errors.PermissionDenied, errors.Unreachable], ids=["final", "passing"])
@pytest.mark.parametrize("operator", WITH_A_CLUSTER.values(), ids=WITH_A_CLUSTER)
def test_every_operator_tells_final_from_passing(operator: type[BaseOperator], error: type[OpenSearchMLError]) -> None:
    arguments = {
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
        made.execute({})
    assert str(raised.value) == str(example(error))
