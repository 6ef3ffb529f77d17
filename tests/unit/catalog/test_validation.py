"""A malformed blueprint has a finding for each malformed field and each literal secret; other checks are skipped."""

from __future__ import annotations

import copy

import pytest

from opensearch_ml.blueprint import loader
from opensearch_ml.catalog.validation import examine_blueprint
from opensearch_ml.errors import InvalidBlueprint
from tests.support.bad_blueprints import CASES, GOOD, SECRETS, changed
from tests.support.examples import CANARY, action, document, only, paths, refusal, refused
from tests.support.parsing import parse_blueprint

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


def test_malformed_fields_and_secrets_of_a_file_are_reported_at_once_each_in_its_own_line() -> None:
    read = loader.parse(SIX)
    with pytest.raises(InvalidBlueprint) as caught:
        parse_blueprint("six", read.content, source="six.yaml", lines=read.lines)
    assert [(finding.path, finding.line) for finding in caught.value.findings] == [
        ("connector.protocol", 4),
        ("connector.parameters.api_key", 6),
        ("connector.client_config.read_timout", 9),
        ("connector.client_config.max_connection", 10),
        ("smoke_test.expect.type", 22),
    ]
    assert "further checks of a malformed file are skipped until it is mended" in str(caught.value)


def test_a_well_formed_blueprint_has_findings_of_all_checks_and_no_note_on_skipped_ones() -> None:
    error = refused({"parameters": {"api_key": "hunter2"}, "actions": [action(url="ftp://a")]})
    assert {"connector.parameters.api_key", "connector.actions.0.url"} <= set(paths(error))
    assert "skipped" not in str(error)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("secrets: ")])
@pytest.mark.parametrize("malformed", ["protocol", "zzz"])
def test_a_secret_beside_a_malformed_field_is_reported_and_not_shown(name: str, malformed: str) -> None:
    written = changed(CASES[name])
    written["connector"][malformed] = {}
    error = refusal(written)
    path = CASES[name]["path"]
    assert [one for one in error.findings if "secret" in one.problem and path.startswith(one.path)], error
    assert not [secret for secret in SECRETS if secret in str(error)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("connector.zzz", {"note": CANARY}),
        ("connector.zzz", {"api_key": "hunter2"}),
        ("connector.description", [CANARY]),
        ("connector.parametres", {"note": CANARY}),
        ("connector.parameter", {"api_key": "hunter2"}),
        ("connector.actions", {"predict": CANARY}),
        ("connector.credentials", {"key": "hunter2"}),
        ("credential", {"key": "hunter2"}),
        ("connector.header", {"Cookie": "hunter2"}),
        ("connector.ulr", "https://me:hunter2@example.com"),
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


def test_a_key_that_is_no_text_is_a_finding() -> None:
    assert refusal({**document(), 7: 1}).findings
    assert refused({"actions": [action(headers={7: "x"})]}).findings


def test_the_finding_names_the_file() -> None:
    assert only(refused({"protocol": "smtp"})).fix == "Correct connector.protocol."
    assert "blueprint probe.yaml has 1 finding" in str(refused({"protocol": "smtp"}))
