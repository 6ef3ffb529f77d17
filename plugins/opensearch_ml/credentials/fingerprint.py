"""Fingerprints of credentials: they tell that a secret has changed, without telling the secret.

A connector carries the fingerprint of the credential it was made with, readable for everybody with ``ml_read_access``;
so it is salted, and slow to compute (about 40 ms), which makes guessing a weak secret expensive.

The salt is told by the cluster and the references that the credential comes from. So the connectors of a fleet that
share their references share one fingerprint, which is computed once; another cluster's, or other references', differs
though the secret be the same. Marks that were made with a random salt go on being recognised: each brings its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

SCHEME = "scrypt-v1"
COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}
SALT_BYTES = 12  # a multiple of three, so that base64 needs no padding
FORM = re.compile(rf"{SCHEME}:(?P<salt>(?:[A-Za-z0-9_-]{{4}}){{1,16}}):[A-Za-z0-9_-]{{22}}==")

REMEMBERED = 1024  # fingerprints of one process
_KEY = os.urandom(32)  # of this process: what is remembered is found by a keyed hash, never by the secret itself
_remembered: OrderedDict[bytes, str] = OrderedDict()


def fingerprint(credential: Mapping[str, str], salt: bytes | None = None) -> str:
    """Return ``scrypt-v1:<salt>:<hash>`` of a whole credential, keys and values.

    :param salt: random unless given, a multiple of three bytes; it is part of the result.
    """
    salt = salt if salt is not None else os.urandom(SALT_BYTES)
    text = json.dumps(dict(credential), sort_keys=True).encode()
    found_by = hmac.digest(_KEY, salt + b"\0" + text, "sha256")
    if (known := _remembered.get(found_by)) is None:
        known = f"{SCHEME}:{_text(salt)}:{_text(hashlib.scrypt(text, salt=salt, **COST))}"
        _remembered[found_by] = known
        while len(_remembered) > REMEMBERED:
            _remembered.popitem(last=False)
    return known


def salt_of(cluster_uuid: str, references: Mapping[str, str]) -> bytes:
    """Return the salt for a credential that comes from these references, on one cluster.

    :param references: by key of the credential, as text.
    """
    told = json.dumps([cluster_uuid, dict(references)], sort_keys=True)
    return hashlib.sha256(told.encode()).digest()[:SALT_BYTES]


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
