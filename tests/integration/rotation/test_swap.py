"""The swap on the real server of each version: what serves after it, what is left behind, and what is told."""

from __future__ import annotations

from collections.abc import Callable

from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import Step
from opensearch_ml.rotation.swap import rotate
from tests.support.cluster import Cluster
from tests.support.rotation_world import NEW, OLD, QUICK, Keys, keys_served, left

Source = Callable[..., Keys]


def test_a_new_key_comes_to_serve_and_nothing_is_left_behind(
    cluster: Cluster, hook: OpenSearchMLHook, either: Blueprint, served: str, source: Source, keys: ModelEndpoints
) -> None:
    before = left(cluster)
    record = rotate(hook, either, source(), token="run-1", limits=QUICK)
    assert (record.outcome, record.why, record.model_id) == ("rotated", ("credential",), served)
    assert keys_served(keys, cluster, served) == {bearer_fingerprint(NEW)}
    assert left(cluster) == before
    assert record.nodes == 1
    assert record.proof_predicts == 2
    assert record.test_predicts == 3
    assert source().calls == ["recover", "next", "promote", "retire"]
    assert [one.step for one in record.steps][:7] == [s.value for s in list(Step)[:7]]
    assert OLD not in str(record.as_dict())
    assert NEW not in str(record.as_dict())
    writes = cluster.writes()
    assert rotate(hook, either, source(), token="run-2", limits=QUICK).outcome == "unchanged"
    assert cluster.writes() == writes
