"""The README's commands, on a copy of the repository, as a newcomer types them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.markdown import blocks
from tests.support.repository import REPOSITORY


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of what git would clone; it borrows this repository's installation, which CI made from nothing."""
    folder = tmp_path_factory.mktemp("clone") / "repository"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    (folder / ".venv").symlink_to(REPOSITORY / ".venv")
    yield folder
    make(folder, "down")


def make(folder: Path, *words: str, timeout_s: float = 280) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=timeout_s)


def ours(folder: Path) -> list[str]:
    """Command lines of the processes that work in or for the copy."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status", "environ"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or "", str(process.info["environ"] or "")]
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in words):
            found.append(" ".join(process.info["cmdline"] or ()))
    return found


def typed(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """What a person types in the repository's folder."""
    return subprocess.run(line.split(), cwd=folder, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.timeout(1200)  # with a rotation and a swap, whose grace is as long as a call may take
def test_make_demo_shows_a_search_that_makes_sense_and_make_down_leaves_nothing_running(clone: Path) -> None:
    demo = make(clone, "demo")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "smoke_predict      success" in demo.stdout
    question, best = re.findall(r'"(cat [^"]+)"\n +[\d.]+  (.+)\n', demo.stdout)[0]
    assert best == "The kitten dozed on a sunny windowsill."
    assert not set(question.lower().split()) & set(best.lower().split())
    assert re.search(r"Airflow +http://127\.0\.0\.1:\d+  login admin, password \S+", demo.stdout)

    status = make(clone, "status")
    assert status.returncode == 0
    assert " down" not in status.stdout

    again = make(clone, "demo")
    assert again.returncode == 0, again.stdout + again.stderr
    [first], [second] = (re.findall(r"^ +model {6}(\S+)", run.stdout, re.MULTILINE) for run in (demo, again))
    assert first == second

    rotated = make(clone, "demo-rotate")
    assert rotated.returncode == 0, rotated.stdout + rotated.stderr
    assert re.search(rf"model {first} answered \d{{2,}} predicts meanwhile, 0 failed", rotated.stdout)
    keys = dict(re.findall(r"key ([0-9a-f]{12}) (before|now)", rotated.stdout))
    assert sorted(keys.values()) == ["before", "now"]
    assert "refuse the old key from now on, and the model answers" in rotated.stdout

    fleet = make(clone, "demo-fleet", timeout_s=600)
    assert fleet.returncode == 0, fleet.stdout + fleet.stderr
    converged = "No changes: 3 blueprints, all as they should be"
    assert re.findall(r"^    ((?:Plan|No changes): .+)$", fleet.stdout, re.MULTILINE) == [
        "Plan: 1 setting to change, 2 to create; 1 unchanged",
        converged,
        "Plan: 1 to redeploy, 1 to swap; 1 unchanged",
        converged,
    ]
    assert "local: 2 done; 1 unchanged" in fleet.stdout
    [shown] = [block for block in blocks((clone / "README.md").read_text(), "text") if block.startswith("Target local")]
    printed = iter(without_ids(fleet.stdout))
    assert [line for line in without_ids(shown) if line not in printed] == []  # in this order
    plan = typed(clone, ".venv/bin/python -m local run python -m opensearch_ml plan --target local")
    assert (plan.returncode, plan.stdout.splitlines()[-1]) == (0, converged)
    found = typed(clone, ".venv/bin/python -m local run python -m opensearch_ml import --from-cluster --target local")
    assert (found.returncode, found.stdout) == (1, "")
    assert "left out: cohere_rerank, openai_chat, openai_embedding: managed by opensearch_ml already" in found.stderr
    secrets = [json.loads((clone / ".local" / name).read_text()) for name in ("keys.json", "airflow/secrets.json")]
    known = [secrets[1]["password"], secrets[1]["fernet_key"], *secrets[0]["openai"], *secrets[0]["cohere"]]
    said = "".join(one.stdout + one.stderr for one in (fleet, plan, found))
    assert [one for one in known if one in said] == []

    assert make(clone, "down").returncode == 0
    assert ours(clone) == []
    status = make(clone, "status")
    assert status.returncode != 0
    assert status.stdout.count(" down") == 4


@pytest.mark.timeout(600)  # two runs of the DAG, beside whatever else this machine does
def test_make_demo_domain_shows_what_the_readme_says_and_make_down_ends_that_too(clone: Path) -> None:
    demo = make(clone, "demo-domain", timeout_s=500)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    [shown] = [block for block in blocks((clone / "README.md").read_text(), "text") if "called by" in block]
    expected = [line for line in shown.splitlines() if line.strip() != "…"]
    printed = iter(without_seconds(demo.stdout).splitlines())
    assert [line for line in expected if without_seconds(line) not in printed] == []  # in this order

    assert make(clone, "down").returncode == 0
    assert ours(clone) == []


def without_ids(text: str) -> list[str]:
    """The lines that say something, without the ids and the port of this run."""
    lines = re.sub(r"model \S{20}|:\d+,", "…", text).splitlines()
    return [line.strip() for line in lines if line.strip()]


def without_seconds(text: str) -> str:
    return re.sub(r" +[\d.]+ s$", "", text, flags=re.MULTILINE)


@pytest.mark.slow  # make test-slow
def test_make_up_starts_the_older_line_too(clone: Path) -> None:
    up = make(clone, "up", "OPENSEARCH=2.19.1")
    assert up.returncode == 0, up.stdout + up.stderr
    assert make(clone, "down").returncode == 0
    assert ours(clone) == []


def test_make_help_lists_the_targets(clone: Path) -> None:
    told = make(clone, "help").stdout
    assert {line.split()[0] for line in told.splitlines()} >= {"demo", "up", "down", "status", "test", "lint", "clean"}


def test_make_clean_removes_what_was_made(clone: Path) -> None:
    assert make(clone, "clean").returncode == 0
    assert not (clone / ".local").exists()
    assert not (clone / ".venv").exists()
    assert (REPOSITORY / ".venv").exists()  # the copy's was a link
