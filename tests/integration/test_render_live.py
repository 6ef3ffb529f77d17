"""What ``render`` shows is what provisioning sends to a cluster that has nothing of the blueprint yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import MLSettings, Target
from opensearch_ml.cli import render
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import canonical
from tests.support.cluster import OPENAI_KEY, Cluster
from tests.support.provisioning import provision

TARGET = Target(name="tests", settings=MLSettings(private_ip_enabled=True))
SHARED = {"name": "shared", "description": "For all"}
LIMITED = {"rate_limiter": {"limit": 100, "unit": "minutes"}, "is_enabled": True}


@pytest.fixture
def sent(hook36: OpenSearchMLHook, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """Every write that the hook sends."""
    writes: list[tuple[str, str, Any]] = []
    transport = hook36.client.transport
    perform = transport.perform_request

    def recorded(method: str, url: str, *args: Any, **given: Any) -> Any:
        if method != "GET" and not url.endswith("/_search"):
            writes.append((method, url, given.get("body")))
        return perform(method, url, *args, **given)

    monkeypatch.setattr(transport, "perform_request", recorded)
    return writes


@pytest.mark.parametrize("changed", [{}, {"inline": True}, {"model__group": SHARED}, {"model": LIMITED}])
def test_what_render_shows_is_what_is_sent(
    cluster36: Cluster,
    hook36: OpenSearchMLHook,
    make_blueprint: Callable[..., Blueprint],
    sent: list[tuple[str, str, Any]],
    changed: dict[str, Any],
) -> None:
    blueprint = make_blueprint("rendered", **changed)
    before = hook36.trusted_endpoints()
    model_id = provision(hook36, blueprint)
    shown = json.dumps(
        [(one.method, one.path, one.body) for one in render.requests(blueprint, TARGET)], ensure_ascii=False
    )
    assert OPENAI_KEY not in shown

    model = cluster36.get(f"/_plugins/_ml/models/{model_id}")
    connector = model.get("connector") or cluster36.get(f"/_plugins/_ml/connectors/{model['connector_id']}")
    for stands_for, known in (
        (render.MODEL_ID, model_id),
        (render.GROUP_ID, model["model_group_id"]),
        (render.CONNECTOR_ID, model.get("connector_id", "")),
        (render.FINGERPRINT, connector["parameters"][canonical.LABEL_CREDENTIAL]),
        ("<reference: password of connection openai_default>", OPENAI_KEY),
    ):
        shown = shown.replace(stands_for, known)
    expected = json.loads(shown)
    patterns = expected[1][2]["persistent"][trusted_endpoints.SETTING]
    assert patterns.pop(0) == render.TRUSTED_ALREADY
    patterns[:0] = before
    assert json.loads(json.dumps(sent)) == expected
