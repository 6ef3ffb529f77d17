"""What a blueprint may not say although its fields are well-formed: the server takes it; it breaks or leaks later.

One module per part of the blueprint. Literal secrets are found in the document itself (`secrets`), malformed or not.
"""

from __future__ import annotations

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.checks import versions
from opensearch_ml.checks.access import findings as access
from opensearch_ml.checks.actions import findings as actions
from opensearch_ml.checks.aws import findings as aws
from opensearch_ml.checks.bodies import findings as bodies
from opensearch_ml.checks.client_config import findings as client_config
from opensearch_ml.checks.credentials import findings as credentials
from opensearch_ml.checks.credentials import misplaced, missing
from opensearch_ml.checks.endpoints import patterns, urls
from opensearch_ml.checks.functions import findings as functions
from opensearch_ml.checks.headers import findings as headers
from opensearch_ml.checks.models import findings as models
from opensearch_ml.checks.protocol import findings as protocol
from opensearch_ml.checks.rotation import findings as rotation
from opensearch_ml.checks.texts import findings as texts
from opensearch_ml.errors import Finding

PARTS = (
    *(texts, misplaced, headers, functions, urls, missing, credentials, protocol, actions, bodies, patterns),
    *(client_config, access, models, aws, rotation),
)


def findings(blueprint: Blueprint, version: versions.Version | None = None) -> list[Finding]:
    """Return everything that is wrong with a well-formed blueprint, except literal secrets.

    :param version: the cluster's; None passes over what only some versions know.
    """
    found = [finding for part in PARTS for finding in part(blueprint)]
    return found + (versions.findings(blueprint, version) if version else [])
