"""The secrets that a task has come to know: masked in its logs, and in the evidence of its errors."""

from __future__ import annotations

import json
from collections.abc import Iterable

from airflow.sdk.log import mask_secret


class KnownSecrets:
    """Grows while a task runs: a session's keys change, a blueprint's credential is resolved."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def keep(self, secrets: Iterable[str | None]) -> None:
        """Mask secrets from here on.

        Also as they stand inside JSON: a platform that refuses a key may quote it in its answer.
        """
        for secret in filter(None, secrets):
            for told in {secret, *(json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))}:
                if told not in self._told:
                    mask_secret(told)
                    self._told.add(told)

    def redact(self, text: str) -> str:
        """Return a text with every known secret replaced by ``***``."""
        for secret in sorted(self._told, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text
