"""The credentials that the model endpoints accept, and the fingerprint by which a request's credential is told.

A fingerprint is all that is ever recorded or answered; the credentials themselves stay in this process's memory and in
the keys file, which nobody but its owner may read.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local.aws_key import AwsKey
from local.model_endpoints.account import Account

KEY_FAMILIES = ("openai", "cohere", "google", "aleph_alpha", "yandex")  # those with API keys of their own
NO_CREDENTIAL = "none"  # stands in the records for a request that carried no credential at all

_FINGERPRINT_CHARACTERS = 12


class AcceptedKeys:
    """What the endpoints accept right now: API keys for each family, AWS keys for all of Amazon's services alike.

    :ivar account: the AWS account whose keys are accepted as well, with what its policies let them do.
    """

    def __init__(self, api_keys: Mapping[str, Iterable[str]] | None = None, *, aws: Iterable[AwsKey] = ()) -> None:
        self._api_keys = {family: set((api_keys or {}).get(family, ())) for family in KEY_FAMILIES}
        self._aws = {key.access_key_id: key for key in aws}
        self.account: Account | None = None

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> AcceptedKeys:
        """Read ``{"openai": [KEY…], …, "aws": [{access_key_id, secret_access_key, session_token}…]}``.

        :raises ValueError: a kind that is neither ``aws`` nor one of :data:`KEY_FAMILIES`, or an AWS key that lacks a
            field. Values are never named.
        """
        if unknown := set(document) - {*KEY_FAMILIES, "aws"}:
            raise ValueError(f"unknown kinds of keys {sorted(unknown)}: use {', '.join(KEY_FAMILIES)} and aws")
        try:
            aws = [AwsKey(**fields) for fields in document.get("aws", ())]
        except TypeError:
            expected = "access_key_id, secret_access_key and optionally session_token"
            raise ValueError(f"an AWS key has other fields than {expected}") from None
        return cls({family: keys for family, keys in document.items() if family != "aws"}, aws=aws)

    def accepts(self, family: str, key: str) -> bool:
        return key in self._api_keys[family]

    async def find_aws_key(self, access_key_id: str) -> AwsKey | None:
        """The one place where an access key's secret is looked up.

        :raises AccountError: the account could not be asked.
        """
        if access_key_id in self._aws:
            return self._aws[access_key_id]
        return await self.account.key(access_key_id) if self.account else None

    def add(self, others: AcceptedKeys) -> None:
        for family, keys in others._api_keys.items():
            self._api_keys[family] |= keys
        self._aws |= others._aws

    def replace(self, others: AcceptedKeys) -> None:
        self._api_keys, self._aws = others._api_keys, others._aws

    def remove(self, fingerprint: str) -> bool:
        """Refuse a credential from now on, wherever it was accepted; ``False`` if none has that fingerprint."""
        before = self.fingerprints()
        for family, keys in self._api_keys.items():
            self._api_keys[family] = {key for key in keys if bearer_fingerprint(key) != fingerprint}
        self._aws = {key.access_key_id: key for key in self._aws.values() if aws_fingerprint(key) != fingerprint}
        return self.fingerprints() != before

    def fingerprints(self) -> dict[str, list[str]]:
        """Fingerprints of what is accepted, by family and ``aws``, sorted."""
        accepted = {family: sorted(map(bearer_fingerprint, keys)) for family, keys in self._api_keys.items()}
        return {**accepted, "aws": sorted(map(aws_fingerprint, self._aws.values()))}


def bearer_fingerprint(key: str) -> str:
    """Twelve hex digits of SHA-256 that stand for an API key in the records."""
    return _fingerprint(key)


def aws_fingerprint(key: AwsKey) -> str:
    """The same for an AWS key: its id, and its session token if it has one. The secret is never on the wire."""
    return aws_id_fingerprint(key.access_key_id, key.session_token)


def aws_id_fingerprint(access_key_id: str, session_token: str | None) -> str:
    """:func:`aws_fingerprint` from what a signed request shows."""
    return _fingerprint(f"{access_key_id}:{session_token}" if session_token else access_key_id)


def load_keys(path: Path) -> AcceptedKeys:
    """Read a keys file; its format is :meth:`AcceptedKeys.from_json`.

    :raises PermissionError: someone else than the owner may read it.
    """
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PermissionError(f"{path} holds keys and others may read it: run chmod 600 {path}")
    return AcceptedKeys.from_json(json.loads(path.read_text()))


def save_keys(path: Path, document: dict[str, Any]) -> None:
    """Write a keys file that only its owner can read, from the first byte on."""
    path.unlink(missing_ok=True)  # an existing file would keep its own mode
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file)


def _fingerprint(credential: str) -> str:
    return hashlib.sha256(credential.encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]
