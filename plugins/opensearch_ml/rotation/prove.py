"""Proof that every node of the cluster serves what the model was switched to, and the wait for what is in flight.

The switch answers before the nodes have done it, and a predict's answer does not tell which connector it went through.
Measured on 3.6.0 and 2.19.1, on one and on two nodes: the profile names for each node the object that answers the
model's predicts (``"predictor": "…RemoteModel@69af8d2b"``). It is another one as soon as that node has read the model's
connector anew, 50 to 175 ms after the PUT was sent; also when the same connector is put again, and for an internal
connector too. A description that is put does not change it, an unknown connector id does not either (the node goes on
with the old one), and no predict that was sent once every node's had changed carried the old credential.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import DeployFailed
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.steps.predict import smoke_predict

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.02


def until_every_node_serves(
    hook: OpenSearchMLHook, model_id: str, before: Mapping[str, str], *, timeout_s: float
) -> int:
    """Wait until no node answers with what it answered with before the switch.

    :param before: `OpenSearchMLHook.predictors`, read before the switch.
    :param timeout_s: whole budget in seconds.
    :return: how many nodes serve; 0 if the model is deployed on none.
    :raises DeployFailed: a node did not switch in time.
    Source: ``GET /_plugins/_ml/profile/models/{id}``.
    """
    until = time.monotonic() + timeout_s
    while True:
        now = hook.predictors(model_id)
        behind = sorted(node for node, predictor in now.items() if before.get(node) == predictor)
        # A node that is missing for a moment is one that is loading; one that is gone does not come back in time.
        if not behind and (now.keys() >= before.keys() or time.monotonic() > until):
            return len(now)
        if time.monotonic() > until:
            raise DeployFailed(
                f"model {model_id} was switched, and {len(behind)} of {len(now)} nodes still serve the old connector",
                evidence=f"after {timeout_s:g} s the predictor is the same on node {', '.join(behind)} "
                f"(GET /_plugins/_ml/profile/models/{model_id})",
                fix="read these nodes' logs; a node that cannot load a connector only logs it",
            )
        time.sleep(LOOK_EVERY_S)


def ask(hook: OpenSearchMLHook, blueprint: Blueprint, model_id: str, predicts: int) -> int:
    """Send the smoke test through the model itself; the cluster spreads predicts over its nodes by turns.

    :return: how many were sent; all were right.
    :raises OpenSearchMLError: one was not.
    """
    for _ in range(predicts):
        told = smoke_predict(hook, blueprint, model_id)
    log.info("%s: %s predicts after the switch, the last one: %s", blueprint.name, predicts, told)
    return predicts


def seconds_between(hook: OpenSearchMLHook, earlier_id: str, later_id: str) -> float:
    """Tell how long before one model another one was written last, by the cluster's own clock."""
    times = [float((hook.get_model(one) or {}).get("last_updated_time") or 0) for one in (earlier_id, later_id)]
    return max(0.0, (times[1] - times[0]) / 1000) if all(times) else 0.0
