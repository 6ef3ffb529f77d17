"""As many tasks as the provisioning chain has, each doing nothing: what Airflow itself takes."""

from __future__ import annotations

from airflow.sdk import DAG, chain, task

TASKS = 11

with DAG(dag_id="noop_chain", schedule=None):
    # Not EmptyOperator: the scheduler never runs one.
    @task
    def nothing() -> None:
        """Start a process, return."""

    chain(*[nothing.override(task_id=f"nothing_{number}")() for number in range(TASKS)])
