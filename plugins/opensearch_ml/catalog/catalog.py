"""The files of a blueprints folder and a targets folder: which there are, and one of them, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from opensearch_ml.base.arns import DOMAIN_VARIABLES, DomainArn
from opensearch_ml.blueprint import loader, placeholders
from opensearch_ml.blueprint.findings import findings_of, located, nearest
from opensearch_ml.blueprint.loader import Document
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog import stand_ins
from opensearch_ml.catalog.validation import examine_blueprint
from opensearch_ml.checks import versions
from opensearch_ml.errors import Finding, InvalidBlueprint, InvalidTarget, NoSuchBlueprint

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a blueprint's file.

    :param blueprint: None if there are findings, or if checks were skipped.
    :param not_judged: (path, variable) of what only a variable's value decides, which is not known here.
    :param skips_checks: without these values the document is malformed, so that its further checks were skipped.
    """

    blueprint: Blueprint | None
    findings: list[Finding]
    not_judged: tuple[tuple[str, str], ...] = ()
    skips_checks: bool = False


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
        return sorted(files(self.blueprints_folder))

    def blueprint(
        self, name: str, *, opensearch_conn_id: str = "opensearch_default", domain_arn: DomainArn | None = None
    ) -> Blueprint:
        """Read one blueprint and fill its variables for the target that uses a connection.

        :param name: the file's stem.
        :param domain_arn: the connection's domain, which gives variables too (`arns.DOMAIN_VARIABLES`): they override
            the blueprint's defaults, and the target's variables override them.
        :raises NoSuchBlueprint: no file of that name.
        :raises InvalidBlueprint: findings in it.
        :raises InvalidTarget: findings in a target's file.
        """
        found = files(self.blueprints_folder)
        if name not in found:
            problem = f"no file of that name in {self.blueprints_folder}"
            raise NoSuchBlueprint(name, findings_of("", problem, nearest(name, found)))
        path = _only(found[name], InvalidBlueprint)
        document = read(path, InvalidBlueprint)
        result = checked(document, path, self.target(opensearch_conn_id), self.targets_folder, domain_arn)
        if result.blueprint is None or result.findings:
            raise InvalidBlueprint(path.name, result.findings)
        return result.blueprint

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
        return [read_target(_only(paths, InvalidTarget)) for paths in files(self.targets_folder).values()]

    def fleet(self, target_name: str) -> tuple[Target, list[str]]:
        """Return the target of that name, and the names of the blueprints that live there, sorted.

        :raises InvalidTarget: no such file, findings in it, or it names no blueprint: a misspelt one would make an
            orphan of its model.
        """
        path = self.target_file(target_name)
        document = read(path, InvalidTarget)
        target = Target.parse(path.stem, document.content, source=path.name, lines=document.lines)
        names = self.blueprint_names()
        if found := unknown_blueprints(target, names) or _none_named(target, names):
            raise InvalidTarget(path.name, located(found, document.lines))
        return target, [name for name in names if any(fnmatchcase(name, one) for one in target.blueprints)]

    def pools(self) -> dict[str, str]:
        """Return the Airflow pool of each target that names blueprints, by its name; reads no blueprint.

        A target that cannot be read is among them, so that whoever reconciles it tells why.
        """
        found = {}
        for name, paths in files(self.targets_folder).items():
            try:
                target = read_target(_only(paths, InvalidTarget))
            except InvalidTarget:
                found[name] = Target.model_fields["pool"].default
            else:
                if target.blueprints:
                    found[name] = target.pool
        return found

    def target_file(self, name: str) -> Path:
        """Return the file of the target of that name.

        :raises InvalidTarget: there is none, or there are two.
        """
        found = files(self.targets_folder)
        if name not in found:
            problem = f"no file of that name in {self.targets_folder}"
            raise InvalidTarget(name, findings_of("", problem, nearest(name, found)))
        return _only(found[name], InvalidTarget)


def read(path: Path, error: type[InvalidBlueprint] | type[InvalidTarget]) -> Document:
    """Return what a file says.

    :param error: what to raise if that cannot be read.
    """
    try:
        return loader.read(path)
    except loader.Unreadable as unreadable:
        finding = unreadable.finding
    raise error(path.name, [finding])


def unknown_blueprints(target: Target, names: Sequence[str]) -> list[Finding]:
    """Return what is wrong with the blueprints that a target names.

    :param names: of all blueprints that there are.
    """
    found = []
    for index, pattern in enumerate(target.blueprints):
        if not any(fnmatchcase(name, pattern) for name in names):
            problem = "fits no blueprint" if _is_glob(pattern) else "there is no blueprint of that name"
            found += findings_of(f"blueprints.{index}", problem, nearest(pattern, names))
    named = {name for name in names if any(fnmatchcase(name, pattern) for pattern in target.blueprints)}
    for name in target.adopt:
        if name not in named:
            problem = "is adopted for a blueprint that this target does not name under blueprints"
            found += findings_of(f"adopt.{name}", problem, nearest(name, named) if named else "Name it there.")
    return found


def read_target(path: Path) -> Target:
    """Return the target in a file.

    :raises InvalidTarget: with all findings at once.
    """
    document = read(path, InvalidTarget)
    return Target.parse(path.stem, document.content, source=path.name, lines=document.lines)


