"""The AWS account, started once for all tests of it and emptied after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.aws_account.process import AwsAccount, start_aws_account


@pytest.fixture(scope="session")
def aws_account() -> Iterator[AwsAccount]:
    with start_aws_account() as account:
        yield account


@pytest.fixture
def account(aws_account: AwsAccount) -> Iterator[AwsAccount]:
    yield aws_account
    aws_account.reset()
