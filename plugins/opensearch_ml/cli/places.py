"""Which files a command is about, and what is wrong with each in the place that it is for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint.findings import located
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog import catalog
from opensearch_ml.catalog.catalog import SUFFIXES, Catalog
from opensearch_ml.errors import Finding, InvalidBlueprint, InvalidTarget

OK, FINDINGS, USAGE = 0, 1, 2
TARGETS, BLUEPRINTS = "targets", "blueprints"


class UnusableArgument(Exception):  # noqa: N818
    """An argument that names nothing to work on; the message says what to give instead."""


def files_of(arguments: Sequence[str], *, folders: bool = True) -> list[Path]:
    """Return the files that arguments name, each once; of a folder, those that a catalog takes.

    :raises UnusableArgument: there is no such file, or nothing in a folder.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir() and folders:
            inside = [file for files in catalog.files(path).values() for file in files]
            if not inside:
                raise UnusableArgument(f"there is no file in {path} that ends in {', '.join(SUFFIXES)}")
            found.update(dict.fromkeys(inside))
        elif path.is_file():
            found[path] = None
        else:
            raise UnusableArgument(f"{path} is {'a folder' if path.is_dir() else 'not there'}; give a file")
    return list(found)


@dataclass(frozen=True)
class Place:
    """Where blueprints are checked for.

    :param target_name: the target's; None judges no variable that has no value.
    :param targets_folder: None: the folder ``targets`` beside that of the blueprint.
    :param domain_arn: the domain that gives variables too.
    :param version: the cluster's; None passes over what only some versions know.
    :param needs_values: a variable without a value is a finding without a target too.
    :ivar not_judged: (file, path, variable) of what had no value when `findings` was asked.
    :ivar skipped: files whose further checks need these values.
    """

    target_name: str | None = None
    targets_folder: Path | None = None
    domain_arn: DomainArn | None = None
    version: tuple[int, ...] | None = None
    needs_values: bool = False
    not_judged: list[tuple[Path, str, str]] = field(default_factory=list, init=False)
    skipped: list[Path] = field(default_factory=list, init=False)
    _targets: dict[Path, tuple[Target | None, list[Finding]]] = field(default_factory=dict, init=False)

    def findings(self, file: Path) -> list[Finding]:
        """Return everything that is wrong with a blueprint's file, or with a target's."""
        return self._read_target(file)[1] if self.is_target(file) else self.blueprint(file)[1]

    def blueprint(self, file: Path) -> tuple[Blueprint | None, list[Finding]]:
        """Return the blueprint in a file, if it is one, and everything that is wrong with it here.

        :raises UnusableArgument: there is no target of the name.
        """
        target, findings = self.target(file), _of_name(file)
        try:
            document = catalog.read(file, InvalidBlueprint)
        except InvalidBlueprint as unreadable:
            return None, [*findings, *unreadable.findings]
        found = catalog.checked(
            document,
            file,
            target,
            self._folder(file),
            self.domain_arn,
            version=self.version,
            needs_values=self.needs_values and self.target_name is None,  # one that cannot be read has findings itself
            takes_domain_arn=True,
        )
        if target is None:
            self.not_judged.extend((file, path, variable) for path, variable in found.not_judged)
            self.skipped.extend([file] * found.skips_checks)
        return found.blueprint, [*findings, *found.findings]

    def target(self, file: Path) -> Target | None:
        """Return the target that a blueprint's file is for; None without one, or if that has findings of its own.

        :raises UnusableArgument: there is no target of the name.
        """
        target_file = self.target_file(file)
        return self._read_target(target_file)[0] if target_file else None

    def target_file(self, file: Path) -> Path | None:
        """Return the file of the target that a blueprint's file is for.

        :raises UnusableArgument: there is no target of the name.
        """
        if self.target_name is None or self.is_target(file):
            return None
        folder = self._folder(file)
        if not catalog.files(folder):
            written = f"{folder / self.target_name}.yaml"
            raise UnusableArgument(f"target {self.target_name}: there is no target in {folder} yet; write {written}")
        try:
            return Catalog(file.parent, folder).target_file(self.target_name)
        except InvalidTarget as invalid:
            raise UnusableArgument(f"target {self.target_name}: {' '.join(map(str, invalid.findings))}") from None

    def is_target(self, file: Path) -> bool:
        """Tell whether a file is a target's: all in the targets folder are, and all in any other of that name."""
        folder = file.absolute().parent
        return folder.name == TARGETS or (self.targets_folder is not None and folder == self.targets_folder.absolute())

    def _folder(self, file: Path) -> Path:
        # Relative if the file is, because findings name it.
        return self.targets_folder or Path(os.path.normpath(file.parent / ".." / TARGETS))

    def _read_target(self, file: Path) -> tuple[Target | None, list[Finding]]:
        if file not in self._targets:  # all blueprints have the same one
            self._targets[file] = _target_in(file)
        return self._targets[file]


def _target_in(file: Path) -> tuple[Target | None, list[Finding]]:
    try:
        document = catalog.read(file, InvalidTarget)
        target = Target.parse(file.stem, document.content, source=file.name, lines=document.lines)
    except InvalidTarget as invalid:
        return None, [*_of_name(file), *invalid.findings]
    beside = file.parent / ".." / BLUEPRINTS
    # Elsewhere it is not known which blueprints there are.
    found = catalog.unknown_blueprints(target, sorted(catalog.files(beside))) if beside.is_dir() else []
    return target, [*_of_name(file), *located(found, document.lines)]


def _of_name(file: Path) -> list[Finding]:
    if file.suffix not in SUFFIXES:
        return [Finding("", f"ends in none of {', '.join(SUFFIXES)}, so that nobody would find it", "Rename it.")]
    others = [file.with_suffix(suffix) for suffix in SUFFIXES if suffix != file.suffix]
    if same := [other.name for other in others if other.is_file()]:
        return [Finding("", f"has the same name as {' and '.join(same)}", "Remove or rename one of them.")]
    return []
