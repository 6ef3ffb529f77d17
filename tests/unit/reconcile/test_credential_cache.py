"""Models that share their references ask for what serves, and for what is there, once."""

from __future__ import annotations

from typing import cast

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials.source import CredentialSource
from opensearch_ml.errors import OpenSearchMLError, UnresolvedCredential
from opensearch_ml.reconcile.credential_cache import Resolving, Serving
from tests.support.fleets import RIGHT, blueprint, document
from tests.support.parsing import parse_blueprint


class Source:
    """Counts what it is asked."""

    def __init__(self, error: OpenSearchMLError | None = None) -> None:
        self.asked: list[str | None] = []
        self.error = error

    def serves(self, mark: str | None) -> bool:
        self.asked.append(mark)
        if self.error:
            raise self.error
        return mark == RIGHT


def kept(source: Source, made: list[Source]) -> CredentialSource:
    """The source, which is kept among those that were made."""
    made.append(source)
    return cast("CredentialSource", source)


def test_models_that_share_references_and_fingerprint_ask_once() -> None:
    made: list[Source] = []
    serves = Serving(lambda _: kept(Source(), made))
    shared = [
        parse_blueprint(name, document("x", connector__credential={"key": {"conn_id": "one"}}), source=name)
        for name in "abc"
    ]
    assert [serves(one, mark) for one in shared for mark in (RIGHT, "other")] == [True, False] * 3
    assert [source.asked for source in made] == [[RIGHT, "other"]]
    assert serves(blueprint("another"), RIGHT)
    assert len(made) == 2


def test_a_source_with_an_identity_of_its_own_is_asked_for_each() -> None:
    made: list[Source] = []
    serves = Serving(lambda _: kept(Source(), made))
    signed = {
        "connector__protocol": "aws_sigv4",
        "connector__credential": {},
        "connector__parameters": {"region": "r", "service_name": "sagemaker", "model": "small"},
        "connector__actions__0__headers": {},
        "rotation": {"source": "iam_user_key", "user_name": "search"},
    }
    for name in "ab":
        assert serves(blueprint(name, **signed), RIGHT)
    assert len(made) == 2


def test_a_source_that_does_not_answer_is_asked_once_and_told_to_all() -> None:
    source = Source(UnresolvedCredential("not there", evidence="", fix=""))
    serves = Serving(lambda _: kept(source, []))
    for _ in range(2):
        with pytest.raises(UnresolvedCredential, match="not there"):
            serves(blueprint(), RIGHT)
    assert source.asked == [RIGHT]


def test_what_references_give_is_looked_for_once_for_all_that_share_them() -> None:
    asked: list[str] = []

    def resolve(one: Blueprint) -> None:
        asked.append(one.name)
        if one.name != "there":
            raise UnresolvedCredential("not there", evidence="", fix="")

    resolves = Resolving(resolve)
    shared = [
        parse_blueprint(name, document("x", connector__credential={"key": {"conn_id": "one"}}), source=name)
        for name in "abc"
    ]
    for one in shared:
        with pytest.raises(UnresolvedCredential, match="not there"):
            resolves(one)
    for _ in range(2):
        resolves(blueprint("there"))
    assert asked == ["a", "there"]
