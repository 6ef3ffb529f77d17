"""A rotation with what the cluster has to trust for it: the new URL before, and the old one no longer."""

from __future__ import annotations

import logging

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials.source import CredentialSource
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import Journal, RotationRecord, no_journal
from opensearch_ml.rotation.swap import rotate
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps.cluster_settings import remove_trusted_endpoints, trusted_for, trusting

log = logging.getLogger(__name__)


def rotate_trusted(
    hook: OpenSearchMLHook,
    acting: OpenSearchMLHook,
    blueprint: Blueprint,
    source: CredentialSource,
    *,
    token: str,
    force: bool = False,
    on_step: Journal = no_journal,
) -> RotationRecord:
    """Do what `rotate` does, and keep the trusted endpoints in step with the connector's URLs.

    :param acting: of who may write what all models share; not asked as long as the URLs are the same.
    :return: as `rotate`.
    :raises OpenSearchMLError: as `rotate`; or what is trusted no longer could not be removed.
    """
    before = trusted_for(connectors.ours(hook, blueprint.name))
    done = rotate(
        hook,
        blueprint,
        source,
        token=token,
        force=force,
        allowing=lambda: trusting(acting, blueprint.trusted),
        on_step=on_step,
    )
    idle = before - {pattern for pattern, _ in blueprint.trusted}
    if done.outcome == "rotated" and idle:
        log.info("%s", remove_trusted_endpoints(acting, idle))
    return done
