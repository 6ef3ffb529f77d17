"""What can go wrong in the embedded stack.

LocalStackError
├── DownloadError        an artifact could not be fetched, or is not the one that was pinned
├── LayoutError          OpenSearch cannot be laid out on this machine
├── ClusterStartError    the embedded cluster cannot be started, or died while it started
├── ClusterNotHealthy    it runs, but did not become healthy in time
├── AirflowStartError    Airflow ended, or one of its components did not come up
└── DemoError            the demo did not show what it promises
"""

from __future__ import annotations


class LocalStackError(Exception):
    """What happened, what shows it, what to do.

    :param cause: one sentence.
    :param evidence: what was seen: a log's last lines, a figure, an address.
    :param fix: what mends it.
    """

    def __init__(self, cause: str, *, evidence: str, fix: str) -> None:
        super().__init__(f"{cause}\n  evidence: {evidence}\n  fix: {fix}")
        self.cause, self.evidence, self.fix = cause, evidence, fix


class DownloadError(LocalStackError):
    """An artifact could not be fetched, or is not the one that was pinned."""


class LayoutError(LocalStackError):
    """OpenSearch cannot be laid out on this machine."""


class ClusterStartError(LocalStackError):
    """The embedded cluster cannot be started, or died while it started."""


class ClusterNotHealthy(LocalStackError):  # noqa: N818 (it runs, so nothing failed yet)
    """The embedded cluster runs, but did not become healthy in time."""


class AirflowStartError(LocalStackError):
    """Airflow ended, or one of its components did not come up."""


class DemoError(LocalStackError):
    """The demo did not show what it promises."""
