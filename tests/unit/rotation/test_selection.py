"""What `find` says of each model: what is to be rotated, what cannot be, and what a person should know before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.credentials import fingerprint
from opensearch_ml.credentials.source import CredentialSource, NextCredential
from opensearch_ml.errors import Finding, InvalidBlueprint, NoSuchBlueprint, UnresolvedCredential
from opensearch_ml.resources.inventory import Fleet
from opensearch_ml.rotation.embedding import other_vectors
from opensearch_ml.rotation.selection import Standing, standings
from tests.support.repository import REPOSITORY
from tests.support.rotation_cases import VERSION, blueprint, connector

MISSPELT = [Finding("", "no file of that name in blueprints", "Did you mean chat_2?")]


class Source:
    """Says of every mark that it serves, or fails."""

    def __init__(self, serves: bool = True) -> None:
        self._serves = serves

    def serves(self, mark: str | None) -> bool:
        return self._serves

    def due(self, mark: str | None) -> None:
        return None


def fleet(name: str = "chat", **changed: Any) -> Fleet:
    """One model on one connector of ours."""
    model: ModelDoc = {"id": "m", "name": name, "connector_id": "A", "model_state": "DEPLOYED"}
    return Fleet([cast("ConnectorDoc", {**connector("A", 1), **changed})], [model], VERSION)


def standing(
    found: Fleet, given: Blueprint | Exception | None = None, source: Source | Exception | None = None
) -> Standing:
    def load(name: str) -> Blueprint:
        if isinstance(given, Exception):
            raise given
        return given or blueprint()

    def source_for(of: Blueprint) -> CredentialSource:
        if isinstance(source, Exception):
            raise source
        return cast("CredentialSource", source or Source())

    [only] = standings(found, ["chat"], load=load, source_for=source_for)
    return only


def test_what_is_right_and_what_is_to_be_done_name_where_the_credential_was_read() -> None:
    read = "(credential: password of connection chat)"
    assert str(standing(fleet())) == f"chat: model m is as it should be {read}"
    assert str(standing(fleet(), source=Source(serves=False))) == f"chat: to be rotated: credential {read}"


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: standing(Fleet([], [], VERSION)), "chat has nothing to rotate"),
        (lambda: standing(fleet(name="renamed")), "the model of chat stands under another name than chat"),
        (lambda: standing(fleet(), InvalidBlueprint("chat.yaml", MISSPELT)), "blueprint chat.yaml has 1 finding"),
        (lambda: standing(fleet(), NoSuchBlueprint("chat", MISSPELT)), "chat has no file any more, and model m was"),
        (lambda: standing(Fleet([], [], VERSION), NoSuchBlueprint("chat", MISSPELT)), "blueprint chat has 1 finding"),
        (
            lambda: standing(fleet(), source=UnresolvedCredential("it refers to nothing", evidence="", fix="")),
            "it refers to nothing",
        ),
    ],
    ids=["no model", "renamed", "findings", "file gone", "no such name", "no secret"],
)
def test_what_cannot_be_rotated_is_told_as_that_and_mapped_all_the_same(
    make: Callable[[], Standing], cause: str
) -> None:
    seen = make()
    assert str(seen).startswith(f"chat: cannot be rotated: {cause}")
    assert seen.why  # so its rotation runs, and says what to do


def test_another_embedding_model_is_warned_of_before_it_is_rotated() -> None:
    embedding = blueprint(smoke_test={"parameters": {}, "expect": {"path": "x", "dimension": 384}})
    seen = standing(fleet(parameters={**connector("A", 1)["parameters"], "model": "large"}), embedding)
    assert seen.why == ("parameters.model",)
    assert seen.warning.startswith("parameters.model names another embedding model")
    assert standing(fleet(), embedding).warning == ""


RERANK = Catalog(REPOSITORY / "include" / "blueprints", REPOSITORY / "no-targets").blueprint("cohere_rerank")


def with_functions(pre: str, post: str) -> Blueprint:
    made = blueprint()
    changed = made.connector.actions[0].model_copy(update={"pre_process_function": pre, "post_process_function": post})
    return made.model_copy(update={"connector": made.connector.model_copy(update={"actions": [changed]})})


@pytest.mark.parametrize(
    ("given", "path", "warned"),
    [
        (with_functions("connector.pre_process.openai.embedding", ""), "parameters.model", True),
        (with_functions("", "connector.post_process.cohere_v2.embedding.int8"), "parameters.model", True),
        (with_functions("", "connector.post_process.cohere.rerank"), "parameters.model", False),
        (RERANK, "parameters.model", False),  # whose scores are an array of a known length too
        (blueprint(), "parameters.model", False),
        (with_functions("", "connector.post_process.bedrock.embedding"), "parameters.model_uri", True),
        (with_functions("", "connector.post_process.bedrock.embedding"), "parameters.model_length", False),
        (with_functions("", "connector.post_process.bedrock.embedding"), "credential", False),
    ],
    ids=["openai", "int8", "rerank", "rerank of the catalog", "chat", "model_uri", "another parameter", "credential"],
)
def test_only_the_name_of_an_embedding_model_is_warned_of(given: Blueprint, path: str, warned: bool) -> None:
    assert bool(other_vectors(given, ["name", path])) is warned


def test_a_credential_that_is_the_same_keeps_its_mark_so_that_equal_marks_say_so() -> None:
    same = {"key": "k"}
    live = fingerprint.fingerprint(same)
    new = NextCredential(same, fingerprint.fingerprint(same), "v")
    assert new.mark != live
    assert new.with_mark_of(live).mark == live
    other = NextCredential({"key": "other"}, "mark", "v")
    assert [other.with_mark_of(mark) for mark in (live, None, "iam_user_key:AKIA")] == [other] * 3
