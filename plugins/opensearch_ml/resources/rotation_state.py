"""What stands in the cluster for a blueprint, and what a run does about it: values in, values out.

No connector is ever re-marked, because one in use cannot be changed; which role it has is derived. The one that the
model uses is *live*. Of the others, those that a rotation made after it are *candidates*, and those that are older are
*retired*. A *canary* is a model of ours on a candidate; it is deleted last, so while there is one, a rotation is under
way or was killed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.resources import canonical

CANARY_PREFIX = f"{OWNER}.canary."
CLAIMED = "claimed"  # in the place of a credential's mark, as long as a candidate has no credential
UNTOLD = re.compile(r"[^A-Za-z0-9 .,!?():@_'/-]")  # what the server takes in no model's description
HELD_BY = re.compile(r"rotates for run (?P<token>.*), beat (?P<process>[0-9a-f]+)\.(?P<beat>\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Connector:
    """One of our connectors, as a rotation sees it.

    :param id: empty for the one inside the model.
    :param created_ms: by the cluster's clock.
    :param mark: of its credential.
    :param run: token of the rotation that made it; empty if the provisioning did.
    :param differs: dotted paths of the definition in which it differs from the blueprint; the credential is not asked.
    :param in_flight_s: how long a call through it may take, by its own time-outs.
    :param replaces: of a candidate for an internal connector: the mark that the live one had.
    :param others: whether it belongs to whoever made the model before it was adopted: it is replaced, never deleted.
    """

    id: str
    created_ms: int = 0
    mark: str | None = None
    run: str = ""
    differs: tuple[str, ...] = ()
    in_flight_s: float = 30.0
    replaces: str | None = None
    others: bool = False


@dataclass(frozen=True, slots=True)
class Canary:
    """A model through which a candidate is tested; its description says who rotates.

    :param token: of the run that holds the lease.
    :param process: tells two processes of one run apart.
    :param beat: rises while the holder lives.
    """

    id: str
    connector_id: str
    token: str = ""
    process: str = ""
    beat: int = 0


@dataclass(frozen=True, slots=True)
class RotationState:
    """What stands in the cluster for a blueprint.

    :param model: as GET returns it; None if there is none.
    :param live: None if the model uses a connector that is not ours, or not there.
    :param candidates: oldest first.
    :param retired: oldest first.
    :param canaries: oldest first; more than one only if a register's answer was lost.
    """

    model: ModelDoc | None
    live: Connector | None
    candidates: tuple[Connector, ...] = ()
    retired: tuple[Connector, ...] = ()
    canaries: tuple[Canary, ...] = ()

    @property
    def holder(self) -> str | None:
        """The token of the run that rotates this model, or did until it was killed; None: nobody."""
        if self.canaries:
            return self.canaries[0].token
        return self.candidates[0].run if self.candidates else None

    @property
    def switched(self) -> bool:
        """Whether a rotation that has not ended made what is live now."""
        if self.live is None:
            return False
        if self.live.id:
            return any(canary.connector_id == self.live.id for canary in self.canaries)
        # The candidate for an internal connector stays beside it, with the same mark.
        return any(one.mark == self.live.mark for one in self.candidates)


class Move(Enum):
    """What a run does next."""

    NOTHING = "nothing"
    CLEAN = "clean"  # live is right, and something is left over
    FINISH = "finish"  # live is right; the run that switched to it was killed: prove, promote, grace, retire
    REPLACE = "replace"  # live is not right


def next_move(found: RotationState, why: Sequence[str]) -> Move:
    """Tell what a run does.

    :param why: what is wrong with the live connector (`reasons`).
    """
    if why:
        return Move.REPLACE
    if found.switched:
        return Move.FINISH
    return Move.CLEAN if found.candidates or found.retired or found.canaries else Move.NOTHING


def reasons(live: Connector, *, serves: bool, force: bool, token: str) -> tuple[str, ...]:
    """Tell why the live connector must be replaced: dotted paths, ``credential`` among them; ``forced``; or nothing.

    :param serves: whether the source says that its credential needs no other.
    :param token: of this run; what it has made itself satisfies `force`, so that a retry does not rotate again.
    """
    why = live.differs + (() if serves else ("credential",))
    return why or (("forced",) if force and live.run != token else ())


def marks_of(connectors: Iterable[Connector]) -> list[str]:
    """Return the credential marks of connectors that have one."""
    return [one.mark for one in connectors if one.mark and one.mark != CLAIMED]


def derive_rotation_state(
    blueprint: Blueprint,
    model: ModelDoc | None,
    connectors: Iterable[ConnectorDoc],
    canaries: Iterable[ModelDoc],
    version: tuple[int, ...],
) -> RotationState:
    """Derive the roles.

    :param connectors: all of ours for the blueprint, oldest first, as GET or search returns them; and that of an
        adopted model, with the marks that the model carries for it (`adoption.as_ours`).
    :param canaries: models named `canary_name`, oldest first.
    :param version: the server's.
    """
    ours = [connector(blueprint, found, version) for found in connectors]
    seen = tuple(_canary(found) for found in canaries)
    if model is None:
        return RotationState(None, None, tuple(one for one in ours if one.run), (), seen)
    if blueprint.inline:
        inside = model.get("connector")
        live = connector(blueprint, {**inside, "id": ""}, version) if inside else None
        return RotationState(model, live, tuple(one for one in ours if one.run), (), seen)
    live = next((one for one in ours if one.id == model.get("connector_id")), None)
    if live is None:
        return RotationState(model, None, tuple(one for one in ours if one.run), (), seen)
    age = (live.created_ms, live.id)
    newer = tuple(one for one in ours if one.run and (one.created_ms, one.id) > age)
    older = tuple(one for one in ours if (one.created_ms, one.id) < age)
    return RotationState(model, live, newer, older, seen)


def canary_name(blueprint_name: str) -> str:
    """Return the name of a blueprint's canary models."""
    return CANARY_PREFIX + blueprint_name


def tellable(token: str) -> str:
    """Return a token as a description can have it."""
    return UNTOLD.sub("_", token)


def held_by(token: str, process: str, beat: int) -> str:
    """Return the description of a canary."""
    return f"Tests a new connector, and is deleted after it, rotates for run {token}, beat {process}.{beat}"


def connector(blueprint: Blueprint, found: ConnectorDoc, version: tuple[int, ...]) -> Connector:
    """Read one of our connectors."""
    marks = found.get("parameters") or {}
    return Connector(
        id=found["id"],
        created_ms=int(found.get("created_time") or 0),
        mark=marks.get(canonical.LABEL_CREDENTIAL),
        run=marks.get(canonical.LABEL_RUN, ""),
        differs=canonical.definition_differences(blueprint, found, version),
        in_flight_s=_in_flight_s(found.get("client_config") or {}),
        replaces=marks.get(canonical.LABEL_REPLACES),
        others=bool(marks.get(canonical.LABEL_UNMANAGED)),
    )


def _in_flight_s(config: Mapping[str, Any]) -> float:
    read_s = float(config.get("read_timeout") or 30)
    retries = int(config.get("max_retry_times") or 0) != 0
    return read_s + (float(config.get("retry_timeout_seconds") or 30) if retries else 0.0)


def _canary(model: ModelDoc) -> Canary:
    held = HELD_BY.search(model.get("description") or "")
    if held is None:
        return Canary(model["id"], model.get("connector_id", ""))
    return Canary(model["id"], model.get("connector_id", ""), held["token"], held["process"], int(held["beat"]))
