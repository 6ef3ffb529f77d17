"""Why a rotation ends without the new credential: said with what serves now, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.errors import OpenSearchMLError, RemoteCredentialRefused, RotationFailed
from opensearch_ml.resources import canonical
from opensearch_ml.resources.rotation_state import RotationState
from opensearch_ml.rotation.record import Step
from opensearch_ml.steps.model import under_another_name

AGAIN = "run opensearch_ml_rotate_credentials again"


def refused(
    blueprint: Blueprint, error: Exception, *, step: str, serves: str, redact: Callable[[str], str]
) -> RotationFailed:
    """Return the error for a step that failed.

    :param step: the value of a `Step`, or what else was done.
    :param serves: what serves now, and what is left behind.
    """
    if isinstance(error, OpenSearchMLError):
        cause, evidence, fix = error.cause, error.evidence, error.fix
    else:
        cause, evidence, fix = "an error that nobody foresaw", redact(f"{type(error).__name__}: {error}"), AGAIN
    if isinstance(error, RemoteCredentialRefused):
        fix = f"check that this platform and model accept the {blueprint.credential_origin}, and run again"
    if step == Step.TEST.value and "/models/" in evidence:
        evidence += "; that model is the canary of this rotation, not the one that serves"
    return RotationFailed(
        f"rotation of {blueprint.name} failed at step {step}: {cause}; {serves}", evidence=evidence, fix=fix
    )


def nothing_to_rotate(
    blueprint: Blueprint, found: RotationState, made_from_it: Sequence[ModelDoc]
) -> OpenSearchMLError:
    """Return the error for a blueprint that has no model here, or one on a connector that is not ours.

    :param made_from_it: the models on its connectors (`steps.model.made_from`), which may have another name.
    """
    if found.model is None and made_from_it:
        return under_another_name(blueprint, made_from_it)
    if found.model is None:
        seen = f"no model {blueprint.model_name} of ours is in the cluster"
    else:
        inside = "an internal connector" if "connector" in found.model else found.model.get("connector_id")
        wanted = "an internal one" if blueprint.inline else "a standalone one of ours"
        seen = f"model {found.model['id']} uses {inside}, where the blueprint has {wanted}"
    return RotationFailed(
        f"{blueprint.name} has nothing to rotate", evidence=seen, fix="run opensearch_ml_provision for this blueprint"
    )


def file_is_gone(blueprint_name: str, model_ids: Sequence[str]) -> RotationFailed:
    """Return the error for a model of ours whose blueprint's file is not there any more."""
    return RotationFailed(
        gone(blueprint_name, model_ids),
        evidence=f"the cluster holds the mark of {blueprint_name}, and the blueprints folder no file of that name",
        fix=f"restore {blueprint_name}.yaml; if the model is not needed any more, run opensearch_ml_teardown for it, "
        "and delete the file only then",
    )


def gone(blueprint_name: str, model_ids: Sequence[str]) -> str:
    """Return the cause of `file_is_gone`."""
    return f"{blueprint_name} has no file any more, and model {', '.join(model_ids)} was made from it"


def untestable(blueprint: Blueprint, found: RotationState) -> RotationFailed | None:
    """Return the error for a blueprint whose candidate nobody could test, or None."""
    if blueprint.smoke_test is not None:
        return None
    return RotationFailed(
        f"{blueprint.name} needs a swap, and has no smoke_test: a new credential that is wrong would meet production; "
        "nothing was written, it serves as before",
        evidence=f"model {(found.model or {}).get('id')}; blueprint {blueprint.name} has no smoke_test",
        fix="add smoke_test to the blueprint: parameters for one predict, and what its answer must hold",
    )


def cannot_be_put(blueprint: Blueprint, found: RotationState) -> RotationFailed | None:
    """Return the error for a change that an internal connector cannot take, whose PUT only adds keys, or None."""
    model: ModelDoc = found.model or {}
    had = ((model.get("connector") or {}).get("parameters") or {}).keys() if blueprint.inline else ()
    ours = {canonical.LABEL_OWNER, canonical.LABEL_BLUEPRINT, *canonical.LOOSE_LABELS}
    removed = sorted(set(had) - blueprint.connector.parameters.keys() - ours)
    if not removed:
        return None
    return RotationFailed(
        f"model {model['id']} of {blueprint.name} has an internal connector, whose parameters cannot be taken away; "
        "nothing was written, it serves as before",
        evidence=f"the blueprint no longer has {', '.join(removed)}, and PUT merges parameters key by key",
        fix="keep the parameters, with the values they should have, or use a standalone connector (inline: false)",
    )
