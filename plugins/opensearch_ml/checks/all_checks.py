"""What a blueprint may not say although its fields are well-formed: the server takes it; it breaks or leaks later.

One module per part of the blueprint; each has `findings`, and what needs no other field may have a function of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.checks import versions
from opensearch_ml.checks.access import findings as access
from opensearch_ml.checks.actions import findings as actions
from opensearch_ml.checks.aws import findings as aws
from opensearch_ml.checks.bodies import findings as bodies
from opensearch_ml.checks.client_config import findings as client_config
from opensearch_ml.checks.credentials import findings as credentials
from opensearch_ml.checks.credentials import literals, missing
from opensearch_ml.checks.endpoints import patterns, urls
from opensearch_ml.checks.functions import findings as functions
from opensearch_ml.checks.headers import findings as headers
from opensearch_ml.checks.models import findings as models
from opensearch_ml.checks.protocol import findings as protocol
from opensearch_ml.checks.rotation import findings as rotation
from opensearch_ml.checks.secrets import findings as secrets
from opensearch_ml.checks.texts import findings as texts
from opensearch_ml.errors import Finding

# What is told of one field alone, whatever the others are.
ALONE = (texts, secrets, literals, headers, functions, urls)
# What compares fields; and those that it compares, by whose guesses (`malformed`) it would judge the others.
COMPARING: dict[Callable[[Blueprint], Iterable[Finding]], re.Pattern[str]] = {
    part: re.compile(fields)
    for part, fields in (
        (missing, r"connector\.credential"),
        (
            credentials,
            r"connector\.(protocol|credential|(actions\.\d+\.)?headers.*|actions(\.\d+)?|client_config(\.mutual_tls_enabled)?)"
            r"|rotation(\.source)?",
        ),
        (protocol, r"connector\.(protocol|parameters)"),
        (actions, r"connector\.(protocol|actions(\.\d+(\.action_type|\.name)?)?)"),
        (bodies, r"connector\.(parameters|actions(\.\d+(\.action_type|\.method)?)?)|smoke_test(\.parameters)?"),
        (patterns, r"connector\.(protocol|parameters|url|actions(\.\d+(\.url)?)?)|trusted_endpoints.*"),
        (client_config, r"connector\.(protocol|credential|client_config.*)"),
        (access, r"inline|.*\.(access_mode|backend_roles|add_all_backend_roles)(\..*)?"),
        (models, r"model\.(guardrails|interface|model_config).*"),
        (
            aws,
            r"connector\.(protocol|credential.*|parameters|actions(\.\d+(\.headers|\.url)?)?)|iam_role.*|rotation(\.source)?",
        ),
        (rotation, r"connector\.(protocol|credential.*)|rotation.*"),
    )
}


def findings(
    blueprint: Blueprint, version: versions.Version | None = None, guessed: Iterable[str] = ()
) -> list[Finding]:
    """Return everything that is wrong with a well-formed blueprint.

    :param version: the cluster's; None passes over what only some versions know.
    :param guessed: paths of fields whose values nobody wrote.
    """
    found = [finding for part in ALONE for finding in part(blueprint)]
    for part, fields in COMPARING.items():
        if not any(map(fields.fullmatch, guessed)):
            found += part(blueprint)
    return found + (versions.findings(blueprint, version) if version else [])
