"""``python -m opensearch_ml plan``: its exit codes, its formats, and what it says where it cannot look."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from opensearch_ml import cli
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.errors import Unreachable
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile import planning
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.reconcile.planning import Planned
from opensearch_ml.resources.changes import Plan
from tests.support.fleets import blueprint, cluster, document, planned, stands

CHAT = blueprint()
EMPTY = planned([CHAT], cluster(*stands(CHAT)))
CREATES = planned([CHAT], cluster())
BROKEN = planned([Desired("chat", None), blueprint("other")], cluster())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, written in (("blueprints/chat", document()), ("targets/t", {"blueprints": ["chat"]})):
        path = (tmp_path / name).with_suffix(".yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(written))
    return tmp_path


class Run(Protocol):
    """Runs the command; returns its exit code, output, errors."""

    def __call__(self, told: Plan | Exception, *arguments: str) -> tuple[int, str, str]: ...


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command with a plan, or with what goes wrong in its place."""
    monkeypatch.setattr(OpenSearchMLHook, "base_url", "https://search.example.com:443")

    def call(told: Plan | Exception, *arguments: str) -> tuple[int, str, str]:
        def plan_for(
            hook: OpenSearchMLHook, catalog: Catalog, target: Target, names: list[str], **_: object
        ) -> Planned:
            assert (names, target.name) == (["chat"], "t")
            if isinstance(told, Exception):
                raise told
            return Planned(told, {}, cluster(), target)

        monkeypatch.setattr(planning, "plan_for", plan_for)
        try:
            code = cli.main(["plan", *(arguments or ("--target", "t", "--targets", str(folder / "targets")))])
        except SystemExit as ended:
            code = int(ended.code or 0)
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return call


@pytest.mark.parametrize(("told", "code"), [(EMPTY, 0), (CREATES, 2), (BROKEN, 1)])
def test_the_exit_code_tells_nothing_changes_and_error_apart(run: Run, told: Plan, code: int) -> None:
    assert run(told)[0] == code


def test_a_cluster_that_does_not_answer_is_an_error(run: Run) -> None:
    code, out, err = run(Unreachable("no answer", evidence="refused", fix="start it"))
    assert (code, out) == (1, "")
    assert "no answer\n  evidence: refused\n  fix: start it" in err


@pytest.mark.parametrize("arguments", [("--target", "x", "--what"), (), ("--target", "t", "--format", "yaml")])
def test_a_wrong_option_is_an_error_and_no_change(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(EMPTY, *(arguments or ("--format", "text")))[0] == 1


def test_an_unknown_target_is_told_with_the_nearest(run: Run, folder: Path) -> None:
    code, _, err = run(EMPTY, "--target", "tt", "--targets", str(folder / "targets"))
    assert code == 1
    assert "Did you mean t?" in err


def test_the_text_says_where_and_ends_with_the_summary(run: Run) -> None:
    lines = run(CREATES)[1].splitlines()
    assert lines[0] == "Target t (https://search.example.com:443, OpenSearch 3.6.0)"
    assert lines[-1] == "Plan: 1 to create; 0 unchanged"


def test_what_a_run_would_leave_or_not_do_at_all_is_told_below_the_plan(run: Run) -> None:
    old = [stands(blueprint(f"old_{index}")) for index in range(12)]
    connectors = [one for found, _ in old for one in found]
    models = [one for _, found in old for one in found]
    lines = run(planned([CHAT], cluster(connectors, models)))[1].splitlines()
    assert lines[-3] == "Plan: 1 to create, 12 orphans; 0 unchanged"
    assert lines[-2].startswith(
        "12 orphans stay, because only a run with parameter prune deletes them: old_0, old_1, old_10"
    )
    assert lines[-1] == (
        "With prune, 12 orphans on t would be deleted, more than the 10 that max_deletions allows: "
        "a run stops before it writes anything."
    )


def test_json_and_markdown_are_for_programs_and_for_approval(run: Run, folder: Path) -> None:
    place = ("--target", "t", "--targets", str(folder / "targets"), "--format")
    told = json.loads(run(CREATES, *place, "json")[1])
    assert told["changes"][0]["kind"] == "create"
    assert run(CREATES, *place, "markdown")[1].startswith("**Plan: 1 to create; 0 unchanged** on `t`")


def test_blueprints_may_be_elsewhere(run: Run, folder: Path) -> None:
    (folder / "blueprints").rename(folder / "models")
    place = ("--target", "t", "--targets", str(folder / "targets"))
    assert run(EMPTY, *place)[0] == 1
    assert run(EMPTY, *place, "--blueprints", str(folder / "models"))[0] == 0


def test_without_airflow_it_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensearch_ml.catalog.folders", None)
    monkeypatch.delattr("opensearch_ml.catalog.folders", raising=False)
    code, _, err = run(EMPTY)
    assert code == 1
    assert "run it with the Python that Airflow runs with" in err
