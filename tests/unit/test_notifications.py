"""Who is told of a failed rotation: the user's own notifiers, each of them, whatever the others do."""

from __future__ import annotations

import logging

import pytest
from airflow.sdk import BaseNotifier, Context

from opensearch_ml.notifications import OpenSearchMLNotifier, tell

told: list[str] = []


class Remembering(BaseNotifier):
    """Has a template, as the notifiers of mail and chat have; one of its fields has the name of one of ours."""

    template_fields = ("subject", "message")

    def __init__(self) -> None:
        super().__init__()
        self.subject = "[data] {{ rotation.subject }}"
        self.message = "{{ rotation.text }}"

    def notify(self, context: Context) -> None:
        told.append(f"{self.subject}: {self.message}")


def broken(context: Context) -> None:
    raise OSError("the mail server is away")


ONE = Remembering()
BOTH = [broken, ONE]


@pytest.fixture(autouse=True)
def _forget() -> None:
    told.clear()


def configured(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__NOTIFIERS", f"{__name__}.{name}")


def test_a_notifier_is_told_each_time_with_its_templates_filled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, "ONE")
    tell({}, "first", "a\nb")
    tell({}, "second", "{{ not a template }}")
    assert told == ["[data] first: a\nb", "[data] second: {{ not a template }}"]


def test_one_that_fails_keeps_no_other_from_being_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configured(monkeypatch, "BOTH")
    tell({}, "subject", "text")
    assert told == ["[data] subject: text"]
    assert "the mail server is away" in caplog.text


@pytest.mark.parametrize("name", ["no_such_name", ""])
def test_what_cannot_be_imported_is_said_and_ends_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configured(monkeypatch, name)
    tell({}, "subject", "text")
    assert "cannot be imported" in caplog.text
    assert "subject\ntext" in caplog.text


def test_without_notifiers_the_log_alone_tells(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell({}, "subject", "text")
    assert [record.getMessage() for record in caplog.records] == ["subject\ntext"]


class Instance:
    dag_id, task_id = "a_dag", "summary"


@pytest.mark.parametrize(
    ("exception", "text"), [(ValueError("cause\n  fix"), "cause\n  fix"), (None, "it ended without a word")]
)
def test_as_a_callback_it_tells_the_error_that_ended_the_task(
    monkeypatch: pytest.MonkeyPatch, exception: Exception | None, text: str
) -> None:
    configured(monkeypatch, "ONE")
    OpenSearchMLNotifier()({"task_instance": Instance(), "exception": exception})
    assert told[0].startswith(f"[data] a_dag failed in task summary: {text}")
