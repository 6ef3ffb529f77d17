"""What a blueprint may not say about AWS: it would be refused by the service, or fail at the first signed request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opensearch_ml.errors import Finding

if TYPE_CHECKING:
    from opensearch_ml.blueprint import Blueprint, Connector

ROLE_ARN = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+"
WORD = r"[a-z0-9-]+"
# Parts of a credential that are no secret, and what they look like.
LITERALS = {
    "roleArn": ROLE_ARN,
    "externalAccountRoleArn": ROLE_ARN,
    # IAM compares the whole ARN, and the service adds a hyphen and six characters to every secret's name.
    "secretArn": r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+-[A-Za-z0-9]{6}",
    "region": WORD,
    "service_name": WORD,
}


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield everything about AWS that is wrong with a well-formed blueprint."""
    if blueprint.connector.protocol == "aws_sigv4":
        yield from _signing(blueprint.connector)


def _signing(connector: Connector) -> Iterator[Finding]:
    keys = connector.credential.keys()
    if "roleArn" not in keys and not {"access_key", "secret_key"} <= keys:
        yield Finding(
            "connector.credential",
            "protocol aws_sigv4 signs with access_key and secret_key (or roleArn on Amazon OpenSearch Service)",
            "Add both as references, or roleArn.",
        )
    for name in ("region", "service_name"):
        if name not in connector.parameters and name not in keys:
            yield Finding(f"connector.parameters.{name}", "is missing, and protocol aws_sigv4 needs it", "Add it.")
