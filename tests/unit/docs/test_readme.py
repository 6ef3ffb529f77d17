"""The README shows only what works: its commands, its blueprint, its connections, and the words of its errors."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from airflow.sdk import Connection

from local.domain_stack import AIRFLOW_MAY
from opensearch_ml.aws.policy_evaluation import as_list
from opensearch_ml.blueprint.placeholders import fill_variables
from opensearch_ml.client.connection import address, domain_arn, signing
from opensearch_ml.iam import cli_commands, policies
from tests.support.markdown import airflow_policy, blocks, links, rows
from tests.support.parsing import parse_blueprint
from tests.support.repository import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
SOURCES = "".join(path.read_text() for path in sorted((REPOSITORY / "plugins").rglob("*.py")))
# tests/e2e/test_commands.py runs them on a copy of the repository; `make test` is how these tests were started.
RUN_FOR_REAL = {
    *("make demo", "make demo-rotate", "make demo-domain", "make up OPENSEARCH=2.19.1"),
    *("make status", "make down", "make help", "make clean", "make demo-fleet"),
    ".venv/bin/python -m local run python -m opensearch_ml plan --target local",
}


def test_every_command_is_run_by_a_test() -> None:
    shown = {line for block in blocks(README, "sh") for line in block.splitlines()}
    shown |= set(re.findall(r"`(make [^`]+)`", README))
    assert shown - {"make test", "make bench"} == RUN_FOR_REAL


def test_the_tests_of_the_commands_run_each() -> None:
    source = (REPOSITORY / "tests" / "e2e" / "test_commands.py").read_text()
    calls = re.findall(r"make\(clone, (.+?)\)", source)
    run = {" ".join(["make", *re.findall(r'"([^"]+)"', words)]) for words in calls}
    run |= set(re.findall(r'typed\(clone, "(.+)"\)', source))
    assert run >= RUN_FOR_REAL
    for name in ("fleets", "adopting"):
        shown = set(
            re.findall(r"`(\.venv/bin/python [^`]+ --[^`]+)`", (REPOSITORY / "docs" / f"{name}.md").read_text())
        )
        assert shown
        assert run >= shown


@pytest.mark.parametrize("target", ["test", "bench"])
def test_the_targets_that_cannot_run_inside_themselves_exist(target: str) -> None:
    assert subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, check=False).returncode == 0


def test_the_blueprint_is_valid() -> None:
    [text] = [block for block in blocks(README, "yaml") if "connector:" in block]
    document = yaml.safe_load(text)
    filled = fill_variables(document, document["variables"], lambda path, name: pytest.fail(f"{path}: {name}"))
    blueprint = parse_blueprint("my_embedding", filled, source="README.md")
    assert blueprint.connector.urls == ["https://api.cohere.com/v1/embed"]


def shown_connections(ca: Path) -> list[Connection]:
    """The connections in their order; the reader's own CA bundle is not here."""
    shown = [json.loads(block) for block in blocks(README, "json") if "conn_type" in block]
    ca.touch()
    return [
        Connection(
            conn_id="shown",
            extra=json.dumps(one.pop("extra", {})).replace("/etc/ssl/opensearch-ca.pem", str(ca)),
            **one,
        )
        for one in shown
    ]


def test_the_connections_are_verified_and_encrypted(tmp_path: Path) -> None:
    shown = shown_connections(tmp_path / "ca.pem")
    assert len(shown) == 3
    for connection in shown:
        arguments = address(connection, None if connection.host else "search-search-abc123.eu-west-1.es.amazonaws.com")
        assert (arguments["use_ssl"], arguments["verify_certs"]) == (True, True)


def test_only_the_domains_connection_signs_and_the_second_one_is_for_the_same_domain(tmp_path: Path) -> None:
    own, signed, master = shown_connections(tmp_path / "ca.pem")
    assert (signing(own), signing(signed), signing(master)) == (None, ("aws_default", "eu-west-1"), None)
    domain = domain_arn(signed)
    assert domain
    assert str(master.host).startswith(f"https://search-{domain.name}-")
    assert domain.region in str(master.host)


def test_the_policy_is_what_the_code_asks_for_and_what_the_demos_airflow_has() -> None:
    allowed = {action for statement in airflow_policy()["Statement"] for action in as_list(statement["Action"])}
    assert allowed == {action for statement in AIRFLOW_MAY for action in as_list(statement["Action"])}
    assert allowed >= {*cli_commands.MAKING, *cli_commands.CHECKING, *cli_commands.CHECKING_POLICIES}
    assert allowed >= {*cli_commands.DELETING, *policies.DOMAIN_ACTIONS, "iam:PassRole"}


def test_every_part_of_the_policy_is_explained() -> None:
    explained = [cells[0].strip("`") for cells in rows(README, "## On Amazon OpenSearch Service")]
    assert explained == [statement["Sid"] for statement in airflow_policy()["Statement"]]


def test_the_words_of_the_troubleshooting_table_are_the_codes_own() -> None:
    told = [cells[0].strip("`") for cells in rows(README, "## When something fails")]
    assert len(told) > 20
    assert [words for words in told if words not in SOURCES and "1 finding" not in words] == []


def test_every_link_leads_somewhere() -> None:
    assert links(README)
    assert [link for link in links(README) if not (REPOSITORY / Path(link)).exists()] == []


def test_the_tasks_in_the_picture_are_the_dags() -> None:
    source = (REPOSITORY / "dags" / "opensearch_ml_provision.py").read_text()
    drawn = re.findall(r"\w\[(\w+)\]", blocks(README, "mermaid")[0])
    assert drawn == re.findall(r'task_id="(\w+)"', source)
