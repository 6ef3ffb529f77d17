"""What all tests share: servers, each started once a session, for real, and stopped at its end; and an Airflow.

Of Airflow there is an AIRFLOW_HOME of this session's own with a metadata database, and runs in this process.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.dag_runs import Run, metadata_database, runner
from tests.support.repository import REPOSITORY

# Airflow reads its home when it is first imported, which is while tests are collected: before that, it must be one of
# this session's own.
if "OPENSEARCH_ML_TESTS" not in os.environ:
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    AIRFLOW_HOME = tempfile.mkdtemp(prefix="opensearch-ml-airflow-")
    os.environ.update(
        OPENSEARCH_ML_TESTS="running",
        AIRFLOW_HOME=AIRFLOW_HOME,
        AIRFLOW__CORE__DAGS_FOLDER=str(REPOSITORY / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(REPOSITORY / "plugins"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER=str(Path(AIRFLOW_HOME, "targets")),
    )
    Path(AIRFLOW_HOME, "targets").mkdir()

from local.distribution import VERSIONS
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from local.opensearch import OpenSearchCluster
from tests.support.cluster import OPENAI_KEY, Cluster


@pytest.fixture(scope="session", autouse=True)
def airflow_home() -> Iterator[Path]:
    """The AIRFLOW_HOME of this session; it goes with it."""
    home = Path(os.environ["AIRFLOW_HOME"])
    yield home
    shutil.rmtree(home, ignore_errors=True)


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
