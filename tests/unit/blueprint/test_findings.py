from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest

from opensearch_ml.blueprint.findings import closest, located, nearest
from opensearch_ml.blueprint.target import Target
from opensearch_ml.errors import Finding, InvalidBlueprint, InvalidTarget
from tests.support.examples import CANARY, action, document, only, paths, refusal, refused


def shown(error: BaseException) -> str:
    """Everything that a log, a traceback or another process could show of an error."""
    return "\n".join(
        [
            str(error),
            repr(error),
            *traceback.format_exception(error),
            repr(pickle.dumps(error)),
            repr(error.__context__),
            repr(error.__cause__),
        ]
    )


@pytest.mark.parametrize(
    ("written", "path", "hint"),
    [
        (document(conector={}), "conector", "Did you mean connector?"),
        (document(smoke_tests={"parameters": {}, "expect": {"path": "a"}}), "smoke_tests", "Did you mean smoke_test?"),
        (document({"acions": []}), "connector.acions", "Did you mean actions?"),
        (document({"Actions": []}), "connector.Actions", "Did you mean actions?"),
        (document({"parameter": {}}), "connector.parameter", "Did you mean parameters?"),
        (
            document({"actions": [action(), action(action_type="execute", header={})]}),
            "connector.actions.1.header",
            "Did you mean headers?",
        ),
        (
            document({"client_config": {"read_timout": 1}}),
            "connector.client_config.read_timout",
            "Did you mean read_timeout?",
        ),
        (
            document({"credential": {"key": {"conn_id": "a", "feild": "b"}}}),
            "connector.credential.key.feild",
            "Did you mean field?",
        ),
        (document(model={"config": {"model_type": "bert"}}), "model.config", "Did you mean model_config?"),
        (document(model={"group": {"name": "a", "acces_mode": "private"}}), "model.group.acces_mode", "access_mode?"),
        (
            document(model={"rate_limiter": {"limit": 1, "unit": "DAYS", "units": 1}}),
            "model.rate_limiter.units",
            "unit?",
        ),
        (
            document(smoke_test={"parameters": {}, "expect": [{"path": "a"}, {"path": "b", "typ": "string"}]}),
            "smoke_test.expect.1.typ",
            "Did you mean type?",
        ),
        (document({"zzz": 1}), "connector.zzz", "Known here: access_mode, actions,"),
    ],
)
def test_an_unknown_field_is_told_with_its_path_and_the_nearest_name(
    written: dict[str, Any], path: str, hint: str
) -> None:
    finding = only(refusal(written))
    assert finding.path == path
    assert hint in finding.fix


def test_the_files_name_is_not_offered_as_a_field() -> None:
    assert "name" not in only(refused(zzzz=1)).fix
    finding = only(refused(name="other"))
    assert (finding.path, "file's own name" in finding.problem) == ("name", True)
    with pytest.raises(InvalidTarget, match="name: is the file's own name"):
        Target.parse("a", {"name": "b"}, source="a.yaml")


def test_all_findings_come_at_once_each_with_its_path() -> None:
    error = refused({"protocol": "smtp", "name": "", "actions": [{"action_type": "predict"}], "x": 1}, y=2)
    assert set(paths(error)) == {
        "connector.name",
        "connector.protocol",
        "connector.actions.0.method",
        "connector.actions.0.url",
        "connector.x",
        "y",
    }
    assert "has 6 findings; nothing was written" in str(error)


def test_a_single_finding_is_told_as_cause_evidence_and_fix() -> None:
    error = InvalidBlueprint("a.yaml", [Finding("connector.name", "is missing", "Add it.", 3)])
    assert str(error) == (
        "blueprint a.yaml has 1 finding; nothing was written\n"
        "  evidence: line 3, connector.name: is missing\n"
        "  fix: Add it."
    )


def test_several_findings_are_told_one_by_one_each_with_its_own_fix() -> None:
    error = InvalidBlueprint("a.yaml", [Finding("", "is odd", "Make it even."), Finding("x", "is y", "Write z.", 7)])
    assert str(error) == (
        "blueprint a.yaml has 2 findings; nothing was written\n"
        "1. file: is odd\n"
        "   fix: Make it even.\n"
        "2. line 7, x: is y\n"
        "   fix: Write z."
    )


def test_a_finding_has_the_line_of_its_field_or_of_the_nearest_field_around_it() -> None:
    lines = {"connector": 1, "connector.actions": 5, "connector.actions.0": 6, "connector.actions.0.url": 7}
    found = [
        Finding("connector.actions.0.headers.X-A.b", "c", "d"),
        Finding("connector.actions.0.url", "c", "d"),
        Finding("connector.name", "c", "d"),
        Finding("model.name", "c", "d"),
        Finding("", "c", "d", 9),
    ]
    assert [(one.path, one.line) for one in located(found, lines)] == [
        ("model.name", None),
        ("connector.name", 1),
        ("connector.actions.0.headers.X-A.b", 6),
        ("connector.actions.0.url", 7),
        ("", 9),
    ]


