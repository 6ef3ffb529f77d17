"""Who asks the gateway."""

from __future__ import annotations

import pytest

from tests.support.domains import Domain, Key


@pytest.fixture
def user(domain: Domain) -> Key:
    """A user's key that may send anything to the domain."""
    return domain.account.create_user("airflow", [domain.http_allowed()])
