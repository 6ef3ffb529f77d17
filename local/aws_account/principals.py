"""Who may call: access keys, and the principal with its policies behind a key or an ARN."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from moto.sts.models import AssumedRole, sts_backends

from local.aws_account.policy_evaluation import Principal
from local.aws_account.roles import RoleHistory, documents_of, every_iam, parsed
from local.aws_account.root_user import ACCOUNT_ID, ROOT_ACCESS_KEY_ID, ROOT_ARN, ROOT_SECRET_ACCESS_KEY
from local.aws_account.state import AccountState


@dataclass(frozen=True)
class Key:
    """A known access key.

    :param expires_s: end of its session, in seconds since the epoch; ``None`` for a user's key.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    principal_arn: str
    role_arn: str | None
    account_id: str
    expires_s: float | None = None

    @property
    def expired(self) -> bool:
        return self.expires_s is not None and self.expires_s <= time.time()

    def has_token(self, token: str | None) -> bool:
        """Whether a request carried this key's session token, or none as this key has none."""
        return hmac.compare_digest(self.session_token or "", token or "")


class Principals:
    """Keys and principals of all accounts, as moto has them and as propagation lets them be seen."""

    def __init__(self, state: AccountState, roles: RoleHistory) -> None:
        self._state, self._roles = state, roles

    def key(self, access_key_id: str) -> Key | None:
        """A key that AWS accepts or, if its session is over, has accepted; not a user's inactive one."""
        if access_key_id == ROOT_ACCESS_KEY_ID:
            return Key(access_key_id, ROOT_SECRET_ACCESS_KEY, None, ROOT_ARN, None, ACCOUNT_ID)
        for session in _sessions():
            if session.access_key_id == access_key_id:
                return self._session_key(session)
        for backend in every_iam():
            for user in list(backend.users.values()):
                for key in user.access_keys:
                    seen = self._state.keys_seen_from_s.get(access_key_id, 0.0) <= time.time()
                    if key.access_key_id == access_key_id and key.status == "Active" and seen:
                        return Key(access_key_id, key.secret_access_key, None, user.arn, None, user.account_id)
        return None

    def note_keys(self) -> None:
        """Look at all users' keys; those that the last look did not see are new. To be called after each write."""
        seen_from_s = time.time() + self._state.key_propagation_s
        for backend in every_iam():
            for user in list(backend.users.values()):
                for key in user.access_keys:
                    self._state.keys_seen_from_s.setdefault(key.access_key_id, seen_from_s)

    def session_keys(self) -> list[Key]:
        """The keys of all sessions that were ever issued, oldest first."""
        return [self._session_key(session) for session in _sessions()]

    def principal(self, key: Key) -> Principal:
        """Whom a key belongs to, with the policies that count right now."""
        if key.role_arn is None:
            return self.by_arn(key.principal_arn) or Principal(key.principal_arn, key.account_id)
        session = next(one for one in _sessions() if one.access_key_id == key.access_key_id)
        return self._of_role(key.role_arn, key.principal_arn, session.policy)

    def by_arn(self, arn: str) -> Principal | None:
        """A user, a role, an account's root user, or the newest session of that ARN; ``None`` if there is none."""
        account_id = arn.split(":", 5)[4] if arn.count(":") >= 5 else ""
        if arn.endswith(":root"):
            return Principal(arn, account_id)
        if ":assumed-role/" in arn:
            sessions = [one for one in _sessions() if one.arn == arn]
            return self._of_role(sessions[-1].role_arn, arn, sessions[-1].policy) if sessions else None
        for backend in every_iam():
            for user in list(backend.users.values()):
                if user.arn == arn:
                    groups = [group for group in list(backend.groups.values()) if user in group.users]
                    texts = (text for holder in (user, *groups) for text in documents_of(holder))
                    return Principal(arn, account_id, policies=parsed(tuple(texts)))
        return self._of_role(arn, arn, None) if self._roles.role(arn) else None

    def _session_key(self, session: AssumedRole) -> Key:
        return Key(
            session.access_key_id,
            session.secret_access_key,
            session.session_token,
            session.arn,
            session.role_arn,
            session.account_id,
            self._state.expires_s(session),
        )

    def _of_role(self, role_arn: str, arn: str, session_policy: str | None) -> Principal:
        role = self._roles.role(role_arn)
        policies = parsed(role.policies) if role else ()  # the sessions of a deleted role may do nothing more
        boundary = role.boundary if role else None
        limits = [parsed((boundary,)) if boundary else ()] if boundary is not None else []
        if session_policy:
            limits.append((json.loads(session_policy),))
        return Principal(arn, role_arn.split(":", 5)[4], role_arn, policies, tuple(limits))


def _sessions() -> Iterator[AssumedRole]:
    for account in list(sts_backends.values()):
        for backend in list(account.values()):
            yield from list(backend.assumed_roles)
