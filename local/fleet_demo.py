"""The fleet's demo: what a target names is planned, made, broken and mended, through the scheduler.

Every plan that it prints is that of the command, as a person runs it, and was checked: it ends with an error if a plan
does not name what was broken, or if anything is left to do in the end.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable
from typing import Any

import yaml
from opensearchpy import OpenSearch

from local.airflow_standalone import AirflowStandalone
from local.demo import BLUEPRINT, client_of, running_airflow
from local.errors import DemoError
from local.stack import Stack

DAG_ID = "opensearch_ml_reconcile"
TARGET = "local"
UNDEPLOYED, SWAPPED = "openai_chat", "cohere_rerank"
BLUEPRINTS = (BLUEPRINT, SWAPPED, UNDEPLOYED)
VARIABLE = "rerank_model"
BEFORE, AFTER = "rerank-english-v3.0", "rerank-v3.5"
PLAN = ("python", "-m", "opensearch_ml", "plan", "--target", TARGET)
NOTHING, CHANGES = 0, 2  # exit codes of `plan`
SEEN_WITHIN_S = 120.0  # Airflow reads a DAG's file twice a minute


def run_fleet_demo(stack: Stack) -> None:
    """Have the target's models made by the DAG, break two, and have them mended, with the plan before and after.

    :raises LocalStackError: something did not work; the message says what, and what to do.
    """
    stack.up()
    client, airflow = client_of(stack), running_airflow(stack)
    stack.say(f"==> {target_file(stack)} names what lives here: {', '.join(BLUEPRINTS)}")
    change_target(stack, blueprints=blueprints_of(stack, BLUEPRINTS), variables={VARIABLE: BEFORE})
    wait_until_seen(airflow)
    show_plan(stack)
    reconcile(stack)
    show_plan(stack, NOTHING)
    stack.say(f"==> somebody undeploys {UNDEPLOYED}; the target's file gets another {VARIABLE}")
    undeploy(client, UNDEPLOYED)
    change_target(stack, variables={VARIABLE: AFTER})
    told = show_plan(stack, CHANGES)
    for line in (f"~ redeploy  {UNDEPLOYED}: UNDEPLOYED", f"~ swap      {SWAPPED}: model", f"{BEFORE} -> {AFTER}"):
        if line not in told:
            raise DemoError("the plan does not name what was broken", evidence=told, fix="make down, then again")
    reconcile(stack)
    show_plan(stack, NOTHING)
    stack.say(f"==> done. The plan by hand: .venv/bin/python -m local run {' '.join(PLAN)}")


def target_file(stack: Stack) -> str:
    """Return the name of the target's file, as a person would open it."""
    return str(stack.target_path.relative_to(stack.folder.parent))


def blueprints_of(stack: Stack, more: Iterable[str]) -> list[str]:
    """Return what the target names, and more."""
    kept = yaml.safe_load(stack.target_path.read_text()).get("blueprints", [])
    return list(dict.fromkeys([*kept, *more]))


def change_target(stack: Stack, *, variables: dict[str, Any], **fields: Any) -> None:
    """Do what a person does in the target's file; the other variables stay."""
    kept = yaml.safe_load(stack.target_path.read_text())
    changed = {**kept, **fields, "variables": {**kept["variables"], **variables}}
    stack.target_path.write_text(yaml.safe_dump(changed, sort_keys=False))


def wait_until_seen(airflow: AirflowStandalone) -> None:
    """Wait until Airflow has made the target's tasks, which it does when it reads the DAG's file again.

    :raises DemoError: it never does.
    """
    deadline = time.monotonic() + SEEN_WITHIN_S
    while f"{TARGET}.plan" not in (known := airflow.task_ids(DAG_ID)):
        if time.monotonic() > deadline:
            raise DemoError(
                f"DAG {DAG_ID} has no tasks for target {TARGET}",
                evidence=f"its tasks: {', '.join(known) or 'none'}",
                fix="read .local/airflow/standalone.log, then make down and again",
            )
        time.sleep(1.0)


def show_plan(stack: Stack, expected: int | None = None) -> str:
    """Run the command `plan` as a person does, print what it says, and return that.

    :param expected: its exit code; None: any but an error's.
    :raises DemoError: it ended with another one.
    """
    stack.say(f"==> {' '.join(PLAN)}")
    done = subprocess.run(PLAN, env=stack.command_environment(), capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        stack.say(f"    {line}".rstrip())
    if done.returncode not in ((NOTHING, CHANGES) if expected is None else (expected,)):
        raise DemoError(
            f"plan ended with exit code {done.returncode}",
            evidence=(done.stdout + done.stderr)[-3000:],
            fix="mend what the plan names, and run again",
        )
    return done.stdout


def reconcile(stack: Stack) -> None:
    """Have the plan applied by the DAG, and print its summary.

    :raises DemoError: the run failed; evidence is the end of its summary's log.
    """
    stack.say(f"==> DAG {DAG_ID}, apply: always, through the scheduler")
    run = running_airflow(stack).run(
        DAG_ID,
        {"targets": [TARGET], "apply": "always"},
        told=lambda task, state, seconds: stack.say(f"    {task:<18} {state:<8} {seconds:5.1f} s"),
    )
    log = run.log(f"{TARGET}.summary")
    if run.state != "success":
        raise DemoError("the reconciliation failed", evidence=log[-3000:], fix="mend what the log names and run again")
    for line in summary_in(log):
        stack.say(f"    {line}")


def summary_in(log: str) -> list[str]:
    """Return the lines of the summary in its task's log, of which every line is an event as JSON."""
    told = [json.loads(line).get("event", "") for line in log.splitlines() if line.startswith("{")]
    return next((one.splitlines() for one in told if one.startswith(f"{TARGET}: ")), [])


def undeploy(client: OpenSearch, name: str) -> None:
    """Undeploy a model, and wait until a search tells so too, as the plan searches."""
    named = {"query": {"term": {"name.keyword": name}}}

    def found() -> dict[str, Any]:
        return dict(client.plugins.ml.search_models(body=named)["hits"]["hits"][0])

    client.transport.perform_request("POST", f"/_plugins/_ml/models/{found()['_id']}/_undeploy")
    while found()["_source"]["model_state"] != "UNDEPLOYED":
        time.sleep(0.2)
