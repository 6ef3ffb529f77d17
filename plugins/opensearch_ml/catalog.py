"""The files of a blueprints folder and a targets folder: which there are, and one of them, read and checked."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from opensearch_ml import placeholders
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.errors import Finding, InvalidBlueprint, InvalidTarget
from opensearch_ml.findings import findings_of, nearest
from opensearch_ml.targets import Target

SUFFIXES = (".yaml", ".yml", ".json")  # JSON is YAML


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
        return [path.stem for path in _files(self.blueprints_folder)]

    def blueprint(self, name: str, *, opensearch_conn_id: str = "opensearch_default") -> Blueprint:
        """Read one blueprint and fill its variables for the target that uses a connection.

        :param name: the file's stem.
        :raises InvalidBlueprint: no such file, or findings in it.
        :raises InvalidTarget: findings in a target's file.
        """
        path = next((path for path in _files(self.blueprints_folder) if path.stem == name), None)
        if path is None:
            raise InvalidBlueprint(
                name,
                [
                    Finding(
                        "",
                        f"no file of that name in {self.blueprints_folder}",
                        nearest(name, self.blueprint_names()),
                    )
                ],
            )
        document = _read(path, InvalidBlueprint)
        target = self.target(opensearch_conn_id)
        defaults = document.get("variables") if isinstance(document, Mapping) else None
        variables = {**(defaults if isinstance(defaults, Mapping) else {}), **target.variables}
        lacking: list[Finding] = []
        filled = placeholders.fill_variables(
            document,
            variables,
            lambda where, variable: lacking.append(
                Finding(
                    where,
                    f"variable {variable} has no value on target {target.name}",
                    f"Set variables.{variable} in {self.targets_folder.name}/{target.name}.yaml "
                    "or as a default in the blueprint.",
                )
            ),
        )
        if lacking:
            raise InvalidBlueprint(path.name, lacking)
        return Blueprint.parse(name, filled, source=path.name)

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
            Target.parse(path.stem, _read(path, InvalidTarget), source=path.name)
            for path in _files(self.targets_folder)
        ]


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, of which plain YAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given {keys.count(key)} times", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES and not path.name.startswith("."))


def _read(path: Path, error: type[InvalidBlueprint] | type[InvalidTarget]) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        # Only the parser's own words: its snippet of the line might hold a secret.
        words = getattr(problem, "problem", None) or "not UTF-8 text"
        raise error(path.name, [Finding(where, f"is not valid YAML ({words})", "Correct the syntax.")]) from None
