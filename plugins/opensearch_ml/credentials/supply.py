"""Provisioning with a source that supplies the credential: an access key or a session for the first connector.

A connector whose credential works is left to the rotation, also when the next one is due: provisioning twice writes
nothing. What a killed run made at the source and gave to nobody is taken back before anything new is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from opensearch_ml.credentials.source import CredentialSource, NextCredential
from opensearch_ml.errors import OpenSearchMLError


class SupplyingSource(CredentialSource, Protocol):
    """A source that gives what the blueprint has no references for."""

    def stands(self, mark: str | None) -> bool:
        """Tell whether the credential of a mark works now, be the next one due or not."""
        ...

    def check(self) -> str:
        """Ask for what can be asked before the first write, and return what was seen."""
        ...


class Supply:
    """What the source gave in this run, by the id of the connector or model that has it."""

    def __init__(self, source: SupplyingSource) -> None:
        self._source = source
        self._given: dict[str, NextCredential] = {}

    def accepts(self, mark: str | None) -> bool:
        """Tell whether a connector with this mark may stay as it is."""
        return self._source.stands(mark)

    def give(self, to: Callable[[NextCredential], str], marks: Iterable[str | None]) -> str:
        """Get a credential for something that is created with it, and take it back if that fails.

        :param to: creates it and returns its id.
        :param marks: those of all connectors of ours for the blueprint.
        """
        self._source.recover(None, [mark for mark in marks if mark])
        new = self._source.next()
        try:
            created = to(new)
            self._source.promote(new)
        except OpenSearchMLError:
            self._source.abandon(new)
            raise
        self._given[created] = new
        return created

    def take_back(self, created: str) -> None:
        """Take back what something got that is deleted again."""
        if given := self._given.pop(created, None):
            self._source.abandon(given)
