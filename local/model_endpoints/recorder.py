"""The record of the requests: who was called, with which credential, and how it went. Bounded, and cheap to write."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

CAPACITY = 200_000


class RecordedRequest(NamedTuple):
    """One request that has been answered.

    :param time: arrival, in seconds since the epoch.
    :param path: with its percent-encoding, without the query.
    :param family: ``openai``, ``cohere``, ``sagemaker``, ``bedrock``, ``comprehend``, ``textract``, or ``unknown`` for
        a path that none of them has.
    :param credential_fingerprint: see :mod:`local.model_endpoints.keys`.
    :param status: the HTTP status; ``None`` if the connection was closed instead.
    :param duration: from arrival to answer, in seconds.
    :param principal: the ARN of who signed it, where the AWS account knows and the signature was right.
    """

    time: float
    path: str
    method: str
    family: str
    credential_fingerprint: str
    status: int | None
    duration: float
    principal: str | None = None


class Recorder:
    def __init__(self, capacity: int = CAPACITY) -> None:
        self._requests: deque[RecordedRequest] = deque(maxlen=capacity)
        self._seen = 0

    def add(self, request: RecordedRequest) -> None:
        self._requests.append(request)
        self._seen += 1

    def clear(self) -> None:
        self._requests.clear()
        self._seen = 0

    @property
    def dropped(self) -> int:
        """How many requests since the last :meth:`clear` no longer fit."""
        return self._seen - len(self._requests)

    def since(self, time: float, *, family: str | None = None, fingerprint: str | None = None) -> list[RecordedRequest]:
        """Requests that arrived at that time or later, in the order of their answers."""
        # Every record is looked at: a slow request is recorded after later ones, so the times are not sorted.
        return [
            request
            for request in self._requests
            if request.time >= time
            and family in (None, request.family)
            and fingerprint in (None, request.credential_fingerprint)
        ]

    def count_by_fingerprint(self, since: float, *, family: str | None = None) -> dict[str, int]:
        return dict(Counter(request.credential_fingerprint for request in self.since(since, family=family)))
