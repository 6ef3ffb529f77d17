"""docs/rotation.md shows the DAG, the sources, the configuration and the summary as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from opensearch_ml import notifications
from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint.rotation import RotationSection, Source
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.rotation.schedule import DAILY
from opensearch_ml.rotation.summary import Row, table
from tests.support.dags import tasks_in_order
from tests.support.markdown import blocks, links, rows
from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY / "docs"
TEXT = (FOLDER / "rotation.md").read_text()
DOMAIN = DomainArn.parse("arn:aws:es:eu-west-1:123456789012:domain/search")

# The mail provider is the reader's own.
SMTP_DOUBLE = """
SEEN = []
class SmtpNotifier:
    def __init__(self, **given):
        self.given = given
    def __call__(self, context):
        SEEN.append((self.given, context))
"""


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(REPOSITORY / "dags")
    return bag.dags["opensearch_ml_rotate_credentials"]


def names(heading: str) -> list[str]:
    return [cells[0].strip("`") for cells in rows(TEXT, heading)]


def test_the_tasks_are_the_dags_in_their_order(dag: DAG) -> None:
    assert names("## What a run does") == tasks_in_order(dag)
    assert re.findall(r"\w\[(\w+)\]", blocks(TEXT, "mermaid")[0]) == names("## What a run does")


def test_the_parameters_are_those_of_the_form(dag: DAG) -> None:
    below = TEXT.partition("By hand, its form takes")[2]
    assert [cells[0].strip("`") for cells in rows(f"\n# form\n{below}", "# form")] == list(dag.params)


def test_the_time_of_day_is_the_schedules() -> None:
    minute, hour, *_ = DAILY.split()
    assert f"daily at {int(hour):02}:{minute} UTC" in TEXT


def test_the_sources_are_those_that_a_blueprint_may_name() -> None:
    assert names("## Where the next credential comes from") == list(get_args(Source))
    shown = [yaml.safe_load(block) for block in blocks(TEXT, "yaml")]
    assert {one["rotation"]["source"] for one in shown} == {*get_args(Source)} - {RotationSection().source}
    fields = {"refresh_at", "delete_after_h"}
    assert all(f"`{field}`" in TEXT and field in RotationSection.model_fields for field in fields)


@pytest.mark.parametrize("shown", blocks(TEXT, "yaml"), ids=lambda block: block.splitlines()[0].split("/")[-1])
def test_a_blueprint_with_what_is_shown_is_valid(tmp_path: Path, shown: str) -> None:
    changed = yaml.safe_load(shown)
    of_keys = "connector" not in changed
    name = "sagemaker_embedding_static_keys" if of_keys else "openai_chat"
    document = yaml.safe_load((REPOSITORY / "include" / "blueprints" / f"{name}.yaml").read_text())
    connector = document["connector"]
    connector["credential"] = {} if of_keys else changed["connector"]["credential"]
    (tmp_path / "shown.yaml").write_text(yaml.safe_dump({**document, "rotation": changed["rotation"]}))
    assert Catalog(tmp_path, tmp_path / "targets").blueprint("shown", domain_arn=DOMAIN).rotation


def test_the_option_and_what_a_notifier_finds_are_the_codes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [command] = blocks(TEXT, "sh")
    variable, path = re.findall(r"export (\w+)=(\S+)", command)[0]
    assert variable == f"AIRFLOW__{notifications.SECTION}__{notifications.OPTION}".upper()
    [code] = blocks(TEXT, "python")
    (tmp_path / "alerts.py").write_text(SMTP_DOUBLE + re.sub(r"from airflow\.providers.*\n", "", code))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(variable, path)
    notifications.tell({}, "subject", "text")
    import alerts  # type: ignore[import-not-found]

    [(given, context)] = alerts.SEEN
    used = {name for value in given.values() for name in re.findall(r"rotation\.(\w+)", value)}
    assert used == set(context["rotation"]) == {"subject", "text"}


def test_the_summary_is_what_is_written() -> None:
    shown = next(block for block in blocks(TEXT, "text") if "models:" in block)
    refused = "rotation of openai_chat failed at step test: the model's platform refuses the connector's credential; …"
    given = [
        Row("openai_chat", "failed", refused),
        Row("openai_embedding", "rotated", "credential; Cd7… serves"),
        Row("cohere_embedding", "unchanged"),
    ]
    assert shown.strip() == table(given)


def test_every_link_leads_somewhere() -> None:
    assert [link for link in links(TEXT) if not (FOLDER / link).exists()] == []
