"""What became of what was approved goes through JSON."""

from __future__ import annotations

import json

from opensearch_ml.reconcile.results import Applied, Outcome


def test_a_result_survives_the_way_through_json() -> None:
    done = Applied("chat", ("swap",), Outcome.DONE, "told", "m")
    assert Applied.of_dict(json.loads(json.dumps(done.as_dict()))) == done
