"""The pure part of the comparison; what real servers store is in tests/integration/test_canonical_live.py."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import pytest

from opensearch_ml.base.owner import OWNER
from opensearch_ml.client.documents import ConnectorDoc
from opensearch_ml.resources import canonical
from opensearch_ml.resources.canonical import as_stored, connector_body, differences
from tests.support.examples import URL, action, parsed

CREDENTIAL = {"key": "secret-value"}


def stored(body: Mapping[str, Any]) -> ConnectorDoc:
    """A connector as a server would give it back."""
    found = {key: value for key, value in copy.deepcopy(body).items() if key != "credential"}
    found["version"] = str(found["version"])
    for one in found.get("actions", ()):
        one["action_type"] = one["action_type"].upper()
    return cast(ConnectorDoc, {**found, "created_time": 1, "last_updated_time": 2})


def test_the_body_carries_our_marks_and_the_credential_in_clear_once() -> None:
    body = connector_body(parsed({"parameters": {"n": 3}}), CREDENTIAL)
    assert body["credential"] == CREDENTIAL
    assert body["parameters"].keys() == {
        "n",
        canonical.LABEL_OWNER,
        canonical.LABEL_BLUEPRINT,
        canonical.LABEL_CREDENTIAL,
    }
    assert body["parameters"]["n"] == "3"
    assert body["parameters"][canonical.LABEL_OWNER] == OWNER
    assert body["parameters"][canonical.LABEL_BLUEPRINT] == "probe"
    assert "secret-value" not in str({**body, "credential": None})


def test_the_body_holds_nothing_that_was_not_said() -> None:
    assert connector_body(parsed(), CREDENTIAL).keys() == {
        "name",
        "version",
        "protocol",
        "actions",
        "parameters",
        "credential",
    }


def test_an_mcp_connector_has_no_actions_and_may_have_no_credential() -> None:
    mcp = parsed({"protocol": "mcp_sse", "url": URL, "actions": [], "credential": {}})
    assert connector_body(mcp, {}).keys() == {"name", "version", "protocol", "url", "parameters"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        (3, "3"),
        (1.0, "1.0"),
        (True, "true"),
        (None, "null"),
        ([1, {"a": None}], '[1,{"a":null}]'),
        ({"ü": "<&>"}, '{"ü":"<&>"}'),
    ],
)
def test_a_parameter_is_stored_as_text(value: object, text: str) -> None:
    assert as_stored(value) == text


def test_nothing_differs_right_after_creation() -> None:
    blueprint = parsed({"client_config": {"read_timeout": 5}})
    assert differences(blueprint, CREDENTIAL, stored(connector_body(blueprint, CREDENTIAL)), (3, 6, 0)) == ()


def test_another_credential_differs_and_is_told_by_that_word_alone() -> None:
    blueprint = parsed()
    found = stored(connector_body(blueprint, CREDENTIAL))
    assert differences(blueprint, {"key": "other"}, found, (3, 6, 0)) == ("credential",)
    found["parameters"][canonical.LABEL_CREDENTIAL] = "nonsense é"
    assert differences(blueprint, CREDENTIAL, found, (3, 6, 0)) == ("credential",)
    del found["parameters"]
    assert "credential" in differences(blueprint, CREDENTIAL, found, (3, 6, 0))


def test_time_outs_that_nobody_gave_have_the_versions_default() -> None:
    blueprint = parsed({"client_config": {"read_timeout": 5}})
    found = stored(connector_body(blueprint, CREDENTIAL))
    found["client_config"] |= {"connection_timeout": 30000, "max_connection": 30}
    assert differences(blueprint, CREDENTIAL, found, (2, 19, 1)) == ()
    assert differences(blueprint, CREDENTIAL, found, (3, 6, 0)) == ("client_config.connection_timeout",)


def test_paths_tell_where_and_never_what() -> None:
    blueprint = parsed({"parameters": {"a": "1"}, "actions": [action(headers={"X": "y"})]})
    found = stored(connector_body(blueprint, CREDENTIAL))
    found["actions"][0]["headers"] = {"X": "z", "W": "v"}
    found["parameters"] |= {"a": "2", "b": "3"}
    assert differences(blueprint, CREDENTIAL, found, (3, 6, 0)) == (
        "actions.0.headers.W",
        "actions.0.headers.X",
        "parameters.a",
        "parameters.b",
    )


def test_a_missing_action_is_told_as_a_whole() -> None:
    blueprint = parsed()
    found = stored(connector_body(blueprint, CREDENTIAL)) | {"actions": []}
    assert differences(blueprint, CREDENTIAL, found, (3, 6, 0)) == ("actions",)


@pytest.mark.parametrize(
    ("written", "given_back", "expected"),
    [
        ({}, {}, ()),
        ({}, {"access": "private"}, ()),
        ({}, {"access": "public"}, ("access_mode",)),
        ({}, {"access": "restricted", "backend_roles": ["a"]}, ("access_mode", "backend_roles")),
        ({"access_mode": "public"}, {"access": "public", "backend_roles": []}, ()),
        ({"access_mode": "public"}, {"access": "private"}, ("access_mode",)),
        ({"access_mode": "public"}, {}, ("access_mode",)),
        ({"backend_roles": ["a", "b"]}, {"access": "restricted", "backend_roles": ["b", "a"]}, ()),
        ({"backend_roles": ["a"]}, {"access": "restricted", "backend_roles": ["a", "b"]}, ("backend_roles",)),
        ({"add_all_backend_roles": True}, {"access": "restricted", "backend_roles": ["mine"]}, ()),
        ({"add_all_backend_roles": True}, {"access": "public"}, ("access_mode",)),
    ],
)
def test_who_may_use_it_is_compared(
    written: dict[str, Any], given_back: dict[str, Any], expected: tuple[str, ...]
) -> None:
    blueprint = parsed(written)
    body = connector_body(blueprint, CREDENTIAL)
    for field in ("access_mode", "backend_roles", "add_all_backend_roles"):
        body.pop(field, None)
    assert differences(blueprint, CREDENTIAL, stored({**body, **given_back}), (3, 6, 0)) == expected
