"""What a target wants is read a file at a time: a broken one is told, and stops nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.reconcile.desired import desired
from tests.support.fleets import document


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    for folder in ("blueprints", "targets"):
        (tmp_path / folder).mkdir()
    return Catalog(tmp_path / "blueprints", tmp_path / "targets")


def write(catalog: Catalog, name: str, written: Any) -> None:
    text = written if isinstance(written, str) else yaml.safe_dump(written)
    (catalog.blueprints_folder / name).write_text(text)


def test_a_broken_file_stops_nobody_else(catalog: Catalog) -> None:
    write(catalog, "good.yaml", document(connector__parameters={"model": "${variables.model}"}))
    write(catalog, "unreadable.yaml", "connector: {")
    write(catalog, "wrong.yaml", document(connector__protocol="htp"))
    write(catalog, "twice.yaml", document())
    write(catalog, "twice.yml", document())
    target = Target(name="t", variables={"model": "large"})
    found = {one.name: one for one in desired(catalog, target, catalog.blueprint_names())}
    assert found["good"].blueprint is not None
    assert found["good"].blueprint.connector.parameters == {"model": "large"}
    told = {name: one.findings[0].problem for name, one in found.items() if one.blueprint is None}
    assert told.keys() == {"unreadable", "wrong", "twice"}
    assert told["twice"] == "both twice.yaml and twice.yml have this name"


def test_what_the_clusters_version_does_not_know_is_a_finding(catalog: Catalog) -> None:
    write(catalog, "named.yaml", document(connector__actions__0__name="mine"))
    [new], [old] = (
        desired(catalog, Target(name="t"), ["named"], version=version) for version in ((3, 6, 0), (2, 19, 1))
    )
    assert (new.findings, len(old.findings)) == ((), 1)
