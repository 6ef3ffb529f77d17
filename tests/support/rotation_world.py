"""What the rotation's tests work with: a source whose every call is seen, a load beside, and what is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.credentials import fingerprint
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.errors import RequestRefused
from opensearch_ml.rotation.record import Limits
from tests.support.cluster import Cluster

QUICK = Limits(grace_s=0.3, lease_s=2.0, serve_s=10.0)
OLD, NEW, THIRD = (f"sk-rotation-{name}-only-in-tests" for name in ("old", "new", "third"))


@dataclass
class Keys:
    """A source that says which key is wanted, and notes on disk what it was told: also a killed run's notes are read.

    :param wanted: the key that is to serve.
    :param notes: file to which each call is added.
    :param known: the key that served before, if this source still knows it.
    :param fails_at: call that raises.
    :param on_retire: is called when the old key may be taken out of use.
    """

    wanted: str
    notes: Path
    known: str | None = None
    fails_at: str = ""
    on_retire: Callable[[], None] = lambda: None
    name: str = field(default="connection", init=False)

    def _note(self, call: str) -> None:
        with self.notes.open("a") as file:
            file.write(f"{call}\n")
        if call == self.fails_at:
            raise RequestRefused(f"{call} is refused", evidence="this test says so", fix="none")

    @property
    def credential(self) -> dict[str, str]:
        return {"openAI_key": self.wanted}

    def recover(self, live: str | None, others: Sequence[str]) -> list[str]:
        self._note("recover")
        return []

    def serves(self, mark: str | None) -> bool:
        return fingerprint.matches(mark, self.credential)

    def next(self) -> NextCredential:
        self._note("next")
        return NextCredential(self.credential, fingerprint.fingerprint(self.credential), "next")

    def resume(self, mark: str) -> NextCredential | None:
        return NextCredential(self.credential, mark, "resumed") if self.serves(mark) else None

    def promote(self, new: NextCredential) -> None:
        self._note("promote")

    def abandon(self, new: NextCredential) -> None:
        self._note("abandon")

    def retire(self, old: str | None) -> list[str]:
        self._note("retire")
        self.on_retire()
        return []

    def previous(self) -> Mapping[str, str] | None:
        return {"openAI_key": self.known} if self.known else None

    def due(self, mark: str | None) -> datetime | None:
        return None

    @property
    def calls(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []


def left(cluster: Cluster) -> dict[str, int]:
    """How many objects there are."""
    return {kind: len(cluster.search(kind)) for kind in ("connectors", "models", "model_groups")}


def keys_served(endpoints: ModelEndpoints, cluster: Cluster, model_id: str, predicts: int = 4) -> set[str]:
    """Predict on every node and return the fingerprints of the keys that the endpoint saw."""
    since = time.time()
    body = {"parameters": {"messages": [{"role": "user", "content": "x"}], "input": ["x"]}}
    for _ in range(predicts):
        cluster.request("POST", f"/_plugins/_ml/models/{model_id}/_predict", json=body).raise_for_status()
    return set(endpoints.counts_by_fingerprint(since=since))


@dataclass
class Load:
    """The answers of a load that has ended.

    :param answers: when it was sent (seconds since the epoch), how long it took (seconds), its HTTP status (0: no
        answer), and the words of a failure.
    """

    answers: list[tuple[float, float, int, str]] = field(default_factory=list)

    @property
    def failed(self) -> list[tuple[float, float, int, str]]:
        return [one for one in self.answers if one[2] != 200]

    @property
    def per_second(self) -> float:
        sent = [one[0] for one in self.answers]
        return len(sent) / (max(sent) - min(sent))

    def p99_ms(self, spans: list[tuple[float, float]] | None = None, *, outside: bool = False) -> float:
        """99th percentile of the answers that were sent within the spans, or outside of them."""
        within = [
            one[1] for one in self.answers if spans is None or any(a <= one[0] <= b for a, b in spans) is not outside
        ]
        return sorted(within)[int(len(within) * 0.99)] * 1000


@contextmanager
def load(
    cluster: Cluster, model_id: str, body: Mapping[str, Any], *, per_second: float = 60, urls: Sequence[str] = ()
) -> Iterator[Load]:
    """Keep up a load of predicts, from another process, while the block runs."""
    wanted = {
        "urls": [f"{url}/_plugins/_ml/models/{model_id}/_predict" for url in urls or [cluster.url]],
        "body": body,
        "per_second": per_second,
        "ca": str(cluster.ca_path),
        "user": "admin",
        "password": cluster.admin_password,
    }
    seen = Load()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("load_generator.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(json.dumps(wanted) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "running\n"
        yield seen
    finally:
        told, _ = process.communicate("stop\n", timeout=90)
    seen.answers = [tuple(one) for one in json.loads(told)]


def requests_with(endpoints: ModelEndpoints, key: str, since: float, until: float) -> int:
    """How many requests that carried a key arrived in a span of time."""
    found = endpoints.requests(since=since, fingerprint=bearer_fingerprint(key), limit=100_000)
    return sum(request.time < until for request in found)
