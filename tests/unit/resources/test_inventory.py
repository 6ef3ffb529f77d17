"""What stands on a cluster tells what belongs to whom."""

from __future__ import annotations

from opensearch_ml.resources.inventory import Fleet
from tests.support import fleets


def test_the_connector_of_an_adopted_model_is_known_to_be_of_others() -> None:
    chat, connector, model = fleets.adopted_world()
    live = Fleet([connector], [model], fleets.VERSION).rotation_state(chat).live
    assert live is not None
    assert (live.id, live.others, live.mark, live.differs) == ("theirs", True, fleets.RIGHT, ())
