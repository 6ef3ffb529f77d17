"""What provisioning sends for a blueprint, in order, with secrets and ids as what stands for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint, CredentialReference
from opensearch_ml.blueprint.target import Target
from opensearch_ml.resources import bodies, canonical

ML = "/_plugins/_ml"
FINGERPRINT = "<fingerprint of the credential>"
TRUSTED_ALREADY = "<every entry that is there already>"
CONNECTOR_ID, GROUP_ID, MODEL_ID = "<connector_id>", "<model_group_id>", "<model_id>"


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    :param step: the task of DAG ``opensearch_ml_provision`` that sends it, unless the cluster agrees already.
    :param body: None if it has none.
    """

    step: str
    method: str
    path: str
    body: dict[str, Any] | None = None


def requests(blueprint: Blueprint, target: Target | None = None) -> list[Request]:
    """Return the requests that make a blueprint a model that answers, on a cluster that has nothing of it yet.

    The cluster's role mapping and the connector's IAM role depend on what is there, and are not among them.

    :param target: gives the cluster's settings.
    """
    return list(_requests(blueprint, target))


def _requests(blueprint: Blueprint, target: Target | None) -> Iterator[Request]:
    credential = {key: _shown(value) for key, value in blueprint.connector.credential.items()}
    if blueprint.rotation:
        credential |= dict.fromkeys(blueprint.supplied, f"<given by {blueprint.rotation.source}>")
    if settings := target.settings.as_cluster_settings() if target else {}:
        yield Request("ml_settings", "PUT", "/_cluster/settings", {"persistent": settings})
    trusted = [TRUSTED_ALREADY, *trusted_endpoints.missing(blueprint.trusted, [])]
    setting = {trusted_endpoints.SETTING: trusted}
    yield Request("trusted_endpoints", "PUT", "/_cluster/settings", {"persistent": setting})
    if not blueprint.inline:
        body = canonical.connector_body(blueprint, credential, FINGERPRINT)
        yield Request("connector", "POST", f"{ML}/connectors/_create", body)
    if blueprint.connector.is_mcp:
        return
    yield Request("model_group", "POST", f"{ML}/model_groups/_register", bodies.model_group(blueprint))
    model = bodies.model(
        blueprint, model_group_id=GROUP_ID, connector_id=CONNECTOR_ID, credential=credential, known=FINGERPRINT
    )
    yield Request("model", "POST", f"{ML}/models/_register", model)
    yield Request("deploy", "POST", f"{ML}/models/{MODEL_ID}/_deploy")
    if test := blueprint.smoke_test:
        yield Request("smoke_predict", "POST", f"{ML}/models/{MODEL_ID}/_predict", {"parameters": test.parameters})


def as_http(shown: Sequence[Request]) -> str:
    """Return requests as the OpenSearch documentation writes them; Dev Tools takes them as they are."""
    return "\n\n".join(
        f"# {request.step}\n{request.method} {request.path}"
        + (f"\n{_json(request.body)}" if request.body is not None else "")
        for request in shown
    )


def as_json(shown: Sequence[Request]) -> str:
    """Return requests as a list of ``{step, method, path, body}``; a body is null where there is none."""
    return _json([asdict(request) for request in shown])


FORMATS: dict[str, Callable[[Sequence[Request]], str]] = {"http": as_http, "json": as_json}


def _shown(value: CredentialReference | str) -> str:
    return f"<reference: {value}>" if isinstance(value, CredentialReference) else value


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
