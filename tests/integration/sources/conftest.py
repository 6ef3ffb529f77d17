"""What the tests of sources work with: a cluster that is not there, and an AWS account that checks every call."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.hook import OpenSearchMLHook
from tests.support.cluster import connections

NOWHERE = json.dumps({"conn_type": "opensearch", "host": "127.0.0.1", "port": 9})


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSearchMLHook]:
    """A hook that keeps secrets; its cluster is not there, because a source asks it for nothing but which one it is."""
    monkeypatch.setattr(OpenSearchMLHook, "cluster_uuid", lambda _: "nowhere")
    with connections(opensearch_default=NOWHERE):
        yield OpenSearchMLHook()


@pytest.fixture(autouse=True)
def _checked(account: AwsAccount) -> Iterator[None]:
    with account.checking_calls():
        yield
