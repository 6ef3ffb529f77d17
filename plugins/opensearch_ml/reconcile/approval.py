"""What of a plan may be done, small enough for an XCom: names, kinds, and hashes of what was seen, never a value."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_ml.resources.changes import Change, Kind

HASH_CHARACTERS = 8  # of base64: 48 bits for one difference
BY_ID = (Kind.ADOPT, Kind.ORPHAN)  # which models and connectors these are about was approved, too
# What a killed try has begun reads as another kind of change, and is still what was approved.
FOLLOWS = {Kind.CREATE: (Kind.CREATE, Kind.UPDATE, Kind.REDEPLOY), Kind.SWAP: (Kind.CLEAN,)}
OF_A_CREATE = "connector_id"  # a model whose connector was gone, and is made: the model is to be given it


@dataclass(frozen=True, slots=True)
class Approved:
    """What may be done about one blueprint, or about one thing of the cluster.

    :param what: as in `Change`.
    :param kinds: of its changes, in the order of application.
    :param seen: one word for each kind: hashes of its differences as they were shown.
    """

    what: str
    kinds: tuple[str, ...]
    seen: str

    @classmethod
    def of(cls, changes: Sequence[Change]) -> Approved:
        """Return the approval of changes that are about the same: one entry of `Plan.stages`' stages.

        :raises ValueError: there are none, or they are about several things.
        """
        [what] = {change.what for change in changes}
        items: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        for change in changes:
            items[change.kind].update(_items(change))
        kinds = [kind for kind in Kind if any(change.kind is kind for change in changes)]
        return cls(what, tuple(kind.value for kind in kinds), " ".join("".join(sorted(items[kind])) for kind in kinds))

    def covers(self, change: Change) -> bool:
        """Tell whether a change was approved: its kind, and all of what differs; fewer differences are covered."""
        words = dict(zip(self.kinds, self.seen.split(" "), strict=True))
        if change.kind.value in words:
            word = words[change.kind.value]
            known = {word[at : at + HASH_CHARACTERS] for at in range(0, len(word), HASH_CHARACTERS)}
            if known.issuperset(_items(change)):
                return True
        begun = all(one.path == OF_A_CREATE for one in change.differences)
        return begun and any(change.kind in FOLLOWS.get(Kind(kind), ()) for kind in self.kinds)

    def as_list(self) -> list[Any]:
        """Return it as JSON has it."""
        return [self.what, list(self.kinds), self.seen]

    @classmethod
    def of_list(cls, told: Sequence[Any]) -> Approved:
        """Read what `as_list` returned."""
        what, kinds, seen = told
        return cls(what, tuple(kinds), seen)


def approved(stage: Iterable[Sequence[Change]]) -> list[Approved]:
    """Return the approvals of a stage of `Plan.stages`."""
    return [Approved.of(changes) for changes in stage]


def _items(change: Change) -> set[str]:
    told = [[one.path, one.before, one.after] for one in change.differences]
    if change.kind in BY_ID:
        told += [["id", None, one] for one in (*change.models, *change.connectors)]
    return {_hash([change.kind.value, *one]) for one in told}


def _hash(told: Sequence[Any]) -> str:
    digest = hashlib.sha256(json.dumps(told).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:HASH_CHARACTERS]
