"""What stands in our documentation, taken apart for its tests."""

from __future__ import annotations

import json
import re
from itertools import dropwhile, takewhile
from typing import Any

from tests.support.repository import REPOSITORY


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def links(text: str) -> list[str]:
    """Where the links go that stay in the repository, without what follows a #."""
    found = (link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http"))
    return [link for link in found if link]


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    below = dropwhile(lambda line: line[:1] != "|", text.partition(f"\n{heading}\n")[2].splitlines())
    table = list(takewhile(lambda line: line[:1] == "|", below))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[2:]]


def airflow_policy() -> dict[str, Any]:
    """The policy that README gives Airflow's AWS identity."""
    [policy] = [json.loads(block) for block in blocks((REPOSITORY / "README.md").read_text(), "json") if "Sid" in block]
    return dict(policy)
