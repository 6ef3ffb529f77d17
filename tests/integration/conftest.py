"""What the integration tests work with: a hook on a clean cluster, and blueprints that call the model endpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.catalog.validation import parse_blueprint
from opensearch_ml.errors import Unreachable
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.retries import persistently
from opensearch_ml.steps.cluster_settings import ensure_ml_settings, ensure_trusted_endpoints
from opensearch_ml.steps.connector import ensure_connector
from opensearch_ml.steps.deployment import look_at_deployment, start_deployment
from opensearch_ml.steps.model import ensure_model, ensure_model_group
from opensearch_ml.steps.predict import smoke_predict
from tests.support.cluster import OPENAI_KEY, REPOSITORY, Cluster, connections
from tests.support.domains import _domain, domain  # noqa: F401 fixtures

CREDENTIAL = {"openAI_key": OPENAI_KEY}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every request from now on, by the client's method."""
    calls: list[str] = []
    send = OpenSearchMLHook._send

    def count(hook: OpenSearchMLHook, call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        calls.append(call.__name__)
        return send(hook, call, arguments)

    monkeypatch.setattr(OpenSearchMLHook, "_send", count)
    return calls


@pytest.fixture
def hook(cluster: Cluster) -> Iterator[OpenSearchMLHook]:
    """A hook on a clean cluster of each version."""
    with connections(opensearch_default=cluster.connection()):
        yield OpenSearchMLHook()


@pytest.fixture
def hook36(cluster36: Cluster) -> Iterator[OpenSearchMLHook]:
    """A hook on a clean cluster of the default version."""
    with connections(opensearch_default=cluster36.connection()):
        yield OpenSearchMLHook()


@pytest.fixture
def make_blueprint(tmp_path: Path, endpoints: ModelEndpoints) -> Callable[..., Blueprint]:
    """Returns the catalog's openai_embedding for the model endpoints, with some of its document changed."""
    targets = tmp_path / "targets"
    targets.mkdir()
    (targets / "tests.yaml").write_text(f"variables: {{openai_url: '{endpoints.url}', dimension: 384}}")
    catalog = Catalog(REPOSITORY / "include" / "blueprints", targets)

    def make(name: str = "openai_embedding", **changed: Any) -> Blueprint:
        document = catalog.blueprint("openai_embedding").model_dump(
            by_alias=True, exclude_unset=True, exclude={"name", "variables"}
        )
        for path, value in changed.items():
            node = document
            *parents, last = path.split("__")
            for key in parents:
                node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
            node[last] = value
        return parse_blueprint(name, document, source=name)

    return make


@pytest.fixture
def blueprint(make_blueprint: Callable[..., Blueprint]) -> Blueprint:
    """The catalog's openai_embedding, calling the model endpoints."""
    return make_blueprint()


def prepare(hook: OpenSearchMLHook, blueprint: Blueprint) -> None:
    """What every connector here needs: its URL trusted, and calls to this machine allowed."""
    ensure_ml_settings(hook, {"plugins.ml_commons.connector.private_ip_enabled": True})
    ensure_trusted_endpoints(hook, blueprint.trusted)


def provision(hook: OpenSearchMLHook, blueprint: Blueprint, credential: dict[str, str] = CREDENTIAL) -> str:
    """All steps, as the DAG runs them; returns the model's id."""
    prepare(hook, blueprint)
    connector_id = None if blueprint.inline else ensure_connector(hook, blueprint, credential).id
    group_id = ensure_model_group(hook, blueprint).id
    model_id = ensure_model(
        hook, blueprint, model_group_id=group_id, connector_id=connector_id, credential=credential
    ).id
    task_id = start_deployment(hook, model_id)
    persistently(lambda: until_deployed(hook, model_id, task_id))
    smoke_predict(hook, blueprint, model_id)
    return model_id


def until_deployed(hook: OpenSearchMLHook, model_id: str, task_id: str | None) -> None:
    if not look_at_deployment(hook, model_id, task_id).done:
        raise Unreachable("not yet", evidence="", fix="")


def at_once(count: int, action: Callable[[], Any]) -> list[Any]:
    """Call an action in several threads that start together; returns what each returned, or raises what one raised."""
    barrier = threading.Barrier(count)
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        barrier.wait()
        try:
            results.append(action())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
