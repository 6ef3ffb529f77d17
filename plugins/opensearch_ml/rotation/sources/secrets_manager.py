"""AWS Secrets Manager: a version with label AWSPENDING is the next credential, tested and then promoted.

Promotion is one call, so that AWSCURRENT and AWSPREVIOUS move both or neither. Without a pending version a changed
AWSCURRENT is the next credential. Where AWS's own rotation is on, it promotes, and what it promoted is swapped here.
Source: Secrets Manager User Guide, "Staging labels"; API Reference, UpdateSecretVersionStage.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials import fingerprint, resolver, secrets_manager
from opensearch_ml.credentials.secrets_manager import Labels, Secret
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.errors import Conflict, NotFound, OpenSearchMLError, UnresolvedCredential
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.retries import persistently
from opensearch_ml.rotation.record import no_journal
from opensearch_ml.rotation.sources.journal import SourceJournal, journaled

log = logging.getLogger(__name__)


class SecretStep(str, Enum):
    """What this source writes; a killed run is taken up again at each."""

    PROMOTE = "promote_secret"  # AWSCURRENT to the version that was tested
    DEMOTE = "demote_secret"  # only on failure: AWSCURRENT back


class SecretsManagerSource:
    """The one secret that the references of ``connector.credential`` are about; other references stay as they are.

    :param hook: is told every secret, so that none appears in a log or in an error.
    :param aws_conn_id: who reads and promotes, see `secrets_manager.access_for`.
    """

    name = "secrets_manager"

    def __init__(
        self,
        blueprint: Blueprint,
        hook: OpenSearchMLHook,
        aws_conn_id: str | None = None,
        *,
        on_step: SourceJournal = no_journal,
    ) -> None:
        secret_ids = {one.secret_id for one in blueprint.connector.references.values() if one.secret_id}
        self._blueprint, self._hook, self._aws_conn_id = blueprint, hook, aws_conn_id
        self._secret = Secret(secrets_manager.access_for(hook, aws_conn_id), str(secret_ids.pop()))
        self._on_step = on_step
        self._known: dict[str, Mapping[str, str]] = {}  # by version, which never changes
        self._live: str | None = None
        self._others: tuple[str, ...] = ()

    def recover(self, live: str | None, others: Sequence[str]) -> list[str]:
        self._live, self._others = live, tuple(others)
        labels = self._secret.labels()
        if labels.rotates_itself and labels.pending not in (None, labels.current):
            return [f"secret {self._secret.secret_id} has a rotation of AWS's own, which promotes AWSPENDING itself"]
        wanted = self._wanted(labels)
        if (
            wanted == labels.current
            or not self._is_of(live, wanted)
            or any(self._is_of(m, labels.current) for m in others)
        ):
            return []  # nothing is pending, or the swap itself goes on to promote it
        self.promote(self._as_next(wanted, str(live)))
        return [f"version {wanted}, which serves already, was promoted to AWSCURRENT"]

    def serves(self, mark: str | None) -> bool:
        return self._is_of(mark, self._wanted(self._secret.labels()))

    def next(self) -> NextCredential:
        version = self._wanted(self._secret.labels())
        return self._as_next(version, resolver.mark(self._blueprint, self._hook, self._credential(version)))

    def resume(self, mark: str) -> NextCredential | None:
        version = self._wanted(self._secret.labels())
        return self._as_next(version, mark) if self._is_of(mark, version) else None

    def promote(self, new: NextCredential) -> None:
        """Move AWSCURRENT to the version; nothing to do if it is there, or if the secret was changed in place.

        :raises Conflict: somebody has moved the labels meanwhile.
        """

        def attempt() -> Labels:
            labels = self._secret.labels()
            if labels.pending == new.version != labels.current:
                self._make_current(new.version, instead_of=str(labels.current))
                return self._secret.labels()
            return labels

        with journaled(self._on_step, SecretStep.PROMOTE):
            labels = persistently(attempt)
            if labels.current != new.version:
                raise _moved(self._secret.secret_id, new.version, labels)

    def abandon(self, new: NextCredential) -> None:
        """Take back the promotion, if there was one; the pending version stays, for whoever made it to correct."""
        labels = self._secret.labels()
        promoted_here = labels.current == labels.pending == new.version and not labels.rotates_itself
        # A version that served before this swap was promoted long ago.
        of_this_swap = not self._is_of(self._live, new.version) or any(
            self._is_of(mark, labels.previous) for mark in self._others
        )
        if promoted_here and of_this_swap and labels.previous:
            with journaled(self._on_step, SecretStep.DEMOTE):
                self._make_current(labels.previous, instead_of=new.version)

    def retire(self, old: str | None) -> list[str]:
        """Nothing to do: the old version has label AWSPREVIOUS, for a way back by hand."""
        return []

    def previous(self) -> Mapping[str, str] | None:
        labels = self._secret.labels()
        versions = [version for version in (labels.current, labels.previous, labels.pending) if version]
        found = next((version for version in versions if self._is_of(self._live, version)), None)
        return self._credential(found) if found else None

    def due(self, mark: str | None) -> datetime | None:
        return None

    def _make_current(self, version: str, *, instead_of: str) -> None:
        try:
            self._secret.make_current(version, instead_of=instead_of)
        except OpenSearchMLError:
            if self._secret.labels().current != version:  # else only the answer was lost
                raise
        log.info("secret %s: version %s is AWSCURRENT, in place of %s", self._secret.secret_id, version, instead_of)

    def _wanted(self, labels: Labels) -> str:
        current = str(labels.current)
        if labels.pending in (None, labels.current) or labels.rotates_itself:
            return current
        try:
            pending = self._credential(str(labels.pending))
        except NotFound:
            return current  # a label without a value yet
        return str(labels.pending) if pending != self._credential(current) else current

    def _is_of(self, mark: str | None, version: str | None) -> bool:
        if not mark or not version:
            return False
        try:
            return fingerprint.matches(mark, self._credential(version))
        except (NotFound, UnresolvedCredential):
            return False

    def _credential(self, version: str) -> Mapping[str, str]:
        if version not in self._known:
            secret_id = self._secret.secret_id
            try:
                texts = {secret_id: self._secret.text(version)}
            except LookupError as why:
                raise UnresolvedCredential(
                    f"version {version} of secret {secret_id} is no credential",
                    evidence=f"it {why}",
                    fix="put a new version with a text (SecretString), such as a JSON object",
                ) from None
            self._known[version] = resolver.resolve(
                self._blueprint, self._hook, aws_conn_id=self._aws_conn_id, secrets=texts
            )
        return self._known[version]

    def _as_next(self, version: str, mark: str) -> NextCredential:
        return NextCredential(self._credential(version), mark, version)


def _moved(secret_id: str, version: str, labels: Labels) -> Conflict:
    return Conflict(
        f"somebody moved the labels of secret {secret_id} during the rotation",
        evidence=f"version {version} was tested; now AWSPENDING is on {labels.pending}, AWSCURRENT on {labels.current}",
        fix="run again: what is pending then is tested and promoted",
    )
