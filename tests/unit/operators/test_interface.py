"""What Airflow and its users rely on in every operator, sensor and trigger of ours."""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.serialized_objects import DagSerialization

import opensearch_ml
from opensearch_ml.operators.base import OpenSearchMLBaseOperator
from opensearch_ml_plugin import OpenSearchMLPlugin
from tests.support.airflow_classes import LINKS, OPERATORS, TRIGGERS, own_arguments
from tests.support.doubles import as_context

EVERY_OPERATOR = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
NOT_TEMPLATED = {"deferrable", "poke_interval", "timeout", "wait_s"}
DEFAULT_CONNECTIONS = {"opensearch_conn_id": "opensearch_default", "aws_conn_id": "aws_default"}


def templates(operator: type[BaseOperator]) -> dict[str, Any]:
    """A template for each argument of ours that is one."""
    return {name: f"{{{{ params.{name} }}}}" for name in own_arguments(operator) if name not in NOT_TEMPLATED}


def documented(cls: type) -> str:
    """The docstrings of a class and of those of our own that it is built on."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith(f"{opensearch_ml.__name__}.")]
    return "\n".join(inspect.getdoc(base) or "" for base in ours)


def test_the_shell_has_these_classes() -> None:
    assert sorted(OPERATORS) == [
        "OpenSearchAddTrustedEndpointsOperator",
        "OpenSearchAnnounceModelsOperator",
        "OpenSearchApplyPlanOperator",
        "OpenSearchApprovePlanOperator",
        "OpenSearchCreateConnectorOperator",
        "OpenSearchCreateIamRoleOperator",
        "OpenSearchCreateModelGroupOperator",
        "OpenSearchDeleteConnectorOperator",
        "OpenSearchDeleteIamRoleOperator",
        "OpenSearchDeleteModelGroupOperator",
        "OpenSearchDeleteModelOperator",
        "OpenSearchDeployModelOperator",
        "OpenSearchDeployTaskSensor",
        "OpenSearchFindRotationsOperator",
        "OpenSearchFleetOperator",
        "OpenSearchIamRoleOperator",
        "OpenSearchMLAdminOperator",
        "OpenSearchMLBaseOperator",
        "OpenSearchMLBlueprintOperator",
        "OpenSearchMLCredentialOperator",
        "OpenSearchMapRoleOperator",
        "OpenSearchPlanFleetOperator",
        "OpenSearchPlanNextRotationOperator",
        "OpenSearchPredictOperator",
        "OpenSearchPreflightOperator",
        "OpenSearchRegisterModelOperator",
        "OpenSearchRemoveTrustedEndpointsOperator",
        "OpenSearchRotateCredentialOperator",
        "OpenSearchSummarizeFleetOperator",
        "OpenSearchSummarizeRotationsOperator",
        "OpenSearchUndeployModelOperator",
        "OpenSearchUpdateMLSettingsOperator",
    ]
    assert sorted(TRIGGERS) == ["OpenSearchDeployTaskTrigger"]
    assert sorted(LINKS) == ["OpenSearchConnectorLink", "OpenSearchIamRoleLink", "OpenSearchModelLink"]


@EVERY_OPERATOR
def test_every_argument_is_given_by_name(operator: type[BaseOperator]) -> None:
    assert {argument.kind for argument in own_arguments(operator).values()} <= {inspect.Parameter.KEYWORD_ONLY}


@EVERY_OPERATOR
def test_template_fields_are_attributes_and_are_rendered(operator: type[BaseOperator]) -> None:
    given = templates(operator)
    made = operator(task_id="one", **given)
    assert sorted(made.template_fields) == sorted(given)
    made.render_template_fields({"params": {name: f"rendered {name}" for name in given}})
    assert {name: getattr(made, name) for name in given} == {name: f"rendered {name}" for name in given}


@EVERY_OPERATOR
def test_what_is_templated_is_documented_as_templated(operator: type[BaseOperator]) -> None:
    entries = dict(re.findall(r":param (\w+): (.*?)(?=\n:|\n\n|\Z)", documented(operator), flags=re.DOTALL))
    told = {name for name, text in entries.items() if re.search(r"\(templated\b", text)}
    assert told == set(operator.template_fields)


@pytest.mark.parametrize("cls", [*OPERATORS.values(), *TRIGGERS.values()], ids=[*OPERATORS, *TRIGGERS])
def test_every_argument_is_documented_and_nothing_else(cls: type) -> None:
    assert set(re.findall(r":param (\w+):", documented(cls))) == set(own_arguments(cls))


@EVERY_OPERATOR
def test_what_an_operator_returns_is_documented_exactly_if_it_returns_something(operator: type[BaseOperator]) -> None:
    if "execute" in vars(operator):
        annotation = inspect.signature(vars(operator)["execute"]).return_annotation
        assert (annotation != "None") == (":return:" in (operator.__doc__ or ""))


@EVERY_OPERATOR
def test_the_default_connections(operator: type[BaseOperator]) -> None:
    arguments = own_arguments(operator)
    assert ("opensearch_conn_id" in arguments) != ("target" in arguments)  # which names its connections itself
    for name, default in DEFAULT_CONNECTIONS.items():
        if name in arguments:
            assert arguments[name].default == default


ADMIN_OPERATORS = {name: one for name, one in OPERATORS.items() if "opensearch_admin_conn_id" in own_arguments(one)}
EVERY_ADMIN_OPERATOR = pytest.mark.parametrize("operator", ADMIN_OPERATORS.values(), ids=ADMIN_OPERATORS)
OTHERS = {
    name: one
    for name, one in OPERATORS.items()
    if name not in ADMIN_OPERATORS and "opensearch_conn_id" in own_arguments(one)
}


@EVERY_ADMIN_OPERATOR
@pytest.mark.parametrize("admin", [None, "", "of_the_models"])
def test_without_another_connection_the_models_own_acts(operator: type[BaseOperator], admin: str | None) -> None:
    given = templates(operator) | {"opensearch_conn_id": "of_the_models", "opensearch_admin_conn_id": admin}
    made = cast("OpenSearchMLBaseOperator", operator(task_id="one", **given))
    assert made.acting_hook is made.hook
    assert made.hook.opensearch_conn_id == "of_the_models"


@EVERY_ADMIN_OPERATOR
def test_an_administrators_connection_acts_once_it_is_rendered(operator: type[BaseOperator]) -> None:
    made = cast("OpenSearchMLBaseOperator", operator(task_id="one", **templates(operator)))
    conn_ids = {"opensearch_conn_id": "of_the_models", "opensearch_admin_conn_id": "of_an_administrator"}
    made.render_template_fields(as_context({"params": {**templates(operator), **conn_ids}}))
    assert made.acting_hook is made.acting_hook
    assert (made.hook.opensearch_conn_id, made.acting_hook.opensearch_conn_id) == tuple(conn_ids.values())


@pytest.mark.parametrize("operator", OTHERS.values(), ids=OTHERS)
def test_every_other_task_acts_by_the_models_own_connection(operator: type[BaseOperator]) -> None:
    made = cast("OpenSearchMLBaseOperator", operator(task_id="one", **templates(operator)))
    assert made.acting_hook is made.hook


@pytest.fixture(scope="module")
def watched() -> Iterator[list[str]]:
    """What is opened, listed or connected to from now on."""
    touched: list[str] = []
    watching = threading.Event()  # an audit hook cannot be taken away again, but switched off

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching.is_set() and event in ("open", "os.listdir", "os.scandir", "socket.connect", "subprocess.Popen"):
            touched.append(f"{event} {arguments!r}")

    sys.addaudithook(watch)
    watching.set()
    yield touched
    watching.clear()


@EVERY_OPERATOR
def test_making_an_operator_touches_no_file_and_no_network(operator: type[BaseOperator], watched: list[str]) -> None:
    operator(task_id="first", **templates(operator))  # may import
    watched.clear()
    made = operator(task_id="second", **templates(operator))
    assert watched == []
    assert "hook" not in vars(made)


@EVERY_OPERATOR
def test_the_scheduler_can_store_and_read_every_operator(operator: type[BaseOperator]) -> None:
    with DAG("stored", schedule=None) as dag:
        operator(task_id="one", **templates(operator))
    read = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).get_task("one")
    assert read.task_type == operator.__name__
    assert sorted(read.template_fields) == sorted(operator.template_fields)
    assert sorted(read.extra_links) == sorted(link.name for link in operator.operator_extra_links)


def test_every_link_is_registered_with_airflow_and_used() -> None:
    used = {type(link).__name__ for operator in OPERATORS.values() for link in operator.operator_extra_links}
    assert {type(link).__name__ for link in OpenSearchMLPlugin.operator_extra_links} == used == set(LINKS)
    assert len({link().name for link in LINKS.values()}) == len(LINKS)
