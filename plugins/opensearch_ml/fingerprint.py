"""Fingerprints of credentials: they tell that a secret has changed, without telling the secret.

A connector carries the fingerprint of the credential it was made with, readable for everybody with ``ml_read_access``;
so it is salted, and slow to compute (about 40 ms), which makes guessing a weak secret expensive.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping

SCHEME = "scrypt-v1"
COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}


def fingerprint(credential: Mapping[str, str], salt: bytes | None = None) -> str:
    """Return ``scrypt-v1:<salt>:<hash>`` of a whole credential, keys and values.

    :param salt: random unless given; it is part of the result.
    """
    salt = salt if salt is not None else os.urandom(12)
    text = json.dumps(dict(credential), sort_keys=True, ensure_ascii=False).encode()
    return f"{SCHEME}:{_text(salt)}:{_text(hashlib.scrypt(text, salt=salt, **COST))}"


def matches(known: str | None, credential: Mapping[str, str]) -> bool:
    """Tell whether a fingerprint is that of a credential; False too if it is none that we made."""
    scheme, _, rest = (known or "").partition(":")
    salt, _, _ = rest.partition(":")
    if scheme != SCHEME:
        return False
    try:
        return hmac.compare_digest(known or "", fingerprint(credential, base64.urlsafe_b64decode(salt)))
    except ValueError:
        return False


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
