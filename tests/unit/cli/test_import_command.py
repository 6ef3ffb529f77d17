"""``python -m opensearch_ml import --from-cluster``: what it shows, writes and tells, and what it refuses to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from opensearch_ml import cli
from opensearch_ml.errors import Unreachable
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.importing import from_cluster
from opensearch_ml.importing.to_blueprint import Place
from opensearch_ml.resources.inventory import Fleet
from tests.support.fleets import VERSION, blueprint, foreign, model, stands

ONE, TWO = blueprint("one"), blueprint("two")
OURS = blueprint("ours")
CONNECTORS, MODELS = stands(OURS)
HELD = Fleet(
    [foreign(ONE, "c1"), foreign(TWO, "c2"), *CONNECTORS],
    [model(ONE, "m1", "c1"), model(TWO, "m2", "c2"), *MODELS],
    VERSION,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("blueprints", "targets", "schema"):
        (tmp_path / name).mkdir()
    (tmp_path / "schema" / "blueprint.schema.json").write_text("{}")
    (tmp_path / "targets" / "t.yaml").write_text("opensearch_conn_id: there\nblueprints: [chat]\n")
    return tmp_path


class Run(Protocol):
    """Runs the command; returns its exit code, output, errors and the connections that it looked at."""

    def __call__(self, *arguments: str, held: Fleet | Exception = HELD) -> tuple[int, str, str, list[str]]: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on a cluster that holds two models of others, or with what goes wrong."""
    monkeypatch.setattr(OpenSearchMLHook, "base_url", "https://search.example.com:443")
    monkeypatch.setattr(OpenSearchMLHook, "version", VERSION)

    def call(*arguments: str, held: Fleet | Exception = HELD) -> tuple[int, str, str, list[str]]:
        asked: list[str] = []

        def look(hook: OpenSearchMLHook, patterns: Sequence[str]) -> from_cluster.Others:
            asked.append(hook.opensearch_conn_id)
            if isinstance(held, Exception):
                raise held
            return from_cluster.others(held, {}, Place(VERSION), patterns)

        monkeypatch.setattr(from_cluster, "look_at_others", look)
        code = cli.main(["import", *arguments])
        seen = capsys.readouterr()
        return code, seen.out, seen.err, asked

    return call


def test_blueprints_are_shown_with_the_lines_for_the_target_and_what_is_left_to_do(run: Run) -> None:
    code, out, err, asked = run("--from-cluster")
    assert (code, asked) == (0, ["opensearch_default"])
    *shown, for_target = yaml.safe_load_all(out)
    assert [one["connector"]["name"] for one in shown] == ["one", "two"]
    assert for_target == {"blueprints": ["one", "two"], "adopt": {"one": "m1", "two": "m2"}}
    assert "# Add these to the target of this cluster:" in out
    assert "  example_default, password: key of one, key of two\n" in err
    assert "taken to be the same key; where it is another, give that blueprint a connection of its own" in err
    assert err.splitlines()[-1].startswith(
        "Next: add the entries above to the target of this cluster, create the connections"
    )
    assert "left out: ours: managed by opensearch_ml already" in err


def test_files_are_written_and_none_over_another(run: Run, folder: Path) -> None:
    to = folder / "blueprints"
    code, out, _, _ = run("--from-cluster", "--to", str(to))
    assert code == 0
    assert out.startswith(f"wrote {to / 'one.yaml'}\nwrote {to / 'two.yaml'}\n---\n# Add these")
    assert (to / "one.yaml").read_text().startswith("# yaml-language-server: $schema=../schema/blueprint.schema.json\n")
    assert cli.main(["validate", str(to)]) == 0
    before = {path: path.read_text() for path in to.iterdir()}
    (to / "one.yaml").unlink()
    code, _, err, _ = run("--from-cluster", "--to", str(to))
    assert code == 2
    assert "two.yaml is there already" in err
    assert {path: path.read_text() for path in to.iterdir()} == {to / "two.yaml": before[to / "two.yaml"]}


def test_a_target_tells_the_cluster_and_its_file_is_left_as_it_was(run: Run, folder: Path) -> None:
    before = (folder / "targets" / "t.yaml").read_text()
    code, out, _, asked = run("--from-cluster", "--target", "t", "--targets", str(folder / "targets"), "--name", "m2")
    assert (code, asked) == (0, ["there"])
    assert "# Add these to targets/t.yaml:\nblueprints:\n  - two\n" in out
    assert (folder / "targets" / "t.yaml").read_text() == before


def test_names_may_be_given_again(run: Run) -> None:
    _, out, _, _ = run("--from-cluster", "--name", "one", "--name", "c2")
    assert out.startswith("# one.yaml\n")
    assert "# two.yaml\n" in out


def test_nothing_to_import_says_where_and_what_is_left_out(run: Run) -> None:
    code, out, err, _ = run("--from-cluster", held=Fleet(CONNECTORS, MODELS, VERSION))
    assert (code, out) == (1, "")
    assert "nothing to import from https://search.example.com:443, OpenSearch 3.6.0" in err
    code, _, err, _ = run("--from-cluster", "--name", "three")
    assert code == 1
    assert "left out: --name three: nothing that others made on this cluster has this name or id" in err


def test_what_others_wrote_neither_steers_a_terminal_nor_gives_a_secret_away(run: Run) -> None:
    secret = "sk-canary-Lm3nTq8Vx1Zr5Yk7-only-in-tests"
    lost = model(ONE, "lost", "gone", name=f"\x1b[31m {secret}", description=secret)
    _, out, err, _ = run("--from-cluster", held=Fleet(HELD.connectors, [*HELD.models, lost], VERSION))
    assert "left out: model lost (?[31m ***" in err
    kept = model(ONE, "kept", "c1", name=f"\x1b[31m {secret}", description=f"\x07{secret}")
    _, out, err, _ = run("--from-cluster", held=Fleet(HELD.connectors, [kept], VERSION))
    assert "REMOVED" in out
    assert not {"\x1b", "\x07", secret} & {*out, *err, *(one for one in (secret,) if one in out + err)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "import needs a FILE, or --from-cluster"),
        (["page.md", "--target", "t"], "import needs a FILE, or --from-cluster"),
        (["page.md", "--from-cluster"], "--from-cluster takes the place of FILE"),
        (["--from-cluster", "--target", "t", "--conn-id", "c"], "--target that of --conn-id"),
        (["page.md", "--name", "a", "--name", "b"], "--name is given twice"),
        (["--from-cluster", "--to", "nowhere"], "there is no folder nowhere"),
        (["--from-cluster", "--target", "nowhere", "--targets", "."], "no file of that name in ."),
    ],
)
def test_what_cannot_be_done_is_told_and_no_cluster_is_asked(run: Run, arguments: list[str], told: str) -> None:
    code, out, err, asked = run(*arguments)
    assert (code, out, asked) == (2, "", [])
    assert told in err


def test_a_cluster_that_does_not_answer_is_told(run: Run) -> None:
    code, out, err, _ = run("--from-cluster", held=Unreachable("no answer", evidence="refused", fix="start it"))
    assert (code, out) == (2, "")
    assert "no answer\n  evidence: refused\n  fix: start it" in err


def test_without_airflow_it_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensearch_ml.catalog.folders", None)
    monkeypatch.delattr("opensearch_ml.catalog.folders", raising=False)
    code, _, err, _ = run("--from-cluster")
    assert code == 2
    assert "run it with the Python that Airflow runs with" in err
