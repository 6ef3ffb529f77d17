"""docs/blueprints.md shows only what works: its commands, their output, the pull request's steps and the hooks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from opensearch_ml import cli
from tests.support.repository import REPOSITORY

DOCS = (REPOSITORY / "docs" / "blueprints.md").read_text()
HOOKS = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
PAGE = """Create a connector:

    POST /_plugins/_ml/connectors/_create
    {"name": "Platform", "version": 1, "protocol": "http", "credential": {"key": "YOUR_KEY"},
     "actions": [{"action_type": "predict", "method": "POST", "url": "https://api.example.com/v1",
                  "headers": {"Authorization": "Bearer ${credential.key}"}, "request_body": "{}"}]}
"""
MISTAKEN = """connector:
  name: Mine
  version: 1
  protocol: http
  credential: {key: {conn_id: mine_default}}
  client_config:
    read_timout: 30
  actions:
    - action_type: predict
      method: POST
      url: https://api.example.com/v1
      headers: {Authorization: "Bearer ${credential.key}"}
      request_body: "{}"
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]
[WORKFLOW, LOCAL_HOOK] = map(yaml.safe_load, blocks("yaml"))


class Shell(Protocol):
    """Runs lines of a shell, one after the other."""

    def __call__(self, *lines: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs a command line in a copy of the repository's files, as after ``pip install .``."""
    for folder in ("include", "plugins"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "page.md").write_text(PAGE)
    installed = tmp_path / "bin"
    installed.mkdir()
    program = installed / cli.PROGRAM
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}/plugins" exec python -m opensearch_ml "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(installed), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "PAGE_URL": (tmp_path / "page.md").as_uri(), "LANG": "C.UTF-8"}

    def run(*lines: str) -> subprocess.CompletedProcess[str]:
        script = "\n".join(["set -eo pipefail", *lines])
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_the_commands_work_one_after_the_other(shell: Shell, tmp_path: Path) -> None:
    ended = shell(*COMMANDS)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "include" / "blueprints" / "my_platform.yaml").is_file()
    assert (tmp_path / "include" / "schema" / "blueprint.schema.json").read_text() == (
        REPOSITORY / "include" / "schema" / "blueprint.schema.json"
    ).read_text()


def test_the_python_that_it_takes_is_told_before_the_first_command() -> None:
    before = DOCS[: DOCS.index("```sh")]
    assert "`. .venv/bin/activate`" in before
    assert "`pip install .`" in before
    assert re.search(r"^venv:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


def test_the_shown_output_is_the_commands_own(shell: Shell, tmp_path: Path) -> None:
    clean, found = blocks("text")
    assert shell(*COMMANDS[:2]).stdout == clean
    (tmp_path / "include" / "blueprints" / "mine.yaml").write_text(MISTAKEN)
    ended = shell("export PYTHONPATH=plugins", "python -m opensearch_ml validate include/blueprints/mine.yaml")
    assert ended.stdout == found


def test_the_options_are_explained_and_are_all_there_are() -> None:
    explained = set(re.findall(r"^\| `(--[a-z-]+)", DOCS, re.MULTILINE))
    ended = subprocess.run(
        [sys.executable, "-m", "opensearch_ml", "validate", "--help"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert explained == set(re.findall(r"^  (--[a-z-]+)", ended.stdout, re.MULTILINE)) - {"--help"}


def test_the_workflows_check_passes_on_the_catalog(shell: Shell) -> None:
    [job] = WORKFLOW["jobs"].values()
    install, check = [step["run"] for step in job["steps"] if "run" in step]
    assert install == "pip install ."
    assert shell(check).returncode == 0


def test_the_hooks_run_what_is_installed_on_the_files_that_they_name(shell: Shell) -> None:
    [ours], [local] = HOOKS, LOCAL_HOOK["repos"][0]["hooks"]
    for hook in (ours, local):
        assert re.search(hook["files"], "include/blueprints/openai_chat.yaml")
        assert re.search(hook["files"], "include/targets/production.yaml")
        assert not re.search(hook["files"], "include/schema/blueprint.schema.json")
        written = "echo 'opensearch_conn_id: production' > include/targets/production.yaml"
        ended = shell(written, f"{hook['entry']} include/blueprints/openai_chat.yaml include/targets/production.yaml")
        assert (ended.returncode, ended.stdout) == (0, "2 files, no findings\n")
    assert f"`{ours['id']}`" in DOCS
