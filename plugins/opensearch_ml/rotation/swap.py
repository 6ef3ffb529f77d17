"""The swap (being written: the signature is final)."""

from __future__ import annotations

from opensearch_ml.blueprint import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import DEFAULT_LIMITS, Journal, Limits, RotationRecord, no_journal
from opensearch_ml.rotation.source import CredentialSource


def rotate(
    hook: OpenSearchMLHook,
    blueprint: Blueprint,
    source: CredentialSource,
    *,
    token: str,
    limits: Limits = DEFAULT_LIMITS,
    force: bool = False,
    on_step: Journal = no_journal,
) -> RotationRecord:
    """Make the blueprint's model serve what the blueprint and its source say now, without losing a predict.

    :param token: of this run; a retry has the same one, and goes on at once.
    :param force: also when nothing differs.
    :param on_step: called before and after each step.
    :return: what was done; ``busy`` if another run rotates this model.
    :raises RotationFailed: the candidate was refused, or did not come to serve; says what serves.
    """
    raise NotImplementedError
