"""What a blueprint may not say although its fields are well-formed: the server takes it; it breaks or leaks later.

One module per part of the blueprint; each has `findings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opensearch_ml import aws_checks
from opensearch_ml.checks.access import findings as access
from opensearch_ml.checks.actions import findings as actions
from opensearch_ml.checks.bodies import findings as bodies
from opensearch_ml.checks.client_config import findings as client_config
from opensearch_ml.checks.credentials import findings as credentials
from opensearch_ml.checks.endpoints import findings as endpoints
from opensearch_ml.checks.functions import findings as functions
from opensearch_ml.checks.headers import findings as headers
from opensearch_ml.checks.models import findings as models
from opensearch_ml.checks.protocol import findings as protocol
from opensearch_ml.checks.rotation import findings as rotation
from opensearch_ml.checks.secrets import findings as secrets
from opensearch_ml.checks.texts import findings as texts
from opensearch_ml.errors import Finding

if TYPE_CHECKING:
    from opensearch_ml.blueprint import Blueprint

PARTS = (
    *(texts, credentials, secrets, headers, protocol, actions, functions, bodies, endpoints, client_config, access),
    *(models, aws_checks.findings, rotation),
)


def findings(blueprint: Blueprint) -> list[Finding]:
    """Return everything that is wrong with a well-formed blueprint."""
    return [finding for part in PARTS for finding in part(blueprint)]
