"""An approval goes through JSON, is small, and there is one for each thing of a stage."""

from __future__ import annotations

import json

from opensearch_ml.reconcile.approval import Approved, approved
from opensearch_ml.resources.changes import Change, Difference, Kind, Plan

SWAP = Change(Kind.SWAP, "chat", differences=(Difference("parameters.model", "small", "large"),))
UPDATE = Change(Kind.UPDATE, "chat", differences=(Difference("model.description", None, "new"),))
ORPHAN = Change(Kind.ORPHAN, "old", models=("m1", "m2"), connectors=("c1",))


def test_an_approval_survives_the_way_through_json_and_is_small() -> None:
    one = Approved.of([UPDATE, SWAP])
    assert Approved.of_list(json.loads(json.dumps(one.as_list()))) == one
    assert len(json.dumps(one.as_list())) < 100
    assert "large" not in json.dumps(one.as_list())


def test_approvals_are_one_for_each_thing_of_a_stage() -> None:
    plan = Plan("t", 1, (UPDATE, SWAP, ORPHAN), ())
    assert [[one.what for one in approved(stage)] for stage in plan.stages()] == [["chat"], ["old"]]
