"""Preflight: what this very cluster would not understand is told before the first write."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.operators.preflight import OpenSearchPreflightOperator
from tests.conftest import OPENAI_KEY, REPOSITORY, Cluster, connections


def test_a_field_that_the_servers_version_lacks_is_refused_and_nothing_is_written(
    cluster: Cluster, hook: OpenSearchMLHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (REPOSITORY / "include" / "blueprints" / "openai_embedding.yaml").read_text()
    gated = text.replace("connection_timeout: 5", "connection_timeout: 5\n    skip_ssl_verification: false")
    (tmp_path / "gated.yaml").write_text(gated)
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(tmp_path))
    preflight = OpenSearchPreflightOperator(task_id="preflight", blueprint="gated")
    before = cluster.writes()
    with connections(openai_default=f'{{"conn_type": "http", "password": "{OPENAI_KEY}"}}'):
        if hook.version >= (3, 5):
            preflight.execute({})
        else:
            with pytest.raises(AirflowFailException) as raised:
                preflight.execute({})
            assert "skip_ssl_verification: needs OpenSearch 3.5, and the cluster runs 2.19.1" in str(raised.value)
            assert "Remove connector.client_config.skip_ssl_verification" in str(raised.value)
    assert cluster.writes() == before
