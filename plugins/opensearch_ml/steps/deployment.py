"""Deployment: a registered model made ready to predict, and the way back."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from opensearch_ml.base.outcome import Changed
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client import states
from opensearch_ml.client.documents import ModelDoc, TaskDoc
from opensearch_ml.errors import Conflict, DeployFailed, NotFound
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.retries import persistently
from opensearch_ml.steps import model as models

log = logging.getLogger(__name__)

TASK_REFRESH_S = (0.3, 0.4, 0.5, 1.0, 2.0)
COLLISION_S = 1.0  # a deployment that collides with another one fails in far less
UNFINISHED = states.MODEL_DEPLOYING | states.MODEL_PARTIALLY_DEPLOYED
LOOK_EVERY_S, LOOK_AT_LEAST_EVERY_S = 0.05, 0.5
DEPLOY_S = 300.0  # one takes 0.1 s; a node deploys them one after the other, and queues a hundred
# Two deployments of one model at once, or a predict that deploys it by itself: one fails with these words.
COLLISIONS = ("Duplicate deploy model task", "version conflict")
LOOK_AT_NODES = (
    "mend what the server names (for instance run the provisioning again if the connector is gone), then deploy again"
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """How a deployment stands.

    :param done: True when the model is deployed on every node planned for it.
    :param state: the task's and the model's state, for people: ``task … RUNNING, model … DEPLOYING on 1 of 2 nodes``.
    """

    done: bool
    state: str


def start_deployment(hook: OpenSearchMLHook, model_id: str) -> str | None:
    """Deploy a model unless it is deployed, or being deployed.

    :return: the deploy task's id, or None if the model is deployed already.
    :raises NotFound: no such model.
    :raises DeployFailed: the server refuses at once, for instance because no node is eligible.
    Source: ``POST /_plugins/_ml/models/{id}/_deploy``; its own ``status`` says COMPLETED even when it fails.
    """

    collided = False

    def attempt() -> str | None:
        nonlocal collided
        state = _model(hook, model_id).get("model_state")
        if state in states.MODEL_DEPLOYED:
            return None
        if state in UNFINISHED and (running := _running_task(hook, model_id)):
            log.info("model %s is being deployed already by task %s", model_id, running)
            return running
        if collided and state in states.MODEL_DEPLOY_FAILED:
            # A node that failed to deploy a model takes every later try for a duplicate, until it is undeployed.
            log.info("clearing the failed deployment of model %s", model_id)
            hook.undeploy_model(model_id)
        task_id = hook.deploy_model(model_id)
        collided = True
        _raise_on_collision(hook, task_id)
        return task_id

    return persistently(attempt)


def deploy(hook: OpenSearchMLHook, model_id: str, *, timeout_s: float = DEPLOY_S) -> None:
    """Deploy a model unless it is deployed, and wait until it is.

    :param timeout_s: whole budget in seconds, also for its turn in the queue of the node that deploys it.
    :raises DeployFailed: it has failed, or is not deployed in time; the evidence is the server's cause, per node.
    """
    until = time.monotonic() + timeout_s
    task_id = start_deployment(hook, model_id)
    if task_id is None:
        return
    pauses = _growing()
    while not (seen := look_at_deployment(hook, model_id, task_id)).done:
        if time.monotonic() > until:
            raise not_in_time(model_id, seen)
        time.sleep(next(pauses))


def look_at_deployment(hook: OpenSearchMLHook, model_id: str, task_id: str | None) -> Deployment:
    """Look once at how a deployment stands.

    :param task_id: the deploy task; None to go by the model alone.
    :raises DeployFailed: it has failed; the evidence is the server's cause, per node. Also for a state that neither
        this project nor ML Commons 3.6 knows.
    Source: ``GET /_plugins/_ml/tasks/{id}``, ``GET /_plugins/_ml/models/{id}``.
    """
    task = hook.get_task(task_id) if task_id else None
    task_state = task.get("state") if task else None
    found = _model(hook, model_id)
    state = str(found.get("model_state"))
    seen = f"model {model_id} {state}{_nodes(found)}"
    if task_id:
        seen = f"task {task_id} {task_state or 'not found'}, {seen}"
    if task and task_state in states.TASK_FAILURE and state not in states.MODEL_DEPLOYED:
        return _failed(task, model_id, seen)
    if task and task_state not in states.TASK_INTERMEDIATE | states.TASK_SUCCESS | states.TASK_FAILURE:
        raise DeployFailed("the deploy task is in an unknown state", evidence=seen, fix="look at GET tasks/{id}")
    if state in states.MODEL_DEPLOYED:
        return Deployment(done=True, state=seen)
    if state in states.MODEL_DEPLOY_FAILED:
        # The model may say so a moment before its task does, and only the task knows the cause.
        if task and task_state in states.TASK_INTERMEDIATE:
            return Deployment(done=False, state=seen)
        return _failed(_last_failure(hook, model_id), model_id, seen)
    if state in UNFINISHED or (task and task_state in states.TASK_INTERMEDIATE):
        return Deployment(done=False, state=seen)
    if state in states.MODEL_NOT_DEPLOYED:
        raise DeployFailed(f"model {model_id} is not being deployed", evidence=seen, fix="deploy the model")
    raise DeployFailed(f"model {model_id} is in an unknown state", evidence=seen, fix="look at GET models/{id}")


def not_in_time(model_id: str, seen: Deployment) -> DeployFailed:
    """Return the error for a deployment that goes on longer than its budget."""
    return DeployFailed(
        f"model {model_id} is not deployed in time",
        evidence=seen.state,
        fix="look at the nodes that lack it (GET /_plugins/_ml/models/{id}: planning_worker_nodes), "
        "or give the sensor a longer timeout",
    )


def undeploy(hook: OpenSearchMLHook, blueprint: Blueprint) -> Changed:
    """Undeploy the blueprint's models, so that they can be deleted.

    Disabled first: a predict on an undeployed model would deploy it again.
    Source: ``PUT /_plugins/_ml/models/{id}``, ``POST /_plugins/_ml/models/{id}/_undeploy``.
    """
    what = f"model {blueprint.model_name}"
    found_deployed = [m for m in models.ours(hook, blueprint) if m.get("model_state") not in states.MODEL_NOT_DEPLOYED]
    others = [m["id"] for m in found_deployed if models.is_others(hook, m)]
    deployed = [m for m in found_deployed if m["id"] not in others]
    for found in deployed:
        persistently(partial(hook.update_model, found["id"], {"is_enabled": False}))
        persistently(partial(hook.undeploy_model, found["id"]))
    if not deployed:
        told = f"{', '.join(others)} was adopted, and goes on for whoever made it" if others else "it is not deployed"
        return Changed(what, "left" if others else "unchanged", details=(told,))
    return Changed(what, "updated", ", ".join(m["id"] for m in deployed), ("disabled and undeployed",))


def _model(hook: OpenSearchMLHook, model_id: str) -> ModelDoc:
    found = hook.get_model(model_id)
    if found is None:
        raise NotFound(
            f"there is no model {model_id}",
            evidence=f"GET /_plugins/_ml/models/{model_id} -> 404",
            fix="run the provisioning again: it registers what is missing",
        )
    return found


def _nodes(model: ModelDoc) -> str:
    planned = model.get("planning_worker_node_count")
    return f" on {model.get('current_worker_node_count') or 0} of {planned} nodes" if planned else ""


def _failed(task: TaskDoc | None, model_id: str, seen: str) -> Deployment:
    evidence = _why(task, seen) if task else seen
    if _collided(task):
        # Whoever collided tries again; the model's state is theirs until then.
        return Deployment(done=False, state=f"{evidence}; another deployment is under way")
    raise DeployFailed(f"model {model_id} cannot be deployed", evidence=evidence, fix=LOOK_AT_NODES)


def _raise_on_collision(hook: OpenSearchMLHook, task_id: str) -> None:
    until = time.monotonic() + COLLISION_S
    pauses = _growing()
    while time.monotonic() < until:
        task = hook.get_task(task_id) or {}
        if task.get("state") not in states.TASK_INTERMEDIATE:
            if _collided(task):
                raise Conflict(
                    "the deployment collided with another one", evidence=_why(task, task_id), fix="deploy again"
                )
            return
        time.sleep(next(pauses))


def _growing() -> Iterator[float]:
    # Most end within the first; a node that is busy is not asked all the time.
    pause_s = LOOK_EVERY_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LOOK_AT_LEAST_EVERY_S)


def _collided(task: TaskDoc | None) -> bool:
    return any(words in str((task or {}).get("error")) for words in COLLISIONS)


def _running_task(hook: OpenSearchMLHook, model_id: str) -> str | None:
    found = _deploy_tasks(hook, model_id)
    # The search may be behind; the task itself is not.
    running = [t["id"] for t in found if (hook.get_task(t["id"]) or {}).get("state") in states.TASK_INTERMEDIATE]
    return running[-1] if running else None


def _last_failure(hook: OpenSearchMLHook, model_id: str) -> TaskDoc | None:
    # A task that ended a moment ago is not searchable yet: its index refreshes once a second.
    for pause_s in (0.0, *TASK_REFRESH_S):
        time.sleep(pause_s)
        found = [hook.get_task(task["id"]) or {} for task in _deploy_tasks(hook, model_id)[-3:]]
        if failed := [task for task in found if task.get("error")]:
            return failed[-1]
    return None


def _deploy_tasks(hook: OpenSearchMLHook, model_id: str) -> list[TaskDoc]:
    return hook.search_tasks(
        {"bool": {"filter": [{"term": {"model_id": model_id}}, {"term": {"task_type": "DEPLOY_MODEL"}}]}}
    )


def _why(task: TaskDoc, seen: str) -> str:
    error = task.get("error")
    try:
        by_node = json.loads(error) if error else {}
        reasons = "; ".join(f"node {node}: {reason}" for node, reason in by_node.items())
    except (ValueError, AttributeError):
        reasons = str(error)
    return f"{reasons} ({seen})" if reasons else seen
