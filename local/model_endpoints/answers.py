"""What the double's models answer, whichever API asks: real embeddings, and chat that only repeats."""

from __future__ import annotations

import asyncio
import base64
import functools
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from local.minilm import minilm

_CACHED_TEXTS = 10_000
_DECIMALS = 8  # float32 holds no more; unrounded, an answer would be twice as long


async def embed(texts: Sequence[str], dimensions: int | None = None) -> list[list[float]]:
    """MiniLM embeddings, computed beside the event loop, so that other requests are served meanwhile.

    :param dimensions: cut to this many and normalised anew, as OpenAI does it, or padded with zeros; 384 if not given.
    :return: one vector of length 1 for each text.
    """
    vectors = await asyncio.to_thread(lambda: [_embed_one(text) for text in texts])
    return [_resize(vector, dimensions) for vector in vectors]


def resize_without_norm(vector: list[float], dimensions: int) -> list[float]:
    """Cut, or pad with zeros, and nothing else: a vector as a wrongly configured model would answer it."""
    return (vector + [0.0] * (dimensions - len(vector)))[:dimensions]


def base64_floats(vector: Sequence[float]) -> str:
    """A vector as little-endian float32 in Base64, which OpenAI's own client asks for unless told otherwise."""
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


async def similarities(query: str, documents: Sequence[str]) -> list[float]:
    """Cosine between the query and each document, from 0 (opposed or unrelated) to 1."""
    asked, *found = await embed([query, *documents])
    return [max(0.0, round(sum(a * b for a, b in zip(asked, vector, strict=True)), _DECIMALS)) for vector in found]


def word_weights(text: str) -> dict[str, float]:
    """A sparse encoding: each word and how much it counts, more the oftener and the longer it is."""
    counts = Counter(re.findall(r"\w+", text.lower()))
    return {word: round(math.log1p(count) * math.log1p(len(word)), _DECIMALS) for word, count in counts.items()}


def chat(prompt: str, max_tokens: int | None = None) -> tuple[str, bool]:
    """The same answer for the same prompt, derived from it: what a smoke test can look for.

    :param max_tokens: the answer's longest length, counted in words.
    :return: the answer, and whether it was cut.
    """
    words = f"You said: {prompt.strip()}".split(" ")
    return " ".join(words[:max_tokens]), max_tokens is not None and len(words) > max_tokens


def message_text(content: Any) -> str:
    """The text of a message's content, given as a string or as a list of parts of which some hold ``text``."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if "text" in part)


def count_tokens(*texts: str) -> int:
    """How many of MiniLM's tokens the texts have; the real services have tokenizers of their own."""
    return sum(map(minilm().count_tokens, texts))


@functools.lru_cache(_CACHED_TEXTS)
def _embed_one(text: str) -> list[float]:
    # One text at a time: a batch is only a quarter faster, and a repeated text costs nothing this way.
    return [round(x, _DECIMALS) for x in minilm().embed([text])[0].tolist()]


def _resize(vector: list[float], dimensions: int | None) -> list[float]:
    if dimensions is None or dimensions == len(vector):
        return vector
    resized = resize_without_norm(vector, dimensions)
    norm = math.hypot(*resized) or 1.0
    return [round(x / norm, _DECIMALS) for x in resized]
