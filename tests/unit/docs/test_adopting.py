"""docs/adopting.md shows the commands, their options and their output as they are."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from opensearch_ml import cli
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.importing import from_cluster
from opensearch_ml.importing.to_blueprint import Place
from opensearch_ml.resources.inventory import Fleet
from tests.support.markdown import blocks, links
from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY / "docs"
TEXT = (FOLDER / "adopting.md").read_text()
WRITTEN, CONNECTIONS = blocks(TEXT, "text")
IMPORT, PLAN, APPLY = [shlex.split(line) for block in blocks(TEXT, "sh") for line in block.splitlines()]
MODEL = "Xy9kX5MBf8o3xmHnq1dS"
VERSION = (3, 6, 0)
HELD = Fleet(
    [
        {
            "id": "Ab3",
            "name": "Chat",
            "version": "1",
            "protocol": "http",
            "parameters": {"model": "gpt-4o-mini"},
            "actions": [
                {
                    "action_type": "PREDICT",
                    "method": "POST",
                    "url": "https://api.openai.com/v1/chat/completions",
                    "headers": {"Authorization": "Bearer ${credential.openAI_key}"},
                    "request_body": '{"model": "${parameters.model}", "messages": ${parameters.messages}}',
                }
            ],
        }
    ],
    [{"id": MODEL, "name": "Support chat", "connector_id": "Ab3", "algorithm": "REMOTE", "model_state": "DEPLOYED"}],
    VERSION,
)


def test_every_link_leads_somewhere() -> None:
    for link in links(TEXT):
        assert (FOLDER / link.partition("#")[0]).exists(), link


def test_the_commands_are_known_and_the_last_runs_a_dag_that_takes_it() -> None:
    parser = cli._parser()
    assert parser.parse_args(IMPORT[3:]).command is cli._import
    assert parser.parse_args(PLAN[3:]).command is cli._plan
    *trigger, dag_id, _, conf = APPLY
    assert trigger == ["airflow", "dags", "trigger"]
    dag = ast.parse((REPOSITORY / "dags" / f"{dag_id}.py").read_text())
    texts = {node.value for node in ast.walk(dag) if isinstance(node, ast.Constant)}
    assert json.loads(conf).keys() <= texts


def test_every_option_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["import", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--from-cluster"}
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `--"))
    assert set(re.findall(r"--[a-z-]+", table)) == known


def test_the_output_is_what_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def look(hook: OpenSearchMLHook, patterns: Sequence[str]) -> from_cluster.Others:
        return from_cluster.others(HELD, {}, Place(VERSION), patterns)

    monkeypatch.setattr(from_cluster, "look_at_others", look)
    monkeypatch.setattr(OpenSearchMLHook, "base_url", "https://search.example.com:443")
    monkeypatch.setattr(OpenSearchMLHook, "version", VERSION)
    monkeypatch.chdir(tmp_path)
    for folder in ("include/blueprints", "include/targets"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "include/targets/production.yaml").write_text("{}")
    assert cli.main([*IMPORT[3:], "--targets", "include/targets"]) == 0
    seen = capsys.readouterr()
    assert seen.out == WRITTEN
    assert CONNECTIONS in seen.err
    assert "support_chat: smoke_test is guessed" in seen.err


def test_what_is_told_is_told_so() -> None:
    source = "".join(
        (REPOSITORY / "plugins" / "opensearch_ml" / name).read_text()
        for name in (
            "importing/docs/secrets.py",
            "importing/from_cluster.py",
            "importing/smoke_test.py",
            "importing/to_blueprint.py",
            "cli/importing_cluster.py",
        )
    )
    told = re.findall(r"^\| `([^`-][^`]*)` \|", TEXT, re.MULTILINE)
    assert len(told) == 6
    for words in told:
        said = words.replace("variables.role_name", "variables.{variable}").removesuffix(" …")
        assert said in source, words
