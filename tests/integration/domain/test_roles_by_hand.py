"""A role that somebody made as AWS's documentation says is taken as it is: managed or not, nothing is written to it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.domain_world import ROLE_ARN, ROLE_NAME, SERVICE, World

# Word for word from "Amazon OpenSearch Service ML connectors for AWS services": no conditions, and every endpoint.
PERMISSIONS = {
    "Action": ["sagemaker:InvokeEndpointAsync", "sagemaker:InvokeEndpoint"],
    "Effect": "Allow",
    "Resource": "*",
}
TRUST = {"Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": [SERVICE]}}


@pytest.mark.parametrize("section", [None, {"manage": False}, {}], ids=["no section", "unmanaged", "managed"])
def test_a_role_as_the_documentation_says_is_used_as_it_is_and_called_loose(
    world: World, caplog: pytest.LogCaptureFixture, section: dict[str, Any] | None
) -> None:
    world.account.create_role(ROLE_NAME, [TRUST], [PERMISSIONS])
    del world.document["iam_role"]
    if section is not None:
        world.document["iam_role"] = section
    world.ready()
    world.account.forget_writes()
    with caplog.at_level(logging.WARNING):
        world.provision()
    assert world.account.writes() == {}
    assert (
        world.endpoints.requests()[-1].principal
        == f"{ROLE_ARN.replace(':iam:', ':sts:').replace('role/', 'assumed-role/')}/search"
    )
    assert any("every domain of every account" in record.message for record in caplog.records), caplog.text
