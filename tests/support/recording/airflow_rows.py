"""Reads the rows that our tasks leave in Airflow's database, exactly as Airflow stored them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from local.airflow_standalone import DagRun

XCOMS = """
    SELECT task_id, map_index, key, value FROM xcom WHERE dag_id = ? AND run_id = ? ORDER BY timestamp, task_id, key
"""
EVENTS = """
    SELECT asset.name, asset.uri, event.extra, event.source_task_id, event.source_map_index, event.source_run_id
    FROM asset_event event JOIN asset ON asset.id = event.asset_id ORDER BY event.id
"""
ASSET_STATE = """
    SELECT asset.name, asset.uri, store.key, store.value,
        store.last_updated_by_kind, store.last_updated_by_dag_id, store.last_updated_by_task_id
    FROM asset_state_store store JOIN asset ON asset.id = store.asset_id ORDER BY asset.uri, store.key
"""
TASK_STATE = """
    SELECT task_id, map_index, key, value FROM task_state_store WHERE dag_id = ? AND run_id = ? ORDER BY id
"""
WAITING = """
    SELECT task.task_id, task.state, task.custom_operator_name AS operator, task.next_method, task.next_kwargs,
        trigger.classpath, trigger.kwargs AS trigger_kwargs
    FROM task_instance task LEFT JOIN trigger ON trigger.id = task.trigger_id
    WHERE task.dag_id = ? AND task.run_id = ? AND task.next_method IS NOT NULL
"""
QUESTIONS = """
    SELECT task.task_id, question.options, question.subject, question.body, question.defaults, question.multiple,
        question.params, question.chosen_options, question.responded_by
    FROM hitl_detail question JOIN task_instance task ON task.id = question.ti_id
    WHERE task.dag_id = ? AND task.run_id = ?
"""
JSON_COLUMNS = (
    *("extra", "next_kwargs", "trigger_kwargs", "options", "defaults", "params", "chosen_options", "responded_by"),
)


class AirflowRows:
    """The database of one Airflow home.

    :param home: ``AIRFLOW_HOME`` of a stack.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def xcoms(self, run: DagRun) -> list[dict[str, Any]]:
        """Return the XComs of a run; ``value`` is the column's JSON, decoded once."""
        return [{**row, "value": json.loads(row["value"])} for row in self._rows(XCOMS, run.dag_id, run.run_id)]

    def asset_events(self, runs: Mapping[str, DagRun]) -> list[dict[str, Any]]:
        """Return all asset events; ``run`` is the label of the run that emitted the event.

        :param runs: by label.
        """
        labels = {run.run_id: label for label, run in runs.items()}
        found = [{**row, "run": labels.get(row["source_run_id"], "")} for row in self._rows(EVENTS)]
        return [{key: value for key, value in row.items() if key != "source_run_id"} for row in found]

    def asset_state(self) -> list[dict[str, Any]]:
        """Return what Airflow keeps with our assets; ``value`` is the column's text."""
        return self._rows(ASSET_STATE)

    def task_state(self, run: DagRun) -> list[dict[str, Any]]:
        """Return what the tries of a task share; ``value`` is the column's text."""
        return self._rows(TASK_STATE, run.dag_id, run.run_id)

    def waiting_tasks(self, run: DagRun) -> list[dict[str, Any]]:
        """Return the tasks that wait for a trigger or for a person, with the trigger's row (kwargs decrypted)."""
        return self._rows(WAITING, run.dag_id, run.run_id)

    def questions(self, run: DagRun) -> list[dict[str, Any]]:
        """Return what a run asks people."""
        return self._rows(QUESTIONS, run.dag_id, run.run_id)

    def _rows(self, query: str, *parameters: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(f"file:{self._home / 'airflow.db'}?mode=ro", uri=True, timeout=30)) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute(query, parameters)]
        return [{name: self._decoded(name, value) for name, value in row.items()} for row in rows]

    def _decoded(self, name: str, value: Any) -> Any:
        if value is None or name not in JSON_COLUMNS:
            return value
        if name == "trigger_kwargs" and not value.startswith("{"):
            key = json.loads((self._home / "secrets.json").read_text())["fernet_key"]
            value = Fernet(key.encode()).decrypt(value.encode()).decode()
        return json.loads(value)
