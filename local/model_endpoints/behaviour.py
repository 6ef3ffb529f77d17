"""Misbehaviour on demand: what a test asks an API family, or the holder of one credential, to suffer.

A behaviour stands for an outage, so it comes before authentication, whatever the request carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Fault = Literal["non_json", "close"]


@dataclass(frozen=True)
class Behaviour:
    """What happens to the requests that match. Everything not set stays as it would be.

    :param family: the name of a family, for instance ``openai`` (``app.FAMILIES``); ``None`` is all.
    :param fingerprint: only requests that carry this credential; ``None`` is any request.
    :param status: answer this HTTP status, in the service's own error shape.
    :param delay_s: wait this long, in seconds, before anything else.
    :param dimension: embeddings have this many dimensions, cut or padded with zeros.
    :param fault: ``non_json`` answers 200 with a page of HTML; ``close`` closes the connection without an answer.
    :param times: for this many requests; ``None`` until cleared.
    """

    family: str | None = None
    fingerprint: str | None = None
    status: int | None = None
    delay_s: float = 0.0
    dimension: int | None = None
    fault: Fault | None = None
    times: int | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Behaviour:
        """:raises ValueError: an unknown field or fault."""
        if unknown := set(document) - set(cls.__dataclass_fields__):
            raise ValueError(f"unknown fields {sorted(unknown)}: use {', '.join(cls.__dataclass_fields__)}")
        behaviour = cls(**document)
        if behaviour.fault not in (None, *get_args(Fault)):
            raise ValueError(f"unknown fault {behaviour.fault!r}: use {' or '.join(get_args(Fault))}")
        return behaviour


NORMAL = Behaviour()


class Behaviours:
    """At most one behaviour for each family and fingerprint; the more specific one wins."""

    def __init__(self) -> None:
        self._behaviours: dict[tuple[str | None, str | None], Behaviour] = {}
        self._left: dict[tuple[str | None, str | None], int] = {}

    def set(self, behaviour: Behaviour) -> None:
        scope = (behaviour.family, behaviour.fingerprint)
        self._behaviours[scope] = behaviour
        self._left.pop(scope, None)
        if behaviour.times is not None:
            self._left[scope] = behaviour.times

    def clear(self) -> None:
        self._behaviours.clear()
        self._left.clear()

    def take(self, family: str, fingerprint: str) -> Behaviour:
        """The behaviour for a request that has arrived; one that is limited in number is used up by one."""
        for scope in ((family, fingerprint), (None, fingerprint), (family, None), (None, None)):
            if scope in self._behaviours and self._left.get(scope, 1) > 0:
                if scope in self._left:
                    self._left[scope] -= 1
                return self._behaviours[scope]
        return NORMAL

    def to_json(self) -> list[dict[str, Any]]:
        """What is in force, with ``times`` being what is left."""
        return [
            {**asdict(behaviour), "times": self._left.get(scope)}
            for scope, behaviour in self._behaviours.items()
            if self._left.get(scope, 1) > 0
        ]
