"""What a source of credentials is: where the next one comes from, and what becomes of the old one.

The swap calls a source in this order, always while it holds the lease of the model, so that no two runs meet here:
``recover``, ``next`` (or ``resume``), then ``promote`` and ``retire``; or ``abandon`` if the new one is refused.
Before it holds the lease it only asks ``serves`` and ``due``, which write nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from opensearch_ml.credentials import fingerprint


@dataclass(frozen=True)
class NextCredential:
    """A credential that may come to serve.

    :param credential: in clear, for the request's body alone.
    :param mark: what the connector carries as ``opensearch_ml_credential``: `fingerprint.fingerprint`, or, where nobody
        keeps the secret, what identifies it without telling it: ``iam_user_key:AKIA…``.
    :param version: for people and for the record, such as the id of a secret's version.
    :param expires: when it stops working; None: not by itself.
    """

    credential: Mapping[str, str] = field(repr=False)
    mark: str
    version: str
    expires: datetime | None = None

    def with_mark_of(self, live: str | None) -> NextCredential:
        """Return it with the mark of the connector that serves, if that has the same credential: equal marks say so."""
        return replace(self, mark=str(live)) if fingerprint.matches(live, self.credential) else self


class CredentialSource(Protocol):
    """Where the next credential of one blueprint comes from; marks are those of connectors (`NextCredential.mark`)."""

    name: str
    """``connection``, ``secrets_manager``, ``iam_user_key``, ``assume_role`` or ``role_arn``."""

    def recover(self, live: str | None, others: Sequence[str]) -> list[str]:
        """Finish or undo what a killed run left at the source; called first, under the lease. Idempotent.

        :param live: the mark of the connector that serves.
        :param others: the marks of our other connectors for the blueprint, candidates and retired ones.
        :return: what was done, for the log; nothing if there was nothing.
        """
        ...

    def serves(self, mark: str | None) -> bool:
        """Tell whether a connector with this mark needs no new credential. Writes nothing.

        True also for one that was switched to and not promoted yet: what is left to do is found by the swap.
        """
        ...

    def next(self) -> NextCredential:
        """Return the credential to go on with: created (an access key), fetched (pending, STS), or the current one.

        :raises OpenSearchMLError: there is none; nothing is left at the source.
        """
        ...

    def resume(self, mark: str) -> NextCredential | None:
        """Return the credential behind a mark, if it is still known and wanted.

        Asked for a candidate that a killed run left, to test it again, and for a live connector whose run was killed
        after the switch, to promote it. None: the candidate is removed, and of the live one nothing is promoted.
        """
        ...

    def promote(self, new: NextCredential) -> None:
        """Make it the current one; called once every node serves it. Idempotent; an error makes the swap go back."""
        ...

    def abandon(self, new: NextCredential) -> None:
        """Take a refused one away at the source. Idempotent."""
        ...

    def retire(self, old: str | None) -> list[str]:
        """Take the old one out of use; called after the grace, when no call carries it any more. Idempotent.

        :param old: the mark of the connector that served before; None if nobody knows.
        :return: what was done and what is still to come, for the log.
        """
        ...

    def previous(self) -> Mapping[str, str] | None:
        """Return the credential that serves now, in clear, if anybody still knows it: the way back of an internal
        connector. Asked before the switch."""
        ...

    def due(self, mark: str | None) -> datetime | None:
        """Tell when the credential with this mark must be replaced; None: not by time."""
        ...
