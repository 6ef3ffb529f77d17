"""What is malformed in a blueprint hides nothing else that is wrong with it, and makes no findings of its own."""

from __future__ import annotations

import copy

import pytest

from opensearch_ml.blueprint import loader
from opensearch_ml.catalog.validation import examine_blueprint, parse_blueprint
from opensearch_ml.errors import InvalidBlueprint
from tests.support.bad_blueprints import GOOD
from tests.support.examples import CANARY, action, document, refusal

SIX = """connector:
  name: Mine
  version: 1
  protocol: htp
  parameters:
    api_key: hunter2hunter2
  credential: {key: {conn_id: mine_default}}
  client_config:
    read_timout: 30
    max_connection: many
  actions:
    - action_type: predict
      method: POST
      url: https://${parameters.host}/v1
      headers: {Authorization: "Bearer ${credential.kee}"}
      request_body: '{"input": ${parameters.input}, }'
      pre_process_function: connector.pre_process.openai.embeding
smoke_test:
  parameters: {input: [a]}
  expect:
    path: inference_results
    type: aray
"""


def test_all_mistakes_of_a_file_are_told_at_once_each_in_its_own_line() -> None:
    read = loader.parse(SIX)
    with pytest.raises(InvalidBlueprint) as caught:
        parse_blueprint("six", read.content, source="six.yaml", lines=read.lines)
    assert [(one.path, one.line) for one in caught.value.findings if one.path != "smoke_test.parameters.host"] == [
        ("connector.protocol", 4),
        ("connector.parameters.api_key", 6),
        ("connector.client_config.read_timout", 9),
        ("connector.client_config.max_connection", 10),
        ("connector.actions.0.url", 14),
        ("connector.actions.0.headers.Authorization", 15),
        ("connector.actions.0.request_body", 16),
        ("connector.actions.0.pre_process_function", 17),
        ("smoke_test.expect.type", 22),
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("connector.zzz", {"note": CANARY}),
        ("connector.zzz", {"api_key": "hunter2"}),
        ("connector.description", [CANARY]),
        ("connector.parametres", {"note": CANARY}),
        ("connector.parameter", {"api_key": "hunter2"}),
        ("connector.actions", {"predict": CANARY}),
        ("modle", {"description": CANARY}),
        ("smoke_test", [CANARY]),
    ],
)
def test_a_secret_in_what_is_malformed_is_told_too(path: str, value: object) -> None:
    written = copy.deepcopy(GOOD["http"])
    *above, last = path.split(".")
    (written["connector"] if above else written)[last] = value
    error = refusal(written)
    assert [one for one in error.findings if one.path.startswith(path) and "literal secret" in one.problem], error
    assert CANARY not in str(error)


OF_NO_FIELD = [7.5, "x", None, [], {}, [[]], [7], {"zzz": 1}]
WRONG = {
    f"{kind}: {section}.{field}: {wrong!r}": (kind, section, field, wrong)
    for kind, good in GOOD.items()
    for section, fields in good.items()
    for field, value in fields.items()
    for wrong in OF_NO_FIELD
    if not isinstance(wrong, type(value))
}


@pytest.mark.parametrize("name", WRONG)
def test_a_malformed_field_leads_to_findings_about_itself_alone(name: str) -> None:
    kind, section, field, wrong = WRONG[name]
    written = copy.deepcopy(GOOD[kind])
    written[section][field] = wrong
    _, findings = examine_blueprint("probe", written)
    others = [one for one in findings if not one.path.startswith(f"{section}.{field}")]
    malformed = any("Input should" in one.problem for one in findings)
    assert not (malformed and others), findings


@pytest.mark.parametrize("kind", GOOD)
def test_a_missing_field_leads_to_no_other_finding(kind: str) -> None:
    for field in ("name", "protocol"):
        written = copy.deepcopy(GOOD[kind])
        del written["connector"][field]
        assert [one.path for one in refusal(written).findings] == [f"connector.{field}"]


@pytest.mark.parametrize("misspelt", ["requestbody", "request-body", "reqest_body"])
def test_a_misspelt_field_is_judged_as_the_one_that_was_meant(misspelt: str) -> None:
    one = action(headers={"Authorization": "Bearer ${credential.key}"})
    del one["request_body"]
    one[misspelt] = "{"
    told = refusal(document({"actions": [one]})).findings
    assert {(one.path, one.problem.split()[0]) for one in told} == {(f"connector.actions.0.{misspelt}", "unknown")}


def test_what_is_malformed_inside_a_misspelt_section_is_told_with_its_path_in_the_file() -> None:
    told = refusal(document({"clientconfig": {"read_timeout": "long", "max_connection": 0}})).findings
    assert sorted(one.path for one in told) == [
        "connector.clientconfig",
        "connector.clientconfig.max_connection",
        "connector.clientconfig.read_timeout",
    ]
