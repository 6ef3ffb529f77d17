"""The files of a blueprints folder and a targets folder: which there are, and one of them, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearch_ml import documents, placeholders
from opensearch_ml.arns import DOMAIN_VARIABLES, DomainArn
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.documents import Document
from opensearch_ml.errors import Finding, InvalidBlueprint, InvalidTarget
from opensearch_ml.findings import findings_of, located, nearest
from opensearch_ml.targets import Target

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Catalog:
    """Where blueprints and targets are.

    :param blueprints_folder: one file per blueprint; its stem is the blueprint's name.
    :param targets_folder: one file per target; may be missing, then there are none.
    """

    blueprints_folder: Path
    targets_folder: Path

    def blueprint_names(self) -> list[str]:
        """Return the names of the blueprints found, sorted; reads no file."""
        return sorted(_files(self.blueprints_folder))

    def blueprint(
        self, name: str, *, opensearch_conn_id: str = "opensearch_default", domain_arn: DomainArn | None = None
    ) -> Blueprint:
        """Read one blueprint and fill its variables for the target that uses a connection.

        :param name: the file's stem.
        :param domain_arn: the connection's domain, which gives variables too (`arns.DOMAIN_VARIABLES`): they override
            the blueprint's defaults, and the target's variables override them.
        :raises InvalidBlueprint: no such file, or findings in it.
        :raises InvalidTarget: findings in a target's file.
        """
        files = _files(self.blueprints_folder)
        if name not in files:
            problem = f"no file of that name in {self.blueprints_folder}"
            raise InvalidBlueprint(name, findings_of("", problem, nearest(name, files)))
        path = _only(files[name], InvalidBlueprint)
        document = _read(path, InvalidBlueprint)
        filled = document.content
        if isinstance(filled, Mapping):
            filled = self._filled(document, self.target(opensearch_conn_id), domain_arn, path)
        return Blueprint.parse(name, filled, source=path.name, lines=document.lines)

    def target(self, opensearch_conn_id: str) -> Target:
        """Return the target that uses a connection; one without variables and settings if no file does.

        :raises InvalidTarget: findings in a target's file, or two targets for one connection.
        """
        using = [target for target in self.targets() if target.opensearch_conn_id == opensearch_conn_id]
        if len(using) > 1:
            names = " and ".join(target.name for target in using)
            raise InvalidTarget(
                names,
                findings_of(
                    "opensearch_conn_id",
                    f"both are for connection {opensearch_conn_id}",
                    "Give each target a connection of its own.",
                ),
            )
        return using[0] if using else Target(name=opensearch_conn_id, opensearch_conn_id=opensearch_conn_id)

    def targets(self) -> list[Target]:
        """Read all targets."""
        return [
            _target(stem, _only(paths, InvalidTarget)) for stem, paths in sorted(_files(self.targets_folder).items())
        ]

    def _filled(self, document: Document, target: Target, domain_arn: DomainArn | None, path: Path) -> dict[str, Any]:
        defaults = document.content.get("variables")
        variables = {
            **(defaults if isinstance(defaults, Mapping) else {}),
            **(domain_arn.variables() if domain_arn else {}),
            **target.variables,
        }
        lacking = []

        def missing(where: str, variable: str) -> None:
            problem = f"variable {variable} has no value on target {target.name}"
            file = f"{self.targets_folder.name}/{target.name}.yaml"
            fix = f"Set variables.{variable} in {file} or as a default in the blueprint."
            if variable in DOMAIN_VARIABLES:
                fix = f"Set extra domain_arn of connection {target.opensearch_conn_id}, which tells it, or {fix[4:]}"
            lacking.append(Finding(where, problem, fix))

        def cycle(where: str, names: list[str]) -> None:
            problem = f"needs its own value ({' -> '.join(names)})"
            lacking.append(Finding(where, problem, "Write one of these values itself."))

        written = {key: value for key, value in document.content.items() if key != "variables"}
        filled = placeholders.fill_variables(written, placeholders.expand(variables, written, missing, cycle), missing)
        if lacking:
            raise InvalidBlueprint(path.name, located(lacking, document.lines))
        return filled | ({"variables": defaults} if "variables" in document.content else {})


def _files(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in SUFFIXES and path.is_file() and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


def _only(paths: list[Path], error: type[InvalidBlueprint] | type[InvalidTarget]) -> Path:
    if len(paths) > 1:
        names = " and ".join(path.name for path in paths)
        raise error(paths[0].stem, findings_of("", f"both {names} have this name", "Remove or rename one."))
    return paths[0]


def _target(name: str, path: Path) -> Target:
    document = _read(path, InvalidTarget)
    return Target.parse(name, document.content, source=path.name, lines=document.lines)


def _read(path: Path, error: type[InvalidBlueprint] | type[InvalidTarget]) -> Document:
    try:
        return documents.read(path)
    except documents.Unreadable as unreadable:
        finding = unreadable.finding
    raise error(path.name, [finding])
