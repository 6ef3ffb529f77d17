"""docs/fleets.md shows the command, its options, the kinds of changes and the mark as they are."""

from __future__ import annotations

import re
import shlex

import pytest

from opensearch_ml import cli
from opensearch_ml.fleet import adoption
from opensearch_ml.fleet.changes import Change, Difference, Kind, Plan
from opensearch_ml.fleet.shown import text
from tests.conftest import REPOSITORY
from tests.unit.markdown import blocks, links, rows

FOLDER = REPOSITORY / "docs"
TEXT = (FOLDER / "fleets.md").read_text()
OUTPUT, MARK = blocks(TEXT, "text")


def test_every_link_leads_somewhere() -> None:
    found = links(TEXT)
    assert found
    for link in found:
        assert (FOLDER / link.partition("#")[0]).exists(), link


def test_the_command_is_one_that_is_known() -> None:
    [command] = [line for block in blocks(TEXT, "sh") for line in block.splitlines()]
    _, _, _, *arguments = shlex.split(command)
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


def test_the_mark_is_read_as_one() -> None:
    told = adoption.read({"description": MARK.strip()})
    assert told is not None
    assert (told.blueprint, told.known is not None) == ("openai_chat", True)
    assert adoption.described(adoption.plain(MARK), told.blueprint, told.known) == MARK.strip()
