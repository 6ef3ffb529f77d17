"""An adopted model carries our mark in its description, beside its own words."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.credentials import fingerprint
from opensearch_ml.resources import adoption, bodies
from opensearch_ml.resources.adoption import Adopted
from opensearch_ml.resources.rotation_state import UNTOLD
from tests.support.fleets import RIGHT


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
