"""Who may not do what, as AWS says it when it refuses."""

from __future__ import annotations

import pytest

from opensearch_ml.aws.refusals import RefusedAction, refused_action

USER = "arn:aws:iam::111122223333:user/airflow"
ROLE = "arn:aws:iam::111122223333:role/opensearch-sagemaker-role"
DOMAIN = "arn:aws:es:eu-central-1:111122223333:domain/search"
ENDPOINT = "arn:aws:sagemaker:eu-central-1:111122223333:endpoint/embed"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            f"User: {USER} is not authorized to perform: iam:GetRole on resource: role bedrock because no "
            "identity-based policy allows the iam:GetRole action",
            RefusedAction(USER, "iam:GetRole", "role bedrock", False),
        ),
        (
            f'{{"message":"User: {USER} is not authorized to perform: es:ESHttpGet on resource: {DOMAIN}"}}',
            RefusedAction(USER, "es:ESHttpGet", DOMAIN, False),
        ),
        (
            rf"{{\"message\":\"User: {USER} is not authorized to perform: es:ESHttpGet on resource: {DOMAIN}\"}}",
            RefusedAction(USER, "es:ESHttpGet", DOMAIN, False),
        ),
        (
            f"User: {USER} is not authorized to perform: bedrock:InvokeModel on resource: {ENDPOINT}/v1.0:0 with an "
            "explicit deny in a service control policy",
            RefusedAction(USER, "bedrock:InvokeModel", f"{ENDPOINT}/v1.0:0", True),
        ),
        (
            f"User: {USER} is not authorized to perform: es:ESHttpGet because no identity-based policy allows it",
            RefusedAction(USER, "es:ESHttpGet", None, False),
        ),
        (
            "User: anonymous is not authorized to perform: es:ESHttpHead",
            RefusedAction("anonymous", "es:ESHttpHead", None, False),
        ),
        (
            f"User: {USER} is not authorized to perform: iam:PassRole on resource: {ROLE}. Another sentence.",
            RefusedAction(USER, "iam:PassRole", ROLE, False),
        ),
        ("no permissions for [cluster:admin/opensearch/ml/predict]", None),
        ("", None),
    ],
)
def test_who_may_not_do_what_is_read_from_the_words(words: str, expected: RefusedAction | None) -> None:
    assert refused_action(words) == expected
