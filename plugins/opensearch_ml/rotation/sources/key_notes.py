"""What we note about a user's access keys, in one tag of the user: keys themselves carry nothing.

The tag's name tells cluster and blueprint, so that of several clusters none takes another's key for its own. Its value
is written in one call, so that a killed run leaves either the notes before or those after.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

TAG_PREFIX = "opensearch_ml"
TAG_LENGTH = 128  # IAM's limit
MARK = re.compile(r"iam_user_key:(?P<key_id>[A-Z0-9]{16,128})")
KEY_ID = re.compile(r"[A-Z0-9]{16,128}")
# How long after the intent a key that nobody noted can still be the one that was meant.
WINDOW = timedelta(minutes=2)
CLOCK = timedelta(seconds=2)  # both times are AWS's, cut to seconds


@dataclass(frozen=True, slots=True)
class Key:
    """One access key as IAM lists it."""

    key_id: str
    active: bool
    created: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """A key is about to be made.

    :param at: by AWS's clock.
    :param before: ids of the keys that were there.
    """

    at: datetime
    before: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Off:
    """A key was taken out of use.

    :param at: by AWS's clock.
    :param verified: the model was seen to answer without it.
    """

    key_id: str
    at: datetime
    verified: bool = False


@dataclass(frozen=True, slots=True)
class KeyNotes:
    """All that is noted for one blueprint on one cluster.

    :param made: ids of the keys that we made; no other is ever changed or deleted.
    """

    made: tuple[str, ...] = ()
    intent: Intent | None = None
    off: Off | None = None

    @classmethod
    def parse(cls, text: str | None) -> KeyNotes:
        """Read the tag's value. What others have written there counts for nothing, and then no key is ours."""
        parts = dict(word.partition(":")[::2] for word in (text or "").split())
        try:
            intent, off = parts.get("intent"), parts.get("off")
            return cls(
                _ids(parts.get("made", "")),
                Intent(_read(intent.partition("/")[0]), _ids(intent.partition("/")[2])) if intent else None,
                _off(off) if off else None,
            )
        except ValueError:
            return cls()

    def __str__(self) -> str:
        words = [f"made:{'/'.join(self.made)}"]
        if self.intent:
            words.append(f"intent:{_written(self.intent.at)}/{'/'.join(self.intent.before)}")
        if self.off:
            seen = "verified" if self.off.verified else "not-verified"
            words.append(f"off:{self.off.key_id}/{_written(self.off.at)}/{seen}")
        return " ".join(words)

    def with_made(self, key_id: str) -> KeyNotes:
        """Return the notes once the key that was intended is known."""
        return replace(self, made=(*self.made, key_id), intent=None)

    def without(self, key_id: str) -> KeyNotes:
        """Return the notes once a key is gone."""
        off = None if self.off and self.off.key_id == key_id else self.off
        return replace(self, made=tuple(one for one in self.made if one != key_id), off=off)

    def meant(self, keys: list[Key]) -> list[Key]:
        """Return the keys that can be the intended one: made right after the intent, and noted by nobody."""
        if self.intent is None:
            return []
        at, known = self.intent.at, {*self.intent.before, *self.made}
        return [key for key in keys if key.key_id not in known and at - CLOCK <= key.created <= at + WINDOW]

    def orphans(self, keys: list[Key], used: set[str]) -> list[Key]:
        """Return the keys of ours that no connector has, and that are not waiting to be deleted.

        :param used: ids of the keys of connectors.
        """
        off = self.off.key_id if self.off else None
        return [key for key in keys if key.key_id in self.made and key.key_id not in used and key.key_id != off]


def mark_of(key_id: str) -> str:
    """Return the mark of a connector that signs with a key."""
    return f"iam_user_key:{key_id}"


def key_of(mark: str | None) -> str | None:
    """Return the key that a mark names; None if it names none."""
    found = MARK.fullmatch(mark or "")
    return found["key_id"] if found else None


def tag_name(cluster: str, blueprint: str) -> str:
    """Return the name of the tag for a blueprint on a cluster; one that IAM finds too long has a hash in it.

    :param cluster: what identifies it, such as its UUID.
    """
    where = hashlib.sha256(cluster.encode()).hexdigest()[:12]
    name = f"{TAG_PREFIX}:{where}:{blueprint}"
    if len(name) <= TAG_LENGTH:
        return name
    digest = hashlib.sha256(blueprint.encode()).hexdigest()[:12]
    return f"{name[: TAG_LENGTH - len(digest) - 1]}-{digest}"


def _ids(text: str) -> tuple[str, ...]:
    ids = tuple(filter(None, text.split("/")))
    if not all(map(KEY_ID.fullmatch, ids)):
        raise ValueError("is no list of key ids")
    return ids


def _off(text: str) -> Off:
    key_id, at, seen = text.split("/")
    return Off(_ids(key_id)[0], _read(at), seen == "verified")


def _written(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
