"""Findings as text for people, as JSON for programs, and as annotations of a pull request on GitHub."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from opensearch_ml.base.secret_patterns import printable
from opensearch_ml.errors import Finding, skipped_checks

Found = Sequence[tuple[Path, Finding]]
WHOLE_FILE = 1  # the line of what is wrong with the file itself


def text(found: Found, files: int) -> str:
    """Return findings by file, each under ``file:line``, which editors and terminals open; then how many there are."""
    parts = []
    for file, of_file in groupby(found, key=lambda one: one[0]):
        blocks = []
        for _, finding in of_file:
            path = f"{printable(finding.path)}: " if finding.path else ""
            problem, fix = printable(finding.problem), printable(finding.fix)
            blocks.append(f"{printable(str(file))}:{finding.line or WHOLE_FILE}: {path}{problem}\n    fix: {fix}")
        parts.append("\n".join(blocks))
    return "\n\n".join([*parts, _summary(found, files)])


def as_json(found: Found, files: int) -> str:
    """Return a list of ``{file, line, path, problem, fix, skips_checks}``; a line is 1 or more, a path may be empty."""
    return json.dumps(
        [
            {
                "file": str(file),
                "line": finding.line or WHOLE_FILE,
                "path": printable(finding.path),
                "problem": printable(finding.problem),
                "fix": printable(finding.fix),
                "skips_checks": finding.skips_checks,
            }
            for file, finding in found
        ],
        indent=2,
    )


def github(found: Found, files: int) -> str:
    """Return workflow commands, which GitHub shows beside the lines that they are about.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    commands = [
        f"::error file={_property(str(file))},line={finding.line or WHOLE_FILE}"
        f",title={_property(printable(finding.path or 'blueprint'))}"
        f"::{_data(printable(f'{finding.problem}. {finding.fix}'))}"
        for file, finding in found
    ]
    return "\n".join([*commands, _summary(found, files)])


def not_judged(places: Sequence[tuple[Path, str, str]], skipped: Sequence[Path] = ()) -> str:
    """Return a line for each variable without a value, which tells what it leaves open; nothing if there is none.

    :param places: (file, path, variable).
    :param skipped: files whose further checks need these values.
    """
    lines = []
    for variable in dict.fromkeys(variable for _, _, variable in places):
        file, path, _ = next(place for place in places if place[2] == variable)
        others = sum(place[2] == variable for place in places) - 1
        more = f" and {others} more" if others else ""
        lines.append(printable(f"not judged: {path} in {file}{more}, because variables.{variable} has no value"))
    for file in dict.fromkeys(skipped):
        lines.append(printable(f"not judged: most of {file}, whose further checks need the values of its variables"))
    if lines:
        lines.append("    fix: give --target, or a default in the blueprint (a domain's own: --domain-arn)")
    return "\n".join(lines)


FORMATS: dict[str, Callable[[Found, int], str]] = {"text": text, "json": as_json, "github": github}


def _summary(found: Found, files: int) -> str:
    whole = f"{files} {'file' if files == 1 else 'files'}"
    if not found:
        return f"{whole}, no findings"
    count = f"{len(found)} {'finding' if len(found) == 1 else 'findings'}"
    skipped = skipped_checks(finding for _, finding in found)
    return f"{count} in {len({file for file, _ in found})} of {whole}{skipped}"


def _data(told: str) -> str:
    return told.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(told: str) -> str:
    return _data(told).replace(":", "%3A").replace(",", "%2C")
