"""What the repository itself brings: every blueprint in include/ is valid as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_ml import trusted_endpoints
from opensearch_ml.arns import DomainArn
from opensearch_ml.catalog import Catalog

INCLUDE = Path(__file__).resolve().parents[3] / "include"
CATALOG = Catalog(INCLUDE / "blueprints", INCLUDE / "targets")


def test_there_are_blueprints():
    assert CATALOG.blueprint_names()


@pytest.mark.parametrize("name", CATALOG.blueprint_names())
def test_a_blueprint_of_the_catalog_is_valid_with_its_defaults(name):
    catalog = Catalog(CATALOG.blueprints_folder, INCLUDE / "no_targets")
    domain_arn = DomainArn.parse("arn:aws:es:eu-central-1:111122223333:domain/search")
    blueprint = catalog.blueprint(name, domain_arn=domain_arn)
    assert blueprint.connector.references or "roleArn" in blueprint.connector.credential
    assert all(trusted_endpoints.covers(pattern, url) for pattern, url in blueprint.trusted)
    # A blueprint without a smoke test would be deployed unproved.
    assert blueprint.connector.is_mcp or blueprint.smoke_test


def test_every_target_is_valid():
    assert CATALOG.targets() is not None
