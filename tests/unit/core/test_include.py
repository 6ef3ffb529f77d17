"""What the repository itself brings: every blueprint in include/ is valid as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_ml import trusted_endpoints
from opensearch_ml.catalog import Catalog

INCLUDE = Path(__file__).resolve().parents[3] / "include"
CATALOG = Catalog(INCLUDE / "blueprints", INCLUDE / "targets")


def test_there_are_blueprints():
    assert CATALOG.blueprint_names()


@pytest.mark.parametrize("name", CATALOG.blueprint_names())
def test_a_blueprint_of_the_catalog_is_valid_with_its_defaults(name):
    blueprint = Catalog(CATALOG.blueprints_folder, INCLUDE / "no_targets").blueprint(name)
    assert blueprint.connector.references or blueprint.connector.credential.keys() <= {"roleArn"}
    assert all(trusted_endpoints.covers(pattern, url) for pattern, url in blueprint.trusted)
    # A blueprint without a smoke test would be deployed unproved.
    assert blueprint.connector.is_mcp or blueprint.smoke_test


def test_every_target_is_valid():
    assert CATALOG.targets() is not None
