"""docs/fleets.md shows the command, its options, the kinds of changes and the mark as they are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, Asset, CronTriggerTimetable

from opensearch_ml import cli
from opensearch_ml.reconcile import report
from opensearch_ml.reconcile.approval import Approved
from opensearch_ml.reconcile.render import text
from opensearch_ml.reconcile.results import Applied, Outcome
from opensearch_ml.resources import adoption
from opensearch_ml.resources.changes import Change, Difference, Kind, Plan
from tests.support.dags import tasks_in_order
from tests.support.markdown import blocks, links, rows
from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY / "docs"
TEXT = (FOLDER / "fleets.md").read_text()
OUTPUT, SUMMARY, MARK = blocks(TEXT, "text")
COMMAND, OPTIONS, POOL = blocks(TEXT, "sh")
TARGET = '{"blueprints": ["*"], "pool": "search_production"}'


def test_every_link_leads_somewhere() -> None:
    found = links(TEXT)
    assert found
    assert [link for link in found if not (FOLDER / link).exists()] == []


def test_the_command_is_one_that_is_known() -> None:
    _, _, _, *arguments = shlex.split(COMMAND)
    assert cli._parser().parse_args(arguments).command is cli._plan


def test_every_option_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["plan", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert set(re.findall(r"^\| `(--[a-z-]+)", TEXT, re.MULTILINE)) == known


def test_every_kind_of_change_is_told_in_its_order() -> None:
    assert [row[0].strip("`") for row in rows(TEXT, "## Changes")] == [kind.value for kind in Kind]


def test_the_output_is_what_is_shown() -> None:
    changes = (
        Change(Kind.CREATE, "cohere_embedding", "it has no model here"),
        Change(
            Kind.SWAP,
            "openai_chat",
            differences=(
                Difference("parameters.model", "gpt-4o-mini", "gpt-4.1-mini"),
                Difference("credential", "fp:K3J5mV…", "new value"),
            ),
            models=("Xy9kX5MBf8o3xmHnq1dS",),
        ),
        Change(Kind.ORPHAN, "old_chat", "no blueprint of that name lives here", (), ("Zz1",), ("Ab3",)),
    )
    plan = Plan("production", 199, changes, tuple(f"model_{index}" for index in range(197)))
    assert OUTPUT.split("\n\n", 1)[1].rstrip("\n") == text(plan)


@pytest.fixture
def dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DAG:
    """The DAG for one target, with the options that are shown."""
    (tmp_path / "production.json").write_text(TARGET)
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER", str(tmp_path))
    for name, value in re.findall(r'export (\w+)="(.*)"', OPTIONS):
        monkeypatch.setenv(name, value)
    bag = DagBag(REPOSITORY / "dags" / "opensearch_ml_reconcile.py")
    return bag.dags["opensearch_ml_reconcile"]


def test_the_tasks_are_the_dags_in_their_order(dag: DAG) -> None:
    told = [cells[0].strip("`") for cells in rows(TEXT, "## Reconcile")]
    assert told == [name.removeprefix("production.") for name in tasks_in_order(dag)]
    assert sorted(re.findall(r"\w\[(\w+)\]", blocks(TEXT, "mermaid")[0])) == sorted(told)


def test_the_parameters_are_those_of_the_form(dag: DAG) -> None:
    below = TEXT.partition("By hand, the form takes")[2]
    assert [cells[0].strip("`") for cells in rows(f"\n# form\n{below}", "# form")] == list(dag.params)


def test_the_options_are_those_that_are_read(dag: DAG) -> None:
    shown = re.findall(r'="(.*)"', OPTIONS)
    assert isinstance(dag.timetable, CronTriggerTimetable)
    assert [dag.timetable.expression, dag.params["apply"]] == shown


def test_the_pool_is_made_by_a_command_that_airflow_knows_and_is_the_targets(dag: DAG) -> None:
    _, *arguments = shlex.split(POOL)
    made = get_parser().parse_args(arguments)
    assert {task.pool for task in dag.tasks} == {made.pool}
    assert f"`pool: {made.pool}`" in TEXT


def test_the_asset_that_is_shown_is_the_models() -> None:
    shown: dict[str, list[Asset]] = {}
    exec(blocks(TEXT, "python")[0], shown)  # noqa: S102
    assert [asset.uri for asset in shown["schedule"]] == ["opensearch-ml://production/openai_embedding"]


def test_the_summary_is_what_is_written() -> None:
    results = [
        Applied("openai_chat", ("swap",), Outcome.FAILED, "the model's platform refuses the connector's credential\n…"),
        Applied("cohere_embedding", ("create",), Outcome.DONE, "model Xy9 answers", "Xy9"),
        Applied("openai_embedding", ("redeploy",), Outcome.DONE, "model Zz1 is deployed", "Zz1"),
    ]
    approved = [Approved(one.what, one.kinds, "") for one in results]
    stopped = [["broken", "typo", "its file has 2 findings\n  fix: …"]]
    made = report.rows([(approved, [one.as_dict() for one in results])], stopped)
    assert SUMMARY.strip() == f"production: {report.table(made, 196)}"


def test_the_mark_is_read_as_one() -> None:
    told = adoption.read({"description": MARK.strip()})
    assert told is not None
    assert (told.blueprint, told.known is not None) == ("openai_chat", True)
    assert adoption.described(adoption.plain(MARK), told.blueprint, told.known) == MARK.strip()