def checked(
    document: Document,
    path: Path,
    target: Target | None,
    targets_folder: Path,
    domain_arn: DomainArn | None = None,
    *,
    version: versions.Version | None = None,
    needs_values: bool = False,
    takes_domain_arn: bool = False,
) -> Checked:
    """Check a blueprint's document, its variables filled for a target.

    :param path: the document's file; its stem is the blueprint's name.
    :param target: None: a variable without a value is stood in for, and what only its value decides is not judged.
    :param targets_folder: where to set what has no value, for the findings.
    :param domain_arn: the domain, whose variables override the blueprint's defaults; the target's override them.
    :param version: the cluster's; None passes over what only some versions know.
    :param needs_values: a variable without a value is a finding without a target too.
    :param takes_domain_arn: whoever asks has an option for it, which the findings may name.
    """
    if not isinstance(document.content, Mapping):
        return Checked(None, examine_blueprint(path.stem, document.content)[1])
    defaults = document.content.get("variables")
    variables = {
        **(defaults if isinstance(defaults, Mapping) else {}),
        **(domain_arn.variables() if domain_arn else {}),
        **(target.variables if target else {}),
    }
    written = {key: value for key, value in document.content.items() if key != "variables"}
    filled = _filled(written, variables)
    content = {**filled.content, "variables": defaults} if "variables" in document.content else filled.content
    blueprint, findings = examine_blueprint(path.stem, content, version)
    if filled.without_value:
        undecided = stand_ins.undecided(written, variables, filled.without_value)
        findings = [finding for finding in findings if not undecided(finding.path, finding.problem)]
    # If only stand-ins make the document malformed, the missing values are why checks were skipped.
    skips_checks = blueprint is None and not any(finding.skips_checks for finding in findings)
    of_variables = [*filled.findings]
    for where, variable in filled.missed:
        if target or needs_values:
            of_variables.append(_without_value(where, variable, target, targets_folder, takes_domain_arn))
        elif where == "connector":
            problem = f"is all that variables.{variable} is, and cannot be judged without its value"
            of_variables.append(Finding(where, problem, "Write the connector's fields, and use variables inside them."))
    findings = [replace(finding, skips_checks=skips_checks) for finding in of_variables] + findings
    return Checked(
        None if findings else blueprint, located(findings, document.lines), tuple(filled.missed), skips_checks
    )


@dataclass(frozen=True, slots=True)
class _Filled:
    """A document with its variables filled.

    :param missed: (path, variable) of each use of a variable without a value.
    :param findings: of variables that need their own value.
    :param without_value: the variables that a stand-in is used for.
    """

    content: dict[str, Any]
    missed: list[tuple[str, str]]
    findings: list[Finding]
    without_value: set[str]


def _filled(written: Mapping[str, Any], variables: Mapping[str, Any]) -> _Filled:
    """Fill the variables of a document, by stand-ins where they have no value.

    :param written: the document without its section ``variables``.
    """
    missed: dict[tuple[str, str], None] = {}
    findings: list[Finding] = []
    circular: set[str] = set()

    def missing(where: str, variable: str) -> None:
        missed.setdefault((where, variable))

    def cycle(where: str, names: list[str]) -> None:
        circular.update(names)
        problem = f"needs its own value ({' -> '.join(names)})"
        findings.append(Finding(where, problem, "Write one of these values itself."))

    content = placeholders.fill_variables(written, placeholders.expand(variables, written, missing, cycle), missing)
    without_value = {variable for _, variable in missed} | circular
    if without_value:
        content = stand_ins.filled({**written, "variables": variables})
    return _Filled(content, list(missed), findings, without_value)


def files(folder: Path) -> dict[str, list[Path]]:
    """Return a folder's files of blueprints or targets by name, of which each should have one."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in SUFFIXES and path.is_file() and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


def _is_glob(pattern: str) -> bool:
    return any(mark in pattern for mark in "*?[")


def _none_named(target: Target, names: Sequence[str]) -> list[Finding]:
    if target.blueprints:
        return []
    example = f"blueprints: [{', '.join(names[:2]) or 'openai_chat'}]"
    return findings_of("", "names no blueprints, so nothing is known to live there", f"Write `{example}`, or globs.")


def _without_value(
    where: str, variable: str, target: Target | None, targets_folder: Path, takes_domain_arn: bool
) -> Finding:
    if target is None:
        fix = f"Use --target, or give it a default: variables.{variable} in the blueprint."
        if variable in DOMAIN_VARIABLES:
            fix = f"Use --domain-arn, which tells it, or {fix[4:]}"
        return Finding(where, f"variable {variable} has no value, because no target is given", fix)
    fix = f"Set variables.{variable} in {targets_folder.name}/{target.name}.yaml or as a default in the blueprint."
    if variable in DOMAIN_VARIABLES:
        fix = f"Set extra domain_arn of connection {target.opensearch_conn_id}, which tells it, or {fix[4:]}"
        fix += " On the command line, give --domain-arn." * takes_domain_arn
    return Finding(where, f"variable {variable} has no value on target {target.name}", fix)


def _only(paths: list[Path], error: type[InvalidBlueprint] | type[InvalidTarget]) -> Path:
    if len(paths) > 1:
        names = " and ".join(path.name for path in paths)
        raise error(paths[0].stem, findings_of("", f"both {names} have this name", "Remove or rename one."))
    return paths[0]
