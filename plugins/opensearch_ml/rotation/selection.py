"""Which models of a fleet may need a rotation. No writes, and no request but those of the sources.

What it says may be a second old: a rotation looks again, exactly, before it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials.source import CredentialSource
from opensearch_ml.errors import InvalidBlueprint, NoSuchBlueprint, OpenSearchMLError
from opensearch_ml.resources.inventory import Fleet
from opensearch_ml.resources.rotation_state import Move, next_move, reasons
from opensearch_ml.rotation.embedding import other_vectors
from opensearch_ml.rotation.failures import gone, nothing_to_rotate
from opensearch_ml.rotation.sources.iam_user_key import IamUserKeySource
from opensearch_ml.rotation.sources.role_arn import RoleArnSource
from opensearch_ml.rotation.sources.session_label import SessionLabel

NOBODY = "nobody"  # the token of no run: whatever serves, this run has not made it


@dataclass(frozen=True, slots=True)
class Standing:
    """How one model stands.

    :param model_id: empty if the blueprint has none here.
    :param why: what a rotation has to do or to tell, dotted paths or a few words; empty: nothing.
    :param due: when the credential must be replaced; None: not by time.
    :param ends: when it stops working by itself; None: it does not.
    :param can: False: it cannot be rotated as it stands, and its rotation says what to do.
    :param origin: where the credential comes from; empty if nobody knows.
    :param warning: what a person should know before it is rotated.
    """

    blueprint: str
    model_id: str = ""
    why: tuple[str, ...] = ()
    due: datetime | None = None
    ends: datetime | None = None
    can: bool = True
    origin: str = ""
    warning: str = ""

    def __str__(self) -> str:
        read = f" (credential: {self.origin})" if self.origin else ""
        if not self.can:
            return f"{self.blueprint}: cannot be rotated: {', '.join(self.why)}"
        if self.why:
            return f"{self.blueprint}: to be rotated: {', '.join(self.why)}{read}"
        due = f", due {self.due.isoformat()}" if self.due else ""
        return f"{self.blueprint}: model {self.model_id} is as it should be{due}{read}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; times are ISO 8601."""
        times = {name: at.isoformat() if at else None for name, at in (("due", self.due), ("ends", self.ends))}
        return {**asdict(self), "why": list(self.why), **times}


def standings(
    fleet: Fleet,
    names: Iterable[str],
    *,
    load: Callable[[str], Blueprint],
    source_for: Callable[[Blueprint], CredentialSource],
    force: bool = False,
) -> list[Standing]:
    """Tell of each blueprint whether its model may need a rotation.

    What cannot be told, such as a file with findings or a source that does not answer, is a reason too: the rotation of
    that model says why, and nobody else's is kept from its own.

    :param names: of blueprints; one without a model here has nothing to rotate, which its rotation says.
    """
    return [_standing(fleet, name, load, source_for, force) for name in names]


def _standing(
    fleet: Fleet,
    name: str,
    load: Callable[[str], Blueprint],
    source_for: Callable[[Blueprint], CredentialSource],
    force: bool,
) -> Standing:
    try:
        blueprint = load(name)
    except InvalidBlueprint as invalid:
        made = [str(model["id"]) for model in fleet.made_from(name)]
        cause = gone(name, made) if made and isinstance(invalid, NoSuchBlueprint) else invalid.cause
        return Standing(name, why=(cause,), can=False)
    found, origin = fleet.rotation_state(blueprint), blueprint.credential_origin
    model_id = str((found.model or {}).get("id", ""))
    if found.live is None:
        return Standing(name, model_id, (nothing_to_rotate(blueprint, found, fleet.made_from(name)).cause,), can=False)
    mark = found.live.mark
    session = SessionLabel.parse(mark)
    ends = session.until if session else None
    try:
        source = source_for(blueprint)
        serves = source.serves(mark)
        if isinstance(source, RoleArnSource) and serves:
            source.check()
        left = source.left_over() if isinstance(source, IamUserKeySource) else None
        due = source.due(mark)
    except OpenSearchMLError as error:
        return Standing(name, model_id, (error.cause,), ends=ends, can=False)
    why = reasons(found.live, serves=serves, force=force, token=NOBODY)
    if not why and left:
        why = (left,)
    if not why and next_move(found, why) is not Move.NOTHING:
        why = ("what an earlier run left",)
    warning = other_vectors(blueprint, found.live.differs) or ""
    return Standing(name, model_id, why, due, ends, origin=origin, warning=warning)
