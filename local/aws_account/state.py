"""What a test has set, what was written, and which sessions are over: all that the account keeps beside moto."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timezone

from moto.sts.models import AssumedRole


@dataclass
class AccountState:
    """Settings and counters of one running account.

    :param propagation_s: seconds until a new role, or a change of a role's policies, is seen; for changes from now on.
    :param key_propagation_s: the same of a user's new access key.
    :param session_lifetime_s: how many seconds sessions last whatever STS said; ``None``: as STS said.
    :param longest_session_s: STS shortens sessions to so many seconds, and says so (AWS gives none below 900, too long
        for a test); ``None``: as asked for.
    :param sessions_over_s: sessions issued up to then, in seconds since the epoch, are over.
    :param service_sessions: key ids of the sessions that services hold.
    :param keys_seen_from_s: when each user's key is known to all of AWS, in seconds since the epoch.
    :param writes: mutating calls of the AWS API that were let through, by action.
    """

    propagation_s: float = 0.0
    key_propagation_s: float = 0.0
    session_lifetime_s: float | None = None
    longest_session_s: float | None = None
    sessions_over_s: float = 0.0
    service_sessions: set[str] = field(default_factory=set)
    keys_seen_from_s: dict[str, float] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)

    def reset(self) -> None:
        """Back to how the account started."""
        self.__init__()  # type: ignore[misc]

    def expire_sessions(self) -> None:
        """End every session that callers hold by now."""
        self.sessions_over_s = time.time()

    def expires_s(self, session: AssumedRole) -> float:
        """When a session ends or ended, in seconds since the epoch."""
        said = float(session.expiration.replace(tzinfo=timezone.utc).timestamp())
        # A service renews its own sessions, and nobody but the service sees that: no setting ends them.
        if session.access_key_id in self.service_sessions:
            return said
        issued = float(session.access_key.create_date.replace(tzinfo=timezone.utc).timestamp())
        if issued <= self.sessions_over_s:
            return min(said, self.sessions_over_s)
        return min(said, issued + self.session_lifetime_s) if self.session_lifetime_s is not None else said
