"""Every case in bad_blueprints/ is refused by the rule meant for it, and by no other."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from opensearch_ml.blueprint import loader
from opensearch_ml.checks import versions
from opensearch_ml.errors import Finding, InvalidBlueprint
from tests.support.bad_blueprints import CASES, GOOD, SECRETS, changed, stood_in
from tests.support.parsing import parse_blueprint


def found(case: dict[str, Any]) -> tuple[list[Finding], str]:
    """All findings, and everything that is shown of them."""
    if "version" in case:
        blueprint = parse_blueprint("probe", changed(case), source="probe.yaml")
        findings = versions.findings(blueprint, tuple(int(part) for part in case["version"].split(".")))
        return findings, str(findings)
    try:
        if "text" in case:
            read = loader.parse(stood_in(case["text"]), is_json=case.get("json", False))
            parse_blueprint("probe", read.content, source="probe.yaml", lines=read.lines)
        else:
            parse_blueprint("probe", changed(case), source="probe.yaml")
    except loader.Unreadable as unreadable:
        return [unreadable.finding], str(unreadable.finding)
    except InvalidBlueprint as invalid:
        return list(invalid.findings), str(invalid)
    return [], ""


@pytest.mark.parametrize("name", GOOD)
def test_the_good_documents_are_good(name: str) -> None:
    assert parse_blueprint(name, copy.deepcopy(GOOD[name]), source=name)


@pytest.mark.parametrize("name", CASES)
def test_a_bad_blueprint_is_refused_by_the_rule_meant_for_it(name: str) -> None:
    case = CASES[name]
    findings, shown = found(case)
    meant = [
        one for one in findings if one.path == case.get("path", "") and case["words"] in f"{one.problem} {one.fix}"
    ]
    assert len(meant) == 1, shown or "accepted"
    others = sorted({one.path for one in findings if one is not meant[0]})
    assert others == sorted(case.get("also", [])), shown
    assert case.get("line") in (None, meant[0].line)
    assert not [secret for secret in SECRETS if secret in shown]


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 150
