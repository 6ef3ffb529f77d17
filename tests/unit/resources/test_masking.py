"""A value is shown unless it is a secret, and a credential by a part of its mark."""

from __future__ import annotations

import pytest

from opensearch_ml.resources import masking
from tests.support.fleets import RIGHT

KEY = "hunter2-is-no-known-shape"


@pytest.mark.parametrize(
    ("path", "told", "seen"),
    [
        ("actions.0.headers.Authorization", "Bearer ${credential.key}", "Bearer ${credential.key}"),
        ("actions.0.headers.Authorization", "Bearer ${parameters.t}", "Bearer ${parameters.t}"),
        ("actions.0.headers.Authorization", KEY, "***"),
        ("actions.0.headers.Content-Type", "application/json", "application/json"),
        ("parameters.max_tokens", "3", "3"),
        ("parameters.api_key", KEY, "***"),
        ("url", "https://x/y?model=a&api_key=b", "https://x/y?model=a&api_key=***"),
        ("client_config.read_timeout", 30, "30"),
        ("inline", True, "true"),
        ("description", None, None),
    ],
)
def test_a_value_is_shown_unless_it_is_a_secret(path: str, told: object, seen: str | None) -> None:
    assert masking.value(path, told) == seen


@pytest.mark.parametrize(
    ("mark", "seen"),
    [
        (RIGHT, "fp:KKKKKK…"),
        ("iam_user_key:AKIAABCDEFGHIJKLMNOP", "iam_user_key:…MNOP"),
        (None, "not known"),
        ("", "not known"),
        ("claimed", "mark:…imed"),
    ],
)
def test_a_credential_is_shown_by_a_part_of_its_mark(mark: str | None, seen: str) -> None:
    assert masking.mark(mark) == seen
