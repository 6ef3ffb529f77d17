"""An AWS key pair, as requests are signed with it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AwsKey:
    """A key pair for Signature V4; with a session token it is a temporary one, valid only together with it."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
