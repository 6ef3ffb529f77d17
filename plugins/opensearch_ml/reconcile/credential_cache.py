"""Whether credentials still serve, and are there at all: each question asked once for a whole fleet.

A fingerprint takes 40 ms, and a look into a secrets backend as long, so models that share their references share the
source, and those that share a fingerprint too share its answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials.source import CredentialSource
from opensearch_ml.errors import OpenSearchMLError

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
        key = _source_of(blueprint)
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


class Resolving:
    """Sees that the references of a blueprint's credential give what creating a model, and adopting one, needs.

    :param resolve: looks where they lead, and raises if one of them gives nothing.
    """

    def __init__(self, resolve: Callable[[Blueprint], object]) -> None:
        self._resolve = resolve
        self._told: dict[str, OpenSearchMLError | None] = {}

    def __call__(self, blueprint: Blueprint) -> None:
        """Do nothing if all references give something.

        :raises OpenSearchMLError: one gives nothing, or the source does not answer.
        """
        key = _references_of(blueprint)
        if key not in self._told:
            self._told[key] = self._ask(blueprint)
        if error := self._told[key]:
            raise error

    def _ask(self, blueprint: Blueprint) -> OpenSearchMLError | None:
        try:
            self._resolve(blueprint)
        except OpenSearchMLError as error:
            return error
        return None


def _source_of(blueprint: Blueprint) -> str:
    section = blueprint.rotation
    if section is not None and section.source not in SHARED:
        return f"blueprint {blueprint.name}"
    return f"{section.source if section else ''} {_references_of(blueprint)}"


def _references_of(blueprint: Blueprint) -> str:
    return json.dumps({key: str(one) for key, one in blueprint.connector.credential.items()}, sort_keys=True)
