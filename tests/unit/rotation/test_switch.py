"""A switch of an adopted model takes its mark away, and the way back brings it again."""

from __future__ import annotations

from collections.abc import Mapping

from opensearch_ml.client.documents import ConnectorDoc
from opensearch_ml.rotation.switch import Switch
from tests.support import fleets
from tests.support.doubles import as_hook


class Puts:
    """A hook to which a switch writes."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []

    def predictors(self, model_id: str) -> dict[str, str]:
        return {}

    def get_connector(self, connector_id: str) -> ConnectorDoc | None:
        return {"id": connector_id}

    def update_model(self, model_id: str, body: Mapping[str, object]) -> None:
        self.bodies.append(dict(body))


def test_a_switch_takes_the_mark_away_in_the_same_request_and_the_way_back_brings_it_again() -> None:
    chat, _, model = fleets.adopted_world()
    hook = Puts()
    switch = Switch(as_hook(hook), chat, model, to="ours", new=None, token="run-1", back_to="theirs")
    switch.forth()
    switch.back()
    assert hook.bodies == [
        {"connector_id": "ours", "description": "By hand"},
        {"connector_id": "theirs", "description": model["description"]},
    ]
