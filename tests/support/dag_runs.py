"""DAGs as Airflow has them: when they run, and, run in this process, what they leave in its metadata database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from airflow import settings
from airflow.dag_processing.dagbag import DagBag
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select

from tests.support.repository import REPOSITORY

OF_A_USER = REPOSITORY / "tests" / "dags" / "of_a_user"


def cron_of(dag: DAG) -> str:
    """The expression by which a DAG is scheduled; its timetable must have one."""
    return str(attrgetter("expression")(dag.timetable))


@dataclass
class Finished:
    """One run of a DAG, at its end.

    :param tasks: by task id; the instances of a mapped one as ``task[0]``.
    :param log: what its tasks logged, as text.
    """

    dag_id: str
    run_id: str
    tasks: dict[str, TaskInstance]
    log: str

    @property
    def state(self) -> str | None:
        """The state of its only task."""
        (task,) = self.tasks.values()
        return task.state

    def xcoms(self) -> dict[tuple[str, str], Any]:
        """Everything that its tasks left behind, by task and key."""
        with create_session() as session:
            rows = session.scalars(select(XComModel).where(XComModel.run_id == self.run_id)).all()
        return {(_named(row.task_id, row.map_index), row.key): row.value for row in rows}

    @property
    def returned(self) -> Any:
        """What its only task returned."""
        (task_id,) = self.tasks
        return self.xcoms().get((task_id, "return_value"))


def _named(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


Run = Callable[..., Finished]


@contextmanager
def metadata_database(home: Path) -> Iterator[None]:
    """A metadata database in an AIRFLOW_HOME."""
    with pytest.MonkeyPatch.context() as patch:
        # Airflow has read its configuration when the tests were collected, before there was an AIRFLOW_HOME.
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{home}/airflow.db")
        settings.configure_vars()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        settings.reconfigure_orm()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        initdb()
        yield


def runner(patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a DAG of a folder to its end, with what its form says."""

    def run(dag_id: str, *, folder: Path = OF_A_USER, **conf: Any) -> Finished:
        bundle = {
            "name": folder.name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder)},
        }
        patch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
        bag = DagBag(folder)
        assert bag.import_errors == {}
        captured.readouterr()
        run = bag.dags[dag_id].test(run_conf=conf)
        tasks = {_named(task.task_id, task.map_index): task for task in run.get_task_instances()}
        return Finished(dag_id, run.run_id, tasks, "".join(captured.readouterr()))

    return run
