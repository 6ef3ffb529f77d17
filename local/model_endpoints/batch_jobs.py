"""Batch jobs of SageMaker and Bedrock: they exist, can be asked about and stopped; nothing is ever read or written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class BatchJob:
    """A job as it was asked for.

    :param request: the body it was created with.
    """

    arn: str
    request: dict[str, Any]
    status: str = "InProgress"


class BatchJobs:
    """The jobs of one service, by name or id. They live as long as the server."""

    def __init__(self) -> None:
        self._jobs: dict[str, BatchJob] = {}

    def add(self, name: str, arn: str, request: dict[str, Any]) -> bool:
        """``False``: there is one of that name already."""
        if name in self._jobs:
            return False
        self._jobs[name] = BatchJob(arn, request)
        return True

    def find(self, name: str) -> BatchJob | None:
        return self._jobs.get(name)

    def stop(self, name: str) -> bool:
        """``False``: there is none of that name that still runs."""
        job = self._jobs.get(name)
        if job is None or job.status != "InProgress":
            return False
        self._jobs[name] = replace(job, status="Stopped")
        return True
