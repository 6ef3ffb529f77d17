"""Variables without a value: what they leave to be judged is judged, without a target and on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import checked, read
from opensearch_ml.errors import InvalidBlueprint
from tests.support.examples import CANARY, action, document


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.json"


def found(path: Path, written: dict[str, Any], target: Target | None = None) -> list[str]:
    path.write_text(json.dumps(written))
    return [finding.path for finding in checked(read(path, InvalidBlueprint), path, target, path.parent).findings]


def test_without_a_target_what_a_missing_value_decides_is_not_judged_and_the_rest_is(path: Path) -> None:
    written = document(
        {
            "protocol": "${variables.protocol}",
            "client_config": {"max_connection": "${variables.many}", "read_timeout": 0},
            "actions": [action(url="${variables.base}/v1", headers={"Authorization": "Bearer ${credential.key}"})],
        },
        trusted_endpoints=[r"^https://api\.example\.com/v1$"],
        smoke_test={"parameters": {}, "expect": {"path": "a", "dimension": "${variables.length}"}},
        variables={"base": "${variables.origin}"},
    )
    assert found(path, written) == ["connector.client_config.read_timeout"]


TYPED: dict[str, dict[str, Any]] = {
    "connector.client_config.read_timeout": {"client_config": {"read_timeout": "${variables.rt}"}},
    "connector.client_config.skip_ssl_verification": {"client_config": {"skip_ssl_verification": "${variables.rt}"}},
    "connector.protocol": {"protocol": "${variables.rt}"},
    "connector.parameters": {"parameters": "${variables.rt}"},
}


@pytest.mark.parametrize("field", TYPED)
def test_a_typed_field_whose_value_is_missing_hides_no_other_finding(path: Path, field: str) -> None:
    written = document({**TYPED[field], "description": f"key {CANARY}"}, smoke_test={"parameters": {}})
    assert found(path, written) == ["smoke_test.expect", "connector.description"]
    result = checked(read(path, InvalidBlueprint), path, None, path.parent)
    assert result.not_judged == ((field, "rt"),)


@pytest.mark.parametrize("field", ["skip_ssl_verification", "retry_backoff_policy"])
def test_a_missing_value_because_of_which_checks_are_skipped_is_no_finding(path: Path, field: str) -> None:
    written = document({"client_config": {field: "${variables.rt}"}})
    assert found(path, written) == []
    result = checked(read(path, InvalidBlueprint), path, None, path.parent)
    assert (result.blueprint, result.findings, result.skips_checks) == (None, [], True)
    assert result.not_judged == ((f"connector.client_config.{field}", "rt"),)


def test_a_number_whose_value_is_missing_skips_no_check(path: Path) -> None:
    written = document({"client_config": {"read_timeout": "${variables.rt}"}, "actions": [action(url="ftp://a")]})
    assert "connector.actions.0.url" in found(path, written)


def test_a_variable_that_stands_for_the_dimension_alone_hides_no_secret(path: Path) -> None:
    test = {"parameters": {"token_of_ours": CANARY}, "expect": {"path": "a", "dimension": "${variables.dimensoin}"}}
    assert found(path, document(smoke_test=test)) == ["smoke_test.parameters.token_of_ours"]


def test_a_secret_beside_a_variable_without_a_value_is_a_finding(path: Path) -> None:
    asking = action(headers={"A": "${credential.key}", "X-Trace": f"{CANARY} ${{variables.more}}"})
    assert found(path, document({"actions": [asking]})) == ["connector.actions.0.headers.X-Trace"]


def test_a_variable_without_a_value_hides_no_finding_whose_words_hold_a_part_of_what_stands_in_for_it(
    path: Path,
) -> None:
    written = document({"protocol": "aws_sigv4", "description": "${variables.partition}"})
    assert "connector.credential" in found(path, written)


def test_a_connector_that_is_a_variable_alone_is_not_said_to_be_without_findings(path: Path) -> None:
    assert found(path, {"connector": "${variables.all}"}) == ["connector"]


def test_without_a_target_patterns_are_not_held_against_a_url_that_is_stood_in_for(path: Path) -> None:
    written = document(
        {"actions": [action(url="https://${variables.account}.example.com/v1", headers={"A": "${credential.key}"})]},
        trusted_endpoints=[r"^https://mine\.example\.com/v1$"],
    )
    assert found(path, written) == []
    written["variables"] = {"account": "other"}
    assert set(found(path, written)) == {"trusted_endpoints", "trusted_endpoints.0"}


def test_without_a_target_a_region_that_is_stood_in_for_is_not_held_against_the_urls(path: Path) -> None:
    written = document(
        {
            "protocol": "aws_sigv4",
            "credential": {name: {"conn_id": "aws", "field": f"extra.{name}"} for name in ("access_key", "secret_key")},
            "parameters": {"region": "${variables.region}", "service_name": "sagemaker"},
            "actions": [action(url="https://runtime.sagemaker.eu-west-3.amazonaws.com/endpoints/e/invocations")],
        }
    )
    assert found(path, written) == []
    assert found(path, written, Target(name="t", variables={"region": "us-east-2"})) == ["connector.actions.0.url"]


def test_without_a_target_a_circle_of_variables_is_a_finding(path: Path) -> None:
    written = document({"version": "${variables.a}"}, variables={"a": "${variables.b}", "b": "${variables.a}"})
    assert found(path, written) == ["variables.a"]


def test_what_has_no_value_on_the_target_hides_no_other_finding(path: Path) -> None:
    written = document({"version": {}, "description": "${variables.none}", "client_config": {"read_timeout": 0}})
    assert sorted(found(path, written, Target(name="t"))) == [
        "connector.client_config.read_timeout",
        "connector.description",
        "connector.version",
    ]
