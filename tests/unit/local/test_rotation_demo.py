"""The rotation's demo counts every predict, the failed ones too, and keeps the keys that it makes."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import TransportError

from local import rotation_demo
from local.model_endpoints.process import ModelEndpoints
from local.rotation_demo import predicts, spent
from local.stack import Stack


class Client:
    """A cluster of whose predicts every third fails."""

    def __init__(self) -> None:
        self.transport, self.asked = self, 0

    def perform_request(self, method: str, url: str, body: Any) -> None:
        self.asked += 1
        if self.asked % 3 == 0:
            raise TransportError(503, "busy")


def test_a_failed_predict_is_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation_demo, "PER_SECOND", 500.0)
    client = Client()
    with predicts(cast("OpenSearch", client), "m") as asked:
        until = time.monotonic() + 10
        while client.asked < 6 and time.monotonic() < until:
            time.sleep(0.01)
    assert asked.failed == client.asked // 3 >= 2
    assert asked.answered + asked.failed == client.asked
    assert "503" in asked.words


def test_a_key_that_nobody_used_is_told_as_that() -> None:
    endpoints = cast("ModelEndpoints", SimpleNamespace(requests=lambda **asked: []))
    assert spent(endpoints, "abc", 0.0) == "no request"


def test_the_newest_key_comes_first_and_the_older_ones_go_at_the_end(tmp_path: Path) -> None:
    stack = Stack(tmp_path, say=lambda line: None)
    [first] = stack.keys["openai"]
    second = stack.make_openai_key()
    assert stack.keys["openai"] == [second, first]
    stack.refuse_older_openai_keys()
    assert stack.keys["openai"] == [second]
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
