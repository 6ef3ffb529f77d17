"""Whether credentials still serve: asked of the sources that a rotation asks, each question once for a whole fleet.

A fingerprint takes 40 ms, and a look into a secrets backend as long, so models that share their references share the
source, and those that share a fingerprint too share its answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from opensearch_ml.blueprint import Blueprint
from opensearch_ml.errors import OpenSearchMLError
from opensearch_ml.rotation.source import CredentialSource

SHARED = ("connection", "secrets_manager")  # what these say depends on the references alone


class Serving:
    """Answers whether a blueprint's connector needs no new credential.

    :param source_for: returns a blueprint's source, which asks nothing by that alone.
    """

    def __init__(self, source_for: Callable[[Blueprint], CredentialSource]) -> None:
        self._source_for = source_for
        self._sources: dict[str, CredentialSource] = {}
        self._told: dict[tuple[str, str | None], bool | OpenSearchMLError] = {}

    def __call__(self, blueprint: Blueprint, mark: str | None) -> bool:
        """Tell whether a connector with this mark needs no new credential.

        :raises OpenSearchMLError: the source cannot tell.
        """
        key = _what_it_depends_on(blueprint)
        if (key, mark) not in self._told:
            self._told[key, mark] = self._ask(key, blueprint, mark)
        told = self._told[key, mark]
        if isinstance(told, OpenSearchMLError):
            raise told
        return told

    def _ask(self, key: str, blueprint: Blueprint, mark: str | None) -> bool | OpenSearchMLError:
        try:
            if key not in self._sources:
                self._sources[key] = self._source_for(blueprint)
            return self._sources[key].serves(mark)
        except OpenSearchMLError as error:
            return error


def _what_it_depends_on(blueprint: Blueprint) -> str:
    section = blueprint.rotation
    if section is not None and section.source not in SHARED:
        return f"blueprint {blueprint.name}"
    credential = {key: str(one) for key, one in blueprint.connector.credential.items()}
    return json.dumps([section.source if section else "", credential], sort_keys=True)