@pytest.mark.parametrize("key", ["reference", "literal", "conn_id", "field"])
def test_a_credentials_key_may_be_called_anything(key: str) -> None:
    asking = action(headers={"A": f"${{credential.{key}}}"})
    error = refused({"credential": {key: {"conn_id": "a", "variable": "b"}}, "actions": [asking]})
    assert paths(error) == [f"connector.credential.{key}"]


@pytest.mark.parametrize("written", [None, "", [], "text", 7])
def test_a_document_that_is_no_mapping_is_a_finding(written: object) -> None:
    assert only(refusal(written)).problem == "is not a mapping"


SOMEWHERE_WRONG = [
    {"connector": CANARY},
    {CANARY: 1},
    document(**{CANARY: {}}),
    document({"name": [CANARY]}),
    document({"protocol": CANARY}),
    document({"version": {"a": CANARY}}),
    document({CANARY: 1}),
    document({"credential": CANARY}),
    document({"credential": {"key": CANARY}}),
    document({"credential": {"roleArn": CANARY}}),
    document({"credential": {"region": CANARY}}),
    document({"credential": {"key": {"conn_id": "a", "field": CANARY}}}),
    document({"credential": {"key": {CANARY: None}}}),
    document({"credential": {"key": {"conn_id": "a", CANARY: None}}}),
    document({"credential": {"key": [CANARY]}}),
    document({"credential": {"key": {"conn_id": CANARY, "variable": CANARY}}}),
    document({"parameters": CANARY}),
    document({"parameters": {"model": CANARY}}),
    document({"parameters": {"nested": {"deep": [CANARY]}}}),
    document({"parameters": {"api_key": "not of a known shape"}}),
    document({"description": f"key {CANARY}"}),
    document({"access_mode": CANARY}),
    document({"client_config": {"read_timeout": CANARY}}),
    document({"client_config": {"retry_backoff_policy": CANARY}}),
    document({"actions": CANARY}),
    document({"actions": [action(method=CANARY)]}),
    document({"actions": [action(action_type=CANARY)]}),
    document({"actions": [action(url=CANARY)]}),
    document({"actions": [action(url=f"https://{CANARY}@a.com/")]}),
    document({"actions": [action(url=f"https://a.com/?api-key={CANARY}")]}, trusted_endpoints=["^https://b\\.com/x$"]),
    document({"actions": [action(headers={"X": CANARY})]}),
    document({"actions": [action(headers={"Authorization": f"Bearer {CANARY}"})]}),
    document({"actions": [action(headers={"Authorization": [CANARY]})]}),
    document({"actions": [action(request_body=f'{{"key": "{CANARY}"')]}),
    document({"actions": [action(request_body=f"${{param.x {CANARY}")]}),
    document({"actions": [action(pre_process_function=f"connector.{CANARY}")]}),
    document({"actions": [action(name=CANARY + " ")]}),
    document(model={"name": {"a": CANARY}}),
    document(model={"function_name": CANARY}),
    document(model={"rate_limiter": {"limit": CANARY, "unit": CANARY}}),
    document(model={"description": CANARY}),
    document(model={"model_config": {"additional_config": {"key": CANARY}}}),
    document(smoke_test={"parameters": {"key": CANARY}, "expect": {"path": "a", "type": CANARY}}),
    document(smoke_test={"parameters": {"key": CANARY}, "expect": {"path": "a"}}),
    document(trusted_endpoints=[CANARY]),
    document(trusted_endpoints=CANARY),
    document(variables={"key": CANARY}),
    document(inline=CANARY),
]


@pytest.mark.parametrize("written", SOMEWHERE_WRONG)
def test_no_value_of_a_refused_file_is_shown_anywhere(written: dict[str, Any]) -> None:
    error = refusal(written)
    assert CANARY not in shown(error)
    assert CANARY[12:30] not in shown(error)


@pytest.mark.parametrize(
    "written",
    [
        {"opensearch_conn_id": [CANARY]},
        {"variables": CANARY},
        {"variables": {"key": CANARY}},
        {"settings": {"only_run_on_ml_node": CANARY}},
        {"settings": {CANARY: True}},
        {"role_mapping": {"ml_full_access": {"backend_roles": CANARY}}},
        {CANARY: 1},
    ],
)
def test_no_value_of_a_refused_target_is_shown_anywhere(written: dict[str, Any]) -> None:
    with pytest.raises(InvalidTarget) as caught:
        Target.parse("a", written, source="a.yaml")
    assert CANARY not in shown(caught.value)


def test_a_refusal_survives_pickle_with_its_findings() -> None:
    error = refused({"protocol": "smtp"})
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is InvalidBlueprint
    assert (again.findings, again.source, str(again)) == (error.findings, error.source, str(error))


def test_the_nearest_name_is_found_in_any_case() -> None:
    assert closest("PROTOCOL", ["protocol", "name"]) == "protocol"
    assert closest("xyz", ["protocol", "name"]) is None
    assert nearest("xyz", ["protocol", "name"]) == "Known here: name, protocol."
