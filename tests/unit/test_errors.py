"""Errors: what they say, together and alone, here and in another process."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable

import pytest

from opensearch_ml import errors
from opensearch_ml.errors import Finding, InvalidBlueprint, OpenSearchMLError, PermissionDenied, PreflightFailed

DENIED = PermissionDenied("airflow may not pass the role", evidence="403", fix="allow it")
BLUEPRINT = InvalidBlueprint(
    "a.yaml", [Finding("connector.name", "is missing", "Add it.", line=3), Finding("model", "is odd", "Mend it.")]
)
MISSING = errors.NotFound("there is no role", evidence="GetRole -> none", fix="make it")
REPORT = PreflightFailed("embedding", [DENIED, BLUEPRINT, MISSING])
PLAIN = [
    cls
    for cls in vars(errors).values()
    if inspect.isclass(cls)
    and issubclass(cls, OpenSearchMLError)
    and {"cause", "evidence", "fix"} <= inspect.signature(cls).parameters.keys()
]


def test_a_report_tells_each_problem_in_full_and_numbers_them() -> None:
    assert str(REPORT).splitlines() == [
        "preflight of embedding found 3 problems; nothing was written",
        "1. airflow may not pass the role",
        "     evidence: 403",
        "     fix: allow it",
        "2. blueprint a.yaml has 2 findings; nothing was written",
        "   1. line 3, connector.name: is missing",
        "      fix: Add it.",
        "   2. model: is odd",
        "      fix: Mend it.",
        "3. there is no role",
        "     evidence: GetRole -> none",
        "     fix: make it",
    ]


def test_a_report_has_the_evidence_and_the_fix_of_every_problem() -> None:
    for problem in (DENIED, BLUEPRINT, MISSING):
        assert problem.evidence in REPORT.evidence
        assert problem.fix in REPORT.fix


@pytest.mark.parametrize("cross", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])  # noqa: S301
@pytest.mark.parametrize("error", [REPORT, BLUEPRINT, *[cls("a", evidence="b", fix="c") for cls in PLAIN]])
def test_an_error_is_the_same_on_the_other_side_of_a_process(
    error: OpenSearchMLError, cross: Callable[[OpenSearchMLError], OpenSearchMLError]
) -> None:
    other = cross(error)
    assert (type(other), str(other), other.args) == (type(error), str(error), error.args)
    assert (other.cause, other.evidence, other.fix) == (error.cause, error.evidence, error.fix)


def test_a_reports_problems_keep_their_classes_in_another_process() -> None:
    other = pickle.loads(pickle.dumps(REPORT))  # noqa: S301
    assert [type(problem) for problem in other.problems] == [PermissionDenied, InvalidBlueprint, errors.NotFound]
    assert other.problems[1].findings == BLUEPRINT.findings
    assert other.name == "embedding"


def test_every_class_is_in_the_tree_of_the_docstring() -> None:
    known = {cls.__name__ for cls in [*PLAIN, InvalidBlueprint, PreflightFailed]}
    assert {name for name in known if name not in (errors.__doc__ or "")} == set()
