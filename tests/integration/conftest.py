"""What the integration tests work with.

A hook on a clean cluster, blueprints that call the model endpoints, a domain, and an AWS account without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from local.aws_account.process import AwsAccount, start_aws_account
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.hook import OpenSearchMLHook
from tests.support.cluster import Cluster, connections
from tests.support.domains import Domain, running_domain
from tests.support.iam_roles import Connect, connection
from tests.support.parsing import parse_blueprint
from tests.support.repository import REPOSITORY


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every request from now on, by the client's method."""
    calls: list[str] = []
    send = OpenSearchMLHook._send

    def count(hook: OpenSearchMLHook, call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        calls.append(call.__name__)
        return send(hook, call, arguments)

    monkeypatch.setattr(OpenSearchMLHook, "_send", count)
    return calls


@pytest.fixture
def hook(cluster: Cluster) -> Iterator[OpenSearchMLHook]:
    """A hook on a clean cluster of each version."""
    with connections(opensearch_default=cluster.connection()):
        yield OpenSearchMLHook()


@pytest.fixture
def hook36(cluster36: Cluster) -> Iterator[OpenSearchMLHook]:
    """A hook on a clean cluster of the default version."""
    with connections(opensearch_default=cluster36.connection()):
        yield OpenSearchMLHook()


@pytest.fixture
def make_blueprint(tmp_path: Path, endpoints: ModelEndpoints) -> Callable[..., Blueprint]:
    """Returns the catalog's openai_embedding for the model endpoints, with some of its document changed."""
    targets = tmp_path / "targets"
    targets.mkdir()
    (targets / "tests.yaml").write_text(f"variables: {{openai_url: '{endpoints.url}', dimension: 384}}")
    catalog = Catalog(REPOSITORY / "include" / "blueprints", targets)

    def make(name: str = "openai_embedding", **changed: Any) -> Blueprint:
        document = catalog.blueprint("openai_embedding").model_dump(
            by_alias=True, exclude_unset=True, exclude={"name", "variables"}
        )
        for path, value in changed.items():
            node = document
            *parents, last = path.split("__")
            for key in parents:
                node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
            node[last] = value
        return parse_blueprint(name, document, source=name)

    return make


@pytest.fixture
def blueprint(make_blueprint: Callable[..., Blueprint]) -> Blueprint:
    """The catalog's openai_embedding, calling the model endpoints."""
    return make_blueprint()


@pytest.fixture(scope="session")
def _domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    with running_domain(tmp_path_factory.mktemp("domain")) as domain:
        yield domain


@pytest.fixture
def domain(_domain: Domain) -> Iterator[Domain]:
    """The domain with a right clock, in an account that holds nothing else."""
    _domain.reset()
    yield _domain
    _domain.clean()


@pytest.fixture(scope="session")
def _account() -> Iterator[AwsAccount]:
    with start_aws_account() as account:
        yield account


@pytest.fixture
def account(_account: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> AwsAccount:
    """An empty account."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    _account.reset()
    return _account


@pytest.fixture
def connect(account: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes the Airflow connection of a user with these statements, or of who may do anything, and the way to AWS."""

    def make(statements: Sequence[Mapping[str, Any]] | None = None, *, conn_id: str = "aws_default") -> AwsAccess:
        name = f"caller-of-{conn_id}"
        allowed = [{"Effect": "Allow", "Action": "*", "Resource": "*"}] if statements is None else statements
        made = account.create_user(name, allowed)
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection(account, **made))
        account.forget_writes()
        return AwsAccess(conn_id)

    return make


@pytest.fixture
def access(connect: Connect) -> AwsAccess:
    """Of a caller who may do anything."""
    return connect()
