"""The plan as a value: what would change on a cluster, in the order in which it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Kind(str, Enum):
    """What a change is, in the order of application: what others need comes first, deletions come last."""

    SETTINGS = "settings"  # trusted endpoints, the target's settings, role mappings
    ROLE = "role"  # the IAM role that the service assumes
    CREATE = "create"  # the model, or its connector, is not there: the provisioning's steps make it
    ADOPT = "adopt"  # somebody else's becomes ours
    UPDATE = "update"  # in place, by PUT of the model
    REDEPLOY = "redeploy"  # it is not deployed, or not everywhere
    SWAP = "swap"  # the connector's definition or credential: a new one is tested, and put in its place
    CLEAN = "clean"  # what a rotation left behind
    ORPHAN = "orphan"  # ours, and wanted no more: deleted only on request
    BLOCKED = "blocked"  # not done now: somebody else is at it, or it cannot be done as it is
    BROKEN = "broken"  # its file has findings, or its source of credentials does not answer


STOPPED = (Kind.BLOCKED, Kind.BROKEN)  # nothing is written for these
LAST_STAGE = (Kind.CLEAN, Kind.ORPHAN)  # the stage that deletes


@dataclass(frozen=True, slots=True)
class Difference:
    """One field; its values are masked (`masking`), and None if it is not there."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do, or to tell.

    :param what: the blueprint's name; of `Kind.SETTINGS` what of the cluster is changed.
    :param why: in a few words.
    :param differences: by path.
    :param models: ids of the models that it is about.
    :param connectors: ids of the connectors that it is about; of an orphan, those to delete.
    :param fix: what a person has to do, where a run cannot.
    """

    kind: Kind
    what: str
    why: str = ""
    differences: tuple[Difference, ...] = ()
    models: tuple[str, ...] = ()
    connectors: tuple[str, ...] = ()
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "kind": self.kind.value}

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> Change:
        """Read what `as_dict` returned."""
        lists = {name: tuple(told[name]) for name in ("models", "connectors")}
        differences = tuple(Difference(**one) for one in told["differences"])
        return cls(**{**told, **lists, "kind": Kind(told["kind"]), "differences": differences})


@dataclass(frozen=True)
class Plan:
    """What would change on one cluster.

    :param target: its name.
    :param wanted: how many blueprints live there.
    :param changes: in the order of application, then by name.
    :param unchanged: names of the blueprints that nothing is to be done for.
    :param standing: how many models of these blueprints the cluster has now.
    :param unseen: what could not be looked at.
    """

    target: str
    wanted: int
    changes: tuple[Change, ...]
    unchanged: tuple[str, ...]
    standing: int = 0
    unseen: tuple[str, ...] = ()

    def of_kind(self, *kinds: Kind) -> tuple[Change, ...]:
        """Return the changes of some kinds, in their order."""
        return tuple(change for change in self.changes if change.kind in kinds)

    @property
    def counts(self) -> dict[str, int]:
        """How many changes there are of each kind that there is."""
        return {kind.value: len(found) for kind in Kind if (found := self.of_kind(kind))}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done, and nothing to be told."""
        return not self.changes

    @property
    def has_errors(self) -> bool:
        """Whether some of it could not be planned."""
        return bool(self.of_kind(Kind.BROKEN))

    def stages(self) -> tuple[tuple[tuple[Change, ...], ...], ...]:
        """Return what a run does: stages, one after the other; in each, what may be done at once; in that, in order.

        First the cluster, on which every connector depends; then all that is about one blueprint, blueprint by
        blueprint; last what is deleted. What is stopped is in none.
        """
        middle = tuple(kind for kind in Kind if kind not in (Kind.SETTINGS, *LAST_STAGE, *STOPPED))
        found = (self.of_kind(Kind.SETTINGS), self.of_kind(*middle), self.of_kind(*LAST_STAGE))
        return tuple(_by_what(stage) for stage in found if stage)


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return changes in the order of application, then by name."""
    ranks = {kind: rank for rank, kind in enumerate(Kind)}
    return tuple(sorted(changes, key=lambda one: (ranks[one.kind], one.what, one.why, one.models, one.connectors)))


def _by_what(changes: Iterable[Change]) -> tuple[tuple[Change, ...], ...]:
    found: dict[str, list[Change]] = {}
    for change in changes:
        found.setdefault(change.what, []).append(change)
    return tuple(map(tuple, found.values()))
