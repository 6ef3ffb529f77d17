"""What a look at a cluster asks: a handful of requests, and one more only where whose a model is cannot be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from opensearch_ml.blueprint.target import RoleMapping, Target
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc, ModelGroupDoc
from opensearch_ml.errors import PermissionDenied, RequestRefused
from opensearch_ml.hook import MAX_HITS, OpenSearchMLHook
from opensearch_ml.resources.bodies import GROUP_LABEL
from opensearch_ml.resources.inventory import Cluster
from opensearch_ml.resources.read import read_cluster, read_fleet
from tests.support.doubles import as_hook
from tests.support.fleets import VERSION, blueprint, canary, connector, foreign, model, stands

CHAT = blueprint()
MAPS = Target(name="t", role_mapping={"ml_full_access": RoleMapping(users=["ann"])})


class Hook:
    """Answers from lists, and notes what it was asked."""

    opensearch_conn_id = "opensearch_default"

    def __init__(self, connectors: Any = (), models: Any = (), groups: Any = ()) -> None:
        self.connectors, self.models, self.groups = list(connectors), list(models), list(groups)
        self.asked: list[str] = []
        self.queries: list[Mapping[str, Any]] = []

    @property
    def version(self) -> tuple[int, ...]:
        self.asked.append("version")
        return VERSION

    def _note(self, what: str, query: Mapping[str, Any], found: list[Any]) -> list[Any]:
        self.asked.append(what)
        self.queries.append(query)
        return found

    def search_models(self, query: Mapping[str, object]) -> list[ModelDoc]:
        return self._note("models", query, self.models)

    def search_connectors(self, query: Mapping[str, object]) -> list[ConnectorDoc]:
        return self._note("connectors", query, self.connectors)

    def search_model_groups(self, query: Mapping[str, object]) -> list[ModelGroupDoc]:
        return self._note("groups", query, self.groups)

    def cluster_settings(self) -> dict[str, Any]:
        self.asked.append("settings")
        return {}

    def role_mappings(self) -> dict[str, dict[str, list[str]]]:
        self.asked.append("mappings")
        return {"ml_full_access": {"users": ["ann"]}}


def look(hook: Hook, target: Target, names: dict[str, str], admin: Hook | None = None) -> Cluster:
    """Look at the fleet and at the rest, as a plan does."""
    told = read_fleet(as_hook(hook))
    return read_cluster(as_hook(hook), target, told, names, admin=as_hook(admin) if admin else None)


def asked(hook: Hook, target: Target = MAPS) -> list[str]:
    look(hook, target, {"chat": CHAT.model_name})
    return sorted(hook.asked)


def test_a_converged_fleet_costs_five_requests_and_four_without_mappings() -> None:
    made, there = stands(CHAT)
    there.append(canary(CHAT, "c-chat"))
    assert asked(Hook(made, there)) == ["connectors", "mappings", "models", "settings", "version"]
    assert asked(Hook(made, there), Target(name="t")) == ["connectors", "models", "settings", "version"]


def test_others_models_cost_nothing_more() -> None:
    other = blueprint("theirs")
    assert "groups" not in asked(Hook([foreign(other, "f")], [model(other, "m", "f")]))


@pytest.mark.parametrize(
    ("connectors", "found"),
    [
        ([], model(CHAT, "m", "gone", model_group_id="g")),
        ([foreign(CHAT, "f")], model(CHAT, "m", "f", model_group_id="g")),
        ([connector(CHAT, "c")], model(CHAT, "m", "c", name="renamed", model_group_id="g")),
        ([connector(blueprint("old"), "c")], model(CHAT, "m", "c", name="old", model_group_id="g")),
    ],
    ids=["connector gone", "of our name on a foreign one", "renamed", "no longer wanted"],
)
def test_groups_are_asked_for_where_the_connector_does_not_tell(connectors: list[Any], found: dict[str, Any]) -> None:
    marked = {"id": "g", "description": f"x {GROUP_LABEL}"}
    hook = Hook(connectors, [found], [marked, {"id": "h", "description": "others'"}])
    seen = look(hook, MAPS, {"chat": "chat"})
    assert sorted(hook.asked).count("groups") == 1
    assert hook.queries[-1] == {"ids": {"values": ["g"]}}
    assert seen.fleet.groups == {"g"}


def test_connectors_are_asked_for_by_our_mark_and_by_who_uses_them() -> None:
    hook = Hook([], [model(CHAT, "a", "used"), model(CHAT, "b", {"name": "inside"})])
    read_fleet(as_hook(hook), ["adopted"])
    should = hook.queries[1]["bool"]["should"]
    assert should[1] == {"ids": {"values": ["adopted", "used"]}}


def test_mappings_are_read_by_whoever_may_and_a_refusal_is_told() -> None:
    class Refused(Hook):
        def role_mappings(self) -> dict[str, dict[str, list[str]]]:
            raise PermissionDenied("no", evidence="403 no permission", fix="")

    found = look(Refused(), MAPS, {})
    assert (found.mappings, len(found.unseen)) == (None, 1)
    assert "403 no permission" in found.unseen[0]
    admin = Hook()
    found = look(Refused(), MAPS, {}, admin)
    assert (found.mappings, admin.asked) == ({"ml_full_access": {"users": ["ann"]}}, ["mappings"])


@pytest.mark.parametrize("relation", ["eq", "gte"])
def test_a_search_that_the_server_cuts_off_is_refused(monkeypatch: pytest.MonkeyPatch, relation: str) -> None:
    hits = [{"_id": str(index), "_source": {}} for index in range(MAX_HITS)]
    answer = {"hits": {"hits": hits, "total": {"value": MAX_HITS, "relation": relation}}}
    monkeypatch.setattr(OpenSearchMLHook, "_read", lambda self, call, **arguments: answer)
    hook = OpenSearchMLHook()
    if relation == "eq":
        assert len(hook._search(lambda: None, {})) == MAX_HITS
    else:
        with pytest.raises(RequestRefused, match="more than 10000 objects"):
            hook._search(lambda: None, {})
