"""Another embedding model under the same id: its vectors do not fit those that the indices hold.

The smoke test cannot tell: a vector of the same dimension is as good an answer. So it is warned of, by what differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.checks.functions import kind

NAMES_THE_MODEL = re.compile(r"parameters\.model(?:_?(?:id|name|uri))?", re.IGNORECASE)


def other_vectors(blueprint: Blueprint, differs: Iterable[str]) -> str | None:
    """Return a warning if what differs names the model of an embedding connector; else None.

    :param differs: dotted paths, as `canonical.definition_differences` returns them.
    """
    path = next((path for path in differs if NAMES_THE_MODEL.fullmatch(path)), None)
    if path is None or not _embeds(blueprint):
        return None
    return (
        f"{path} names another embedding model, whose vectors do not fit those in the indices, be their dimension the "
        "same or not: undo it, or index anew; another embedding model is for a blueprint of its own"
    )


def _embeds(blueprint: Blueprint) -> bool:
    functions = [
        name or ""
        for action in blueprint.connector.actions
        for name in (action.pre_process_function, action.post_process_function)
    ]
    expected = blueprint.smoke_test.expect if blueprint.smoke_test else []
    kinds = {kind(name) for name in functions}
    # The scores of a reranker are an array of a known length too, and no index holds them.
    return "embedding" in kinds or ("rerank" not in kinds and any(one.dimension for one in expected))
