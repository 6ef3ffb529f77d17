"""The parts around a plan: what is wanted, what serves, what is adopted, and when a plan is too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.catalog.validation import parse_blueprint
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.credentials import fingerprint
from opensearch_ml.credentials.source import CredentialSource
from opensearch_ml.errors import OpenSearchMLError, UnresolvedCredential
from opensearch_ml.reconcile.credential_cache import Resolving, Serving
from opensearch_ml.reconcile.desired import desired
from opensearch_ml.reconcile.limits import Limits, too_much
from opensearch_ml.resources import adoption, bodies
from opensearch_ml.resources.adoption import Adopted
from opensearch_ml.resources.changes import Change, Kind, Plan
from opensearch_ml.resources.rotation_state import UNTOLD
from tests.support.fleets import RIGHT, blueprint, document

# ---- what is wanted


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    for folder in ("blueprints", "targets"):
        (tmp_path / folder).mkdir()
    return Catalog(tmp_path / "blueprints", tmp_path / "targets")


def write(catalog: Catalog, name: str, written: Any) -> None:
    text = written if isinstance(written, str) else yaml.safe_dump(written)
    (catalog.blueprints_folder / name).write_text(text)


def test_a_broken_file_stops_nobody_else(catalog: Catalog) -> None:
    write(catalog, "good.yaml", document(connector__parameters={"model": "${variables.model}"}))
    write(catalog, "unreadable.yaml", "connector: {")
    write(catalog, "wrong.yaml", document(connector__protocol="htp"))
    write(catalog, "twice.yaml", document())
    write(catalog, "twice.yml", document())
    target = Target(name="t", variables={"model": "large"})
    found = {one.name: one for one in desired(catalog, target, catalog.blueprint_names())}
    assert found["good"].blueprint is not None
    assert found["good"].blueprint.connector.parameters == {"model": "large"}
    told = {name: one.findings[0].problem for name, one in found.items() if one.blueprint is None}
    assert told.keys() == {"unreadable", "wrong", "twice"}
    assert told["twice"] == "both twice.yaml and twice.yml have this name"


def test_what_the_clusters_version_does_not_know_is_a_finding(catalog: Catalog) -> None:
    write(catalog, "named.yaml", document(connector__actions__0__name="mine"))
    [new], [old] = (
        desired(catalog, Target(name="t"), ["named"], version=version) for version in ((3, 6, 0), (2, 19, 1))
    )
    assert (new.findings, len(old.findings)) == ((), 1)


# ---- what serves


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


# ---- adoption


def with_description(description: str | None) -> ModelDoc:
    return cast(ModelDoc, {"description": description})


@given(
    text=st.text(alphabet=st.characters(codec="ascii", exclude_characters="\n\r")),
    known=st.sampled_from([None, RIGHT, fingerprint.fingerprint({"key": "k"}), "iam_user_key:AKIAX", "claimed"]),
)
def test_an_adopted_model_says_whose_it_is_and_its_own_words_come_back(text: str, known: str | None) -> None:
    told = adoption.described(text, "open.ai_chat-2", known)
    recognized = known if known and known.startswith("scrypt") else None
    assert adoption.read(with_description(told)) == Adopted("open.ai_chat-2", recognized)
    assert adoption.plain(told) == text.strip()
    assert adoption.described(told, "other", known) == adoption.described(text, "other", known)


def test_the_mark_is_made_of_what_the_server_takes_in_a_description() -> None:
    assert not UNTOLD.search(adoption.described("Answers questions", "openai_chat", RIGHT))
    assert adoption.described(None, "chat", None) == "(managed by opensearch_ml: chat)"


def test_who_writes_an_adopted_models_description_keeps_its_mark() -> None:
    there = with_description(adoption.described("By hand", "chat", RIGHT))
    assert bodies.model_update({"description": "By hand"}, there) == {}
    assert bodies.model_update({}, there) == {}
    written = bodies.model_update({"description": "Answers"}, there)["description"]
    assert (adoption.plain(written), adoption.read(with_description(written))) == ("Answers", Adopted("chat", RIGHT))


@pytest.mark.parametrize(
    "description",
    [
        None,
        "",
        "Answers",
        "(managed by opensearch_ml)",
        "(managed by opensearch_ml: chat) by hand",
        "(managed by opensearch_ml: a b)",
        "managed by opensearch_ml: chat",
    ],
)
def test_what_only_looks_like_the_mark_is_none(description: str | None) -> None:
    assert adoption.read(with_description(description)) is None


def test_a_fingerprint_that_somebody_has_cut_is_not_known() -> None:
    told = adoption.described("", "chat", RIGHT).replace("KKKK", "K", 1)
    assert adoption.read(with_description(told)) == Adopted("chat", None)


# ---- limits


def of(kind: Kind, count: int, *, models: bool = True) -> list[Change]:
    return [Change(kind, f"{kind.value}_{index}", models=("m",) * models) for index in range(count)]


def plan(*changes: Change, standing: int = 100) -> Plan:
    return Plan("production", 100, changes, (), standing)


@pytest.mark.parametrize(
    ("changes", "prune", "words"),
    [
        ([], True, None),
        (of(Kind.SWAP, 30), False, None),
        (of(Kind.SWAP, 31), False, "31 of 100 models on production would change, 31 %, more than the 30 % that"),
        ([*of(Kind.SWAP, 16), *of(Kind.UPDATE, 15)], False, "31 of 100"),
        (of(Kind.CREATE, 500, models=False), False, None),
        (of(Kind.CREATE, 31), False, "31 of 100"),
        (of(Kind.ORPHAN, 50), False, None),
        (of(Kind.ORPHAN, 10), True, None),
        (of(Kind.ORPHAN, 11), True, "11 orphans on production would be deleted, more than the 10 that max_deletions"),
        ([*of(Kind.BLOCKED, 50), *of(Kind.BROKEN, 50), *of(Kind.SETTINGS, 50), *of(Kind.CLEAN, 50)], True, None),
    ],
)
def test_too_much_is_told_with_what_it_is(changes: list[Change], prune: bool, words: str | None) -> None:
    error = too_much(plan(*changes), Limits(), prune=prune)
    assert (error is None) is (words is None)
    if error and words:
        assert words in error.cause
        assert error.cause.endswith("a run stops before it writes anything")
        assert changes[0].what in error.evidence
        assert error.fix


def test_a_few_changes_are_never_too_much() -> None:
    assert too_much(plan(*of(Kind.SWAP, 5), standing=5), Limits(), prune=False) is None
    assert too_much(plan(*of(Kind.SWAP, 6), standing=6), Limits(), prune=False) is not None
    assert too_much(plan(*of(Kind.SWAP, 1), standing=5), Limits(always=0, change_percent=10), prune=False) is not None


def test_after_the_whole_cluster_restarted_all_models_may_be_deployed_again() -> None:
    assert too_much(plan(*of(Kind.REDEPLOY, 100)), Limits(), prune=False) is None


def test_several_changes_of_one_model_count_once() -> None:
    same = [Change(kind, "chat") for kind in (Kind.ADOPT, Kind.UPDATE, Kind.SWAP)]
    assert too_much(plan(*same, standing=10), Limits(always=0, change_percent=10), prune=False) is None
