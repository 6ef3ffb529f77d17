"""A model that is served with one key, and another key that is to serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.hook import OpenSearchMLHook
from tests.support.cluster import Cluster
from tests.support.parsing import parse_blueprint
from tests.support.provisioning import provision
from tests.support.repository import REPOSITORY
from tests.support.rotation_world import NEW, OLD, THIRD, Keys


@pytest.fixture
def keys(endpoints: ModelEndpoints) -> ModelEndpoints:
    """The model endpoints, which accept three keys."""
    endpoints.replace_keys({"openai": [OLD, NEW, THIRD]})
    return endpoints


@pytest.fixture
def chat(tmp_path: Path, keys: ModelEndpoints) -> Callable[..., Blueprint]:
    """Returns openai_chat for the model endpoints, whose answers take a double no time; with a short grace."""
    targets = tmp_path / "chat_targets"
    targets.mkdir()
    (targets / "tests.yaml").write_text(f"variables: {{openai_url: '{keys.url}'}}")
    catalog = Catalog(REPOSITORY / "include" / "blueprints", targets)

    def make(*, inline: bool = False, read_timeout: int = 1, **connector: object) -> Blueprint:
        document = catalog.blueprint("openai_chat").model_dump(
            by_alias=True, exclude_unset=True, exclude={"name", "variables"}
        )
        document["inline"] = inline
        document["connector"]["client_config"] = {"connection_timeout": 2, "read_timeout": read_timeout}
        document["connector"].update(connector)
        return parse_blueprint("openai_chat", document, source="openai_chat")

    return make


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Keys]:
    """Returns a source that wants a key."""
    return lambda wanted=NEW, **more: Keys(wanted, tmp_path / "notes", **more)


@pytest.fixture(params=[False, True], ids=["standalone", "internal"])
def either(request: pytest.FixtureRequest, chat: Callable[..., Blueprint]) -> Blueprint:
    return chat(inline=request.param)


@pytest.fixture
def served(hook: OpenSearchMLHook, either: Blueprint, cluster: Cluster) -> str:
    """The model of `either`, which serves with the old key; its id."""
    return provision(hook, either, {"openAI_key": OLD})
