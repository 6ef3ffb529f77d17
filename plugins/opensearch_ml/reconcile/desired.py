"""What a target wants: its blueprints, each read and checked by itself, so that a broken file stops nobody else's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint.findings import findings_of
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog import catalog as files
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.errors import Finding, InvalidBlueprint


@dataclass(frozen=True, slots=True)
class Desired:
    """One blueprint that a target wants.

    :param blueprint: its variables filled for the target; None if there are findings.
    :param findings: everything that is wrong with its file.
    """

    name: str
    blueprint: Blueprint | None
    findings: tuple[Finding, ...] = ()


def desired(
    catalog: Catalog,
    target: Target,
    names: Iterable[str],
    *,
    domain_arn: DomainArn | None = None,
    version: tuple[int, ...] | None = None,
) -> tuple[Desired, ...]:
    """Read the blueprints of a target; about 1.5 ms of CPU for each.

    :param names: as `Catalog.fleet` returns them.
    :param domain_arn: the target's domain, which gives variables too.
    :param version: the cluster's: what it does not know is a finding.
    """
    found = files.files(catalog.blueprints_folder)
    return tuple(_read(name, found[name], catalog, target, domain_arn, version) for name in names)


def _read(
    name: str,
    paths: list[Path],
    catalog: Catalog,
    target: Target,
    domain_arn: DomainArn | None,
    version: tuple[int, ...] | None,
) -> Desired:
    if len(paths) > 1:
        names = " and ".join(path.name for path in paths)
        return Desired(name, None, tuple(findings_of("", f"both {names} have this name", "Remove or rename one.")))
    [path] = paths
    try:
        document = files.read(path, InvalidBlueprint)
    except InvalidBlueprint as unreadable:
        return Desired(name, None, unreadable.findings)
    checked = files.checked(document, path, target, catalog.targets_folder, domain_arn, version=version)
    return Desired(name, checked.blueprint, tuple(checked.findings))
