"""The README shows only what works: its commands, its blueprint, its connections, and the words of its errors."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from airflow.sdk import Connection

from opensearch_ml.blueprint import Blueprint
from opensearch_ml.connection import address
from opensearch_ml.placeholders import fill_variables
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
SOURCES = "".join(path.read_text() for path in sorted((REPOSITORY / "plugins").rglob("*.py")))
# tests/e2e/test_commands.py runs them on a copy of the repository; `make test` is how these tests were started.
RUN_FOR_REAL = {"make demo", "make status", "make down", "make up OPENSEARCH=2.19.1", "make help", "make clean"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_command_is_run_by_a_test() -> None:
    shown = {line for block in blocks("sh") for line in block.splitlines()} | set(re.findall(r"`(make [^`]+)`", README))
    assert shown - {"make test", "make bench"} == RUN_FOR_REAL


@pytest.mark.parametrize("target", ["test", "bench"])
def test_the_targets_that_cannot_run_inside_themselves_exist(target: str) -> None:
    assert subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, check=False).returncode == 0


def test_the_blueprint_is_valid() -> None:
    [text] = [block for block in blocks("yaml") if "connector:" in block]
    document = yaml.safe_load(text)
    filled = fill_variables(document, document["variables"], lambda path, name: pytest.fail(f"{path}: {name}"))
    blueprint = Blueprint.parse("cohere_embedding", filled, source="README.md")
    assert blueprint.connector.urls == ["https://api.cohere.com/v1/embed"]


def test_the_connections_are_verified_and_encrypted(tmp_path: Path) -> None:
    shown = [json.loads(block) for block in blocks("json")]
    assert len(shown) == 2
    ca = tmp_path / "ca.pem"
    ca.touch()  # the reader's own is not here
    for document in shown:
        extra = json.dumps(document.pop("extra", {})).replace("/etc/ssl/opensearch-ca.pem", str(ca))
        arguments = address(Connection(conn_id="shown", extra=extra, **document))
        assert (arguments["use_ssl"], arguments["verify_certs"]) == (True, True)


def test_the_words_of_the_troubleshooting_table_are_the_codes_own() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", README.partition("## When something fails")[2], re.MULTILINE)
    assert len(rows) > 10
    unknown = [words for words in rows if words not in SOURCES and "1 finding" not in words]
    assert unknown == []


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (REPOSITORY / Path(link)).exists()] == []


def test_the_tasks_in_the_picture_are_the_dags() -> None:
    source = (REPOSITORY / "dags" / "opensearch_ml_provision.py").read_text()
    drawn = re.findall(r"\w\[(\w+)\]", blocks("mermaid")[0])
    assert drawn == re.findall(r'task_id="(\w+)"', source)
