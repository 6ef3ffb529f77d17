"""The simplest source: whoever changes the value behind the blueprint's references has made the next credential.

An Airflow connection or variable, in any secrets backend, or the current version of a secret of AWS. Airflow does not
keep the old value, so nobody retires it, and nobody can give it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials import fingerprint, resolver
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.hook import OpenSearchMLHook


class ConnectionSource:
    """What the references of ``connector.credential`` say now.

    :param hook: is told every secret, so that none appears in a log or in an error.
    :param aws_conn_id: who reads AWS Secrets Manager, see `secrets_manager.access_for`.
    :param looks: those that several blueprints share, if they do.
    """

    name = "connection"

    def __init__(
        self,
        blueprint: Blueprint,
        hook: OpenSearchMLHook,
        aws_conn_id: str | None = None,
        looks: resolver.Looks | None = None,
    ) -> None:
        self._blueprint = blueprint
        self._hook = hook
        self._aws_conn_id = aws_conn_id
        self._looks = looks

    @cached_property
    def _current(self) -> Mapping[str, str]:
        return resolver.resolve(self._blueprint, self._hook, aws_conn_id=self._aws_conn_id, looks=self._looks)

    def recover(self, live: str | None, others: Sequence[str]) -> list[str]:
        return []

    def serves(self, mark: str | None) -> bool:
        return fingerprint.matches(mark, self._current)

    def next(self) -> NextCredential:
        return self._as_next(resolver.mark(self._blueprint, self._hook, self._current))

    def resume(self, mark: str) -> NextCredential | None:
        return self._as_next(mark) if self.serves(mark) else None

    def promote(self, new: NextCredential) -> None:
        """Nothing to do: the references say it already."""

    def abandon(self, new: NextCredential) -> None:
        """Nothing to do: who wrote the value takes it back."""

    def retire(self, old: str | None) -> list[str]:
        return []

    def previous(self) -> Mapping[str, str] | None:
        return None

    def due(self, mark: str | None) -> datetime | None:
        return None

    def _as_next(self, mark: str) -> NextCredential:
        return NextCredential(self._current, mark, self._version)

    @property
    def _version(self) -> str:
        return self._blueprint.credential_origin
