"""Findings from pydantic's errors: the field's path, what is wrong without the value, and the nearest name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from opensearch_ml.errors import Finding

# pydantic puts the tag of a union's member into the path; no key of a file looks like these
REFERENCE_TAG = "<reference>"
LITERAL_TAG = "<literal>"

# What the server reads in such a body, and a blueprint does not take; by its path.
NOT_WRITTEN = {
    "connector.dry_run": ("would create nothing, and the server validates nothing then either", "Remove it."),
    "connector.tenant_id": ("is replaced by the request's x-tenant-id header, whatever the body says", "Remove it."),
    "connector.connector_id": ("is for the cluster to give", "Remove it."),
    "connector.owner": ("is for the cluster to give", "Remove it."),
    "connector.access": ("is what the cluster calls access_mode in its answers", "Write access_mode."),
    "connector.created_time": ("is for the cluster to give", "Remove it."),
    "connector.last_updated_time": ("is for the cluster to give", "Remove it."),
    "model.connector": ("is the blueprint's own", "Write connector at the top of the file, and inline: true."),
    "model.connector_id": ("is the blueprint's own connector's, known once that is created", "Remove it."),
    "model.model_group_id": ("is known once the group is created", "Write group: and its name."),
    "model.version": ("is counted by the cluster", "Remove it."),
    "model.is_hidden": ("is for the cluster to give", "Remove it."),
    "model.tenant_id": ("is replaced by the request's x-tenant-id header, whatever the body says", "Remove it."),
    "model.url": ("is for models that run inside the cluster", "Write the URL in connector.actions."),
    "model.model_format": ("is for models that run inside the cluster", "Remove it."),
    "model.model_content_hash_value": ("is for models that run inside the cluster", "Remove it."),
    "model.model_node_ids": ("is for models that run inside the cluster", "Remove it."),
}
FIELD_LIKE = re.compile(r"[A-Za-z_ -]{1,30}")  # any other unknown key may be a secret that got into the wrong place
LONGEST_NAME = 100  # characters of what may be a misspelt one
QUOTED = re.compile(r"'([^']*)'")


def findings_of(error: ValidationError | str, problem: Any = None, fix: str = "") -> list[Finding]:
    """Return the findings of a pydantic error, or the one that path, problem and fix make."""
    if isinstance(error, str):
        return [Finding(error, problem, fix)]
    return [replace(_finding(detail, problem), skips_checks=True) for detail in error.errors(include_url=False)]


def located(findings: Iterable[Finding], lines: Mapping[str, int]) -> list[Finding]:
    """Return the findings with their lines, in the order of the file.

    :param lines: of every field in the file (`loader.Document.lines`); a field that is not in it, because it is
        missing or came with a variable, has the line of the nearest field around it.
    """
    found = [finding if finding.line else replace(finding, line=_line(finding.path, lines)) for finding in findings]
    return sorted(found, key=lambda finding: finding.line or 0)


def _line(path: str, lines: Mapping[str, int]) -> int | None:
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return lines.get(path)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean x?`` or the list of what is known."""
    close = closest(name, known)
    return f"Did you mean {close}?" if close else f"Known here: {', '.join(sorted(known))}."


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` is most likely a misspelling of, or None."""
    by_lower = {one.lower(): one for one in known}
    return next((by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, n=1)), None)


def _fields_at(model: type[BaseModel], location: Iterable[Any]) -> list[str]:
    """Return the names of the fields that a file may have at a place.

    :param location: keys and indexes, as pydantic gives them.
    """
    current: type[BaseModel] = model
    for part in location:
        by_name = {field.alias or name: field for name, field in current.model_fields.items()}
        if part in by_name:
            current = _model_inside(by_name[part].annotation) or current
    names = [field.alias or name for name, field in current.model_fields.items()]
    return [name for name in names if current is not model or name != "name"]  # the file gives the name


def _finding(detail: Any, model: type[BaseModel]) -> Finding:
    location = [part for part in detail["loc"] if part not in (REFERENCE_TAG, LITERAL_TAG)]
    path = ".".join(map(str, location))
    if detail["type"] == "extra_forbidden":
        return _unknown(location, model, in_reference=REFERENCE_TAG in detail["loc"])
    if detail["type"] == "missing":
        return Finding(path, "is missing", f"Add {path}.")
    allowed = QUOTED.findall(detail["ctx"]["expected"]) if detail["type"] == "literal_error" else []
    meant = closest(str(detail["input"])[:LONGEST_NAME], allowed) if allowed else None
    fix = f"Did you mean {meant}?" if meant else f"Correct {path}."
    return Finding(path, detail["msg"].removeprefix("Value error, "), fix)


def _unknown(location: list[Any], model: type[BaseModel], *, in_reference: bool) -> Finding:
    *above, name = map(str, location)
    if (path := ".".join([*above, name])) in NOT_WRITTEN:
        return Finding(path, *NOT_WRITTEN[path])
    known = _fields_at(model, location[:-1])
    hint = nearest(name, known)
    if not closest(name, known) and (in_reference or not FIELD_LIKE.fullmatch(name)):
        # In YAML {sk-…} is a mapping, and the secret its key.
        return Finding(".".join(above), "holds an unknown field, whose name is not shown: it may be a secret", hint)
    return Finding(".".join([*above, name]), "unknown field, which the server would drop silently", hint)


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_inside(arg))), None)
