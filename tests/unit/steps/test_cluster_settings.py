"""Endpoints that are trusted for something that is not made in the end are not left behind; others' are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from opensearch_ml.blueprint.trusted_endpoints import derive, labelled
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.errors import PermissionDenied, RequestRefused
from opensearch_ml.steps import cluster_settings
from opensearch_ml.steps.cluster_settings import trusting
from tests.support.doubles import as_hook

URL, OTHER_URL = "https://api.example.com/v2/chat", "https://api.example.com/v1/chat"
NEEDED = [(derive(URL, {}), URL)]
OURS, OTHERS = labelled(derive(URL, {})), labelled(derive(OTHER_URL, {}))


class Hook:
    """A cluster's list of trusted endpoints, and the URLs of its connectors.

    :param writes: how many writes are allowed.
    """

    def __init__(self, trusted: list[str], urls: tuple[str, ...] = (), writes: int = 9) -> None:
        self.trusted, self._urls, self._writes = trusted, urls, writes

    def trusted_endpoints(self) -> list[str]:
        return list(self.trusted)

    def put_trusted_endpoints(self, patterns: list[str]) -> None:
        self._writes -= 1
        if self._writes < 0:
            raise PermissionDenied("it may not", evidence="403", fix="allow it")
        self.trusted = list(patterns)

    def search_connectors(self, query: Mapping[str, object]) -> list[ConnectorDoc]:
        return [{"actions": [{"url": url}]} for url in self._urls]

    def search_models(self, query: Mapping[str, object]) -> list[ModelDoc]:
        return []


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_settings, "SECOND_LOOK_S", 0.0)


def fail(hook: Hook) -> str:
    """Return the evidence of what failed."""

    def block() -> None:
        with trusting(as_hook(hook), NEEDED):
            assert OURS in hook.trusted
            raise RequestRefused("the candidate is refused", evidence="401", fix="correct it")

    with pytest.raises(RequestRefused, match="the candidate is refused") as failed:
        block()
    return failed.value.evidence


def test_what_was_added_is_removed_when_the_block_fails_and_only_that() -> None:
    hook = Hook([OTHERS])  # of another blueprint that is about to be provisioned: no connector has it yet
    fail(hook)
    assert hook.trusted == [OTHERS]


def test_what_was_there_before_stays() -> None:
    hook = Hook([OURS])
    fail(hook)
    assert hook.trusted == [OURS]


def test_what_a_connector_needs_by_then_stays() -> None:
    hook = Hook([], urls=(URL,))
    fail(hook)
    assert hook.trusted == [OURS]


def test_what_serves_in_the_end_stays_trusted() -> None:
    hook = Hook([])
    with trusting(as_hook(hook), NEEDED):
        pass
    assert hook.trusted == [OURS]


def test_a_removal_that_fails_is_told_beside_why_the_block_failed() -> None:
    told = fail(Hook([], writes=1))
    assert told.startswith("401; trusted endpoint ")
    assert told.endswith("was added, and stays: it may not")
