"""What all tests share: servers, each started once a session, for real, and stopped at its end; and an Airflow.

Of Airflow there is an AIRFLOW_HOME of this session's own with a metadata database, and runs in this process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.distribution import VERSIONS
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from local.opensearch import OpenSearchCluster
from tests.support.airflow_home import AIRFLOW_HOME
from tests.support.cluster import OPENAI_KEY, Cluster
from tests.support.dag_runs import Run, metadata_database, runner


@pytest.fixture(scope="session", autouse=True)
def airflow_home() -> Iterator[Path]:
    """The AIRFLOW_HOME of this session; it goes with it."""
    yield AIRFLOW_HOME
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def database(airflow_home: Path) -> Iterator[None]:
    """A metadata database in this session's AIRFLOW_HOME."""
    with metadata_database(airflow_home):
        yield


@pytest.fixture
def run_dag(database: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a DAG of a folder to its end."""
    return runner(monkeypatch, capfd)


_started: dict[str, Cluster] = {}


@pytest.fixture(scope="session")
def start_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Cluster]]:
    """Starts the cluster of a version when the first test asks for it."""

    def start(version: str) -> Cluster:
        if version not in _started:
            home = tmp_path_factory.mktemp("opensearch") / version
            opensearch = OpenSearchCluster(home, version=version, preferred_port=0)
            opensearch.start()
            _started[version] = Cluster(opensearch, version)
            opensearch.wait_until_healthy()
            _started[version].wait_out_the_redeployment()
        return _started[version]

    yield start
    for cluster in _started.values():
        cluster.opensearch.delete()
    _started.clear()


@pytest.fixture(scope="session", params=VERSIONS)
def each_version(request: pytest.FixtureRequest, start_cluster: Callable[[str], Cluster]) -> Cluster:
    """The cluster of every supported version in turn."""
    return start_cluster(request.param)


@pytest.fixture(scope="session")
def newest(start_cluster: Callable[[str], Cluster]) -> Cluster:
    """The cluster of the default version."""
    return start_cluster(VERSIONS[0])


@pytest.fixture
def cluster(each_version: Cluster) -> Iterator[Cluster]:
    """A clean cluster of every supported version in turn."""
    each_version.clean()
    yield each_version
    each_version.clean()


@pytest.fixture
def cluster36(newest: Cluster) -> Iterator[Cluster]:
    """A clean cluster of the default version, for what does not depend on it."""
    newest.clean()
    yield newest
    newest.clean()


@pytest.fixture(scope="session")
def _endpoints() -> Iterator[ModelEndpoints]:
    with start_model_endpoints(keys={"openai": [OPENAI_KEY]}) as endpoints:
        yield endpoints


@pytest.fixture
def endpoints(_endpoints: ModelEndpoints) -> Iterator[ModelEndpoints]:
    """The model endpoints, behaving and with nothing recorded."""
    _endpoints.behave_normally()
    _endpoints.replace_keys({"openai": [OPENAI_KEY]})
    _endpoints.forget_requests()
    yield _endpoints
    _endpoints.behave_normally()
