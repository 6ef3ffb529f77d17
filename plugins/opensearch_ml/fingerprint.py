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
import re
from collections.abc import Mapping
from typing import Any

SCHEME = "scrypt-v1"
COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}
SALT_BYTES = 12  # a multiple of three, so that base64 needs no padding
FORM = re.compile(rf"{SCHEME}:(?P<salt>(?:[A-Za-z0-9_-]{{4}}){{1,16}}):[A-Za-z0-9_-]{{22}}==")


def fingerprint(credential: Mapping[str, str], salt: bytes | None = None) -> str:
    """Return ``scrypt-v1:<salt>:<hash>`` of a whole credential, keys and values.

    :param salt: random unless given, a multiple of three bytes; it is part of the result.
    """
    salt = salt if salt is not None else os.urandom(SALT_BYTES)
    text = json.dumps(dict(credential), sort_keys=True).encode()
    return f"{SCHEME}:{_text(salt)}:{_text(hashlib.scrypt(text, salt=salt, **COST))}"


def matches(known: Any, credential: Mapping[str, str]) -> bool:
    """Tell whether a fingerprint is that of a credential; False too if it is none that we made.

    :param known: what stands in the mark's place; others can write anything there.
    """
    found = FORM.fullmatch(known) if isinstance(known, str) else None
    if not found:
        return False
    return hmac.compare_digest(known, fingerprint(credential, base64.urlsafe_b64decode(found["salt"])))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
