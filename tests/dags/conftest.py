"""What the tests of DAGs work with: a cluster that Airflow knows, and a target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.model_endpoints.process import ModelEndpoints
from tests.support.cluster import OPENAI_KEY, Cluster, connections, write_target


@pytest.fixture
def connected(cluster36: Cluster, endpoints: ModelEndpoints, airflow_home: Path) -> Iterator[Cluster]:
    """A clean cluster, known to Airflow as opensearch_default, the key of the model endpoints, and a target."""
    write_target(airflow_home, endpoints)
    key = json.dumps({"conn_type": "generic", "password": OPENAI_KEY})
    with connections(opensearch_default=cluster36.connection(), openai_default=key):
        yield cluster36
