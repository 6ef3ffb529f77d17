"""Roles as the rest of AWS sees them: some time after IAM was told.

IAM answers reads of its own at once, as moto does; whoever uses a role (STS, a service, the policy simulator) sees each
change only ``propagation_s`` after it was made.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from moto.iam.models import IAMBackend, iam_backends
from moto.iam.models import Role as MotoRole

from local.aws_account.policy_evaluation import Document
from local.aws_account.state import AccountState

_CHANGES_KEPT = 100  # per role: nobody waits for an older one


@dataclass(frozen=True)
class Role:
    """A role's documents at one moment, as JSON texts, so that two moments can be compared.

    :param boundary: the permissions boundary's document; empty text if IAM does not have that policy (any more).
    """

    trust: str
    policies: tuple[str, ...]
    boundary: str | None


class RoleHistory:
    """Every role of every account, by ARN, with the times from which its changes are seen."""

    def __init__(self, state: AccountState) -> None:
        self._state = state
        self._changes: dict[str, list[tuple[float, Role | None]]] = {}
        self._lock = threading.Lock()

    def note_changes(self) -> None:
        """Look at all roles; what differs from the last look has changed now. To be called after each write."""
        with self._lock:
            roles = {role.arn: _documents(backend, role) for backend, role in _all_roles()}
            # Once made, a change keeps its time: a test that slows the next ones down does not undo its own set-up.
            seen_from_s = time.time() + self._state.propagation_s
            for arn in {**self._changes, **roles}:
                changes = self._changes.setdefault(arn, [])
                if roles.get(arn) != (changes[-1][1] if changes else None):
                    self._changes[arn] = [*changes, (seen_from_s, roles.get(arn))][-_CHANGES_KEPT:]

    def role(self, arn: str) -> Role | None:
        """A role as it is seen right now; ``None`` if it is not there, or not yet."""
        self.note_changes()
        now = time.time()
        seen = [role for seen_from_s, role in self._changes.get(arn, []) if seen_from_s <= now]
        return seen[-1] if seen else None

    def reset(self) -> None:
        with self._lock:
            self._changes.clear()


def documents_of(holder: Any) -> tuple[str, ...]:
    """Inline and attached policies of one of moto's roles, users or groups, as JSON texts."""
    return (*holder.policies.values(), *(_default_version(policy) for policy in holder.managed_policies.values()))


def every_iam() -> list[IAMBackend]:
    """moto's IAM of every account and partition."""
    return [backend for account in list(iam_backends.values()) for backend in list(account.values())]


def parsed(texts: tuple[str, ...]) -> tuple[Document, ...]:
    return tuple(json.loads(text) for text in texts)


def _all_roles() -> list[tuple[IAMBackend, MotoRole]]:
    return [(backend, role) for backend in every_iam() for role in list(backend.get_roles())]


def _documents(backend: IAMBackend, role: MotoRole) -> Role:
    arn = role.permissions_boundary_arn
    boundary = backend.managed_policies.get(arn) if arn else None
    text = (_default_version(boundary) if boundary else "") if arn else None
    return Role(role.assume_role_policy_document, documents_of(role), text)


def _default_version(policy: Any) -> str:
    return next(str(version.document) for version in policy.versions if version.is_default)
