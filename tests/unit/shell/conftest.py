"""What the tests of the shell share: waits that are seconds in life are hundredths here."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opensearch_ml.sensors.DEFER_AFTER_S", 0.1)
    monkeypatch.setattr("opensearch_ml.sensors.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("opensearch_ml.steps.deployment.TASK_REFRESH_S", ())
