"""The candidate connector and its canary model: made, given the new credential, tested, and taken away again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.errors import InUse, RemoteModelBusy, SmokeTestFailed, UnresolvedCredential
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import canonical
from opensearch_ml.resources.rotation_state import CLAIMED, HELD_BY, canary_name
from opensearch_ml.retries import persistently
from opensearch_ml.rotation.lease import LeaseLost
from opensearch_ml.rotation.read_state import canaries, read_rotation_state
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps.deployment import deploy as deploy_model
from opensearch_ml.steps.once import SETTLE_S
from opensearch_ml.steps.predict import smoke_predict

log = logging.getLogger(__name__)

ID_TRIES = 6  # one id in four contains a hyphen
DEPLOY_S = 60.0


def claim(hook: OpenSearchMLHook, blueprint: Blueprint, token: str) -> str:
    """Create a candidate that has no credential yet, and see whether it is the oldest: whose is, rotates.

    The credential comes later, because making one may write at its source, which only one run may do.

    :return: the candidate's id.
    :raises LeaseLost: another run's is older; ours is deleted again.
    Source: ``POST /_plugins/_ml/connectors/_create``.
    """
    mine = _create(hook, _body(blueprint, _placeholders(blueprint), {canonical.LABEL_RUN: token}, CLAIMED))
    time.sleep(SETTLE_S)  # not a wait for something: the time in which another run's candidate may still appear
    first = next(iter(read_rotation_state(hook, blueprint).candidates), None)
    if first and first.id != mine:
        connectors.delete_if_unused(hook, mine)
        raise LeaseLost(first.run)
    return mine


def register_canary(
    hook: OpenSearchMLHook, blueprint: Blueprint, connector_id: str, model_group_id: str, description: str
) -> str:
    """Register a canary, not deployed, in the model's own group, and return its id.

    :raises LeaseLost: another run has taken the same dead one's candidate over, and its canary is older.
    Source: ``POST /_plugins/_ml/models/_register``.
    """
    body = {
        "name": canary_name(blueprint.name),
        "function_name": "remote",
        "model_group_id": model_group_id,
        "connector_id": connector_id,
        "description": description,
    }
    mine = persistently(lambda: hook.register_model(body))
    time.sleep(SETTLE_S)  # as in `claim`
    first = next(iter(canaries(hook, blueprint.name)), None)
    if first and first["id"] != mine and first["description"] != description:
        persistently(partial(hook.delete_model, mine))
        held = HELD_BY.search(first["description"] or "")
        raise LeaseLost(held["token"] if held else "")
    return mine


def give(
    hook: OpenSearchMLHook,
    blueprint: Blueprint,
    connector_id: str,
    new: NextCredential,
    *,
    token: str,
    replaces: str | None,
) -> str:
    """Write the new credential into a candidate that has none; the last time that it is changed.

    :param replaces: the mark of the internal connector that it is for; nothing else would remember it.
    :return: the candidate's id: another one, if the server takes this candidate for used and lets nobody write it.
    :raises UnresolvedCredential: the source gives less than the candidate has places for.
    Source: ``PUT /_plugins/_ml/connectors/{id}``, which merges: it fits a candidate whose credential is a placeholder.
    """
    marks = {canonical.LABEL_REPLACES: replaces} if replaces else {}
    hook.keep_secret(new.credential.values())
    if lacking := sorted(_placeholders(blueprint).keys() - new.credential.keys()):
        # The update merges key by key, so the placeholder would stay and be sent.
        raise UnresolvedCredential(
            f"the next credential of {blueprint.name} lacks {', '.join(lacking)}",
            evidence=f"connector.credential names {', '.join(sorted(blueprint.connector.credential))}; "
            f"the source gives {', '.join(sorted(new.credential))}",
            fix="remove the key from connector.credential, or have its source give it",
        )
    written = {"credential": dict(new.credential), "parameters": {canonical.LABEL_CREDENTIAL: new.mark, **marks}}
    try:
        persistently(lambda: hook.update_connector(connector_id, written))
    except InUse as refusal:
        log.info("candidate %s cannot be written, another takes its place: %s", connector_id, refusal.evidence)
        return _create(hook, _body(blueprint, new.credential, {canonical.LABEL_RUN: token, **marks}, new.mark))
    return connector_id


def point_canary(hook: OpenSearchMLHook, canary_id: str, connector_id: str) -> None:
    """Have the canary test another candidate.

    Source: ``PUT /_plugins/_ml/models/{id}``.
    """
    persistently(lambda: hook.update_model(canary_id, {"connector_id": connector_id}))


def deploy(hook: OpenSearchMLHook, canary_id: str) -> None:
    """Deploy the canary and wait until it is.

    :raises DeployFailed: with the server's cause, per node.
    """
    deploy_model(hook, canary_id, timeout_s=DEPLOY_S)


def test(hook: OpenSearchMLHook, blueprint: Blueprint, canary_id: str, *, predicts: int, answer_s: float) -> None:
    """Ask the candidate through the canary; production does not meet it.

    :param answer_s: a slower answer refuses it, in seconds.
    :raises RemoteModelRefused: for instance 401: the credential is wrong.
    :raises RemoteModelBusy: throttled, failing or slow.
    :raises SmokeTestFailed: another answer than the blueprint expects, such as vectors of another dimension.
    """
    for number in range(predicts):
        started = time.monotonic()
        try:
            told = smoke_predict(hook, blueprint, canary_id)
        except SmokeTestFailed as error:
            raise SmokeTestFailed(
                f"the candidate answers, but not what {blueprint.name} expects",
                evidence=error.evidence,
                fix="give a credential of the same model, or correct the connector or smoke_test.expect",
            ) from None
        if (took_s := time.monotonic() - started) > answer_s:
            raise RemoteModelBusy(
                "the candidate is too slow",
                evidence=f"predict {number + 1} of {predicts} took {took_s:.2f} s; {answer_s:g} s is the limit",
                fix="ask the platform for the quota of this credential, or give the test a longer limit",
            )
        log.info("candidate of %s: %s", blueprint.name, told)


def undeploy_canaries(hook: OpenSearchMLHook, blueprint_name: str) -> list[str]:
    """Undeploy every canary of a blueprint, and return their ids; as nobody asks one, nothing deploys it again."""
    found = [canary["id"] for canary in canaries(hook, blueprint_name)]
    for canary_id in found:
        persistently(partial(hook.undeploy_model, canary_id))
    return found


def delete_canaries(hook: OpenSearchMLHook, blueprint_name: str) -> list[str]:
    """Delete every canary of a blueprint and return their ids; they must be undeployed."""
    found = [canary["id"] for canary in canaries(hook, blueprint_name)]
    for canary_id in found:
        persistently(partial(hook.delete_model, canary_id))
    return found


def delete_connectors(hook: OpenSearchMLHook, ids: Iterable[str]) -> list[str]:
    """Delete connectors that no model uses; return what had to be left, one sentence each."""
    outcomes = [connectors.delete_if_unused(hook, connector_id) for connector_id in ids]
    return [str(outcome) for outcome in outcomes if outcome.action == "left"]


def _create(hook: OpenSearchMLHook, body: Mapping[str, object]) -> str:
    """Create a connector, if possible with an id that is never taken for another's.

    The server's in-use check, for DELETE and PUT alike, splits ids at the hyphen.
    """
    for _ in range(ID_TRIES):
        created = hook.create_connector(body)
        if "-" not in created:
            return created
        log.debug("candidate %s is made anew: its id could be taken for another connector's", created)
        if persistently(partial(connectors.delete_if_unused, hook, created)).action == "left":
            return created  # it is so taken already, as this node's next ids would be
    return hook.create_connector(body)


def _body(
    blueprint: Blueprint, credential: Mapping[str, str], marks: Mapping[str, str], credential_mark: str
) -> dict[str, Any]:
    body = canonical.connector_body(blueprint, credential, credential_mark)
    body["parameters"].update(marks)
    return body


def _placeholders(blueprint: Blueprint) -> dict[str, str]:
    keys = dict.fromkeys(blueprint.connector.credential, CLAIMED)
    literal = blueprint.connector.literals
    if blueprint.connector.protocol == "aws_sigv4" and "roleArn" not in literal:
        keys |= dict.fromkeys(("access_key", "secret_key"), CLAIMED)  # the server takes none without
    return keys | literal
