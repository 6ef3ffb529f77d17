"""What else is wrong with a malformed blueprint: it is mended by guesses, so that its other mistakes are told too.

A misspelt field becomes the one that was meant, an unknown one goes, and what is missing or of the wrong type is stood
in for. Nothing that was mended is ever sent: it has findings, or waits for a variable's value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from opensearch_ml.blueprint.findings import (
    LONGEST_NAME,
    NOT_WRITTEN,
    REFERENCE_TAG,
    allowed,
    closest,
    fields_at,
    findings_of,
)
from opensearch_ml.blueprint.placeholders import join
from opensearch_ml.errors import Finding

Part = TypeVar("Part", bound=BaseModel)

MAX_ROUNDS = 40  # each mends something in every malformed field; the deepest field needs fewer than ten
MAX_STAND_INS = 6  # at one path; then whatever is around it is stood in for
STAND_IN = "stand-in"
BY_TYPE: dict[str, Any] = {
    **dict.fromkeys(("missing", "string_type", "string_sub_type"), STAND_IN),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "float_type", "float_parsing"), 1),
    **dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"), 1),
    **dict.fromkeys(("bool_type", "bool_parsing"), False),
    "dict_type": {},
    "model_type": {},
    "list_type": [],
}


@dataclass
class Mended(Generic[Part]):
    """A document made well-formed.

    :param part: None if no guess helped.
    :param guessed: paths of what was stood in for: findings there, and findings that compare it, say nothing.
    :param renamed: paths of misspelt fields, by the path of the field that was meant.
    :param taken_out: what stood at a path before, by that path.
    :param findings: what is malformed inside a misspelt field.
    """

    part: Part | None = None
    guessed: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    taken_out: list[tuple[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def as_written(self, finding: Finding) -> Finding:
        """Return a finding with its path as the file has it."""
        for meant, written in self.renamed.items():
            if _is_below(finding.path, meant):
                return replace(finding, path=written + finding.path[len(meant) :])
        return finding

    def told(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield the findings of the mended document that are about what was written, not about a guess."""
        for finding in findings:
            guess = any(
                _is_below(finding.path, path) or finding.path == path.rpartition(".")[0] for path in self.guessed
            )
            if not guess and finding.path not in self.renamed:
                yield self.as_written(finding)


def mended(model: type[Part], document: Mapping[str, Any], error: ValidationError) -> Mended[Part]:
    """Make a document well-formed that is not.

    :param error: what pydantic says of it.
    """
    result: Mended[Part] = Mended()
    tree = _copied(document)
    tries: dict[str, int] = {}
    for number in range(MAX_ROUNDS):
        if number:
            inside = [one for one in findings_of(error, model) if any(_is_below(one.path, at) for at in result.renamed)]
            known = {one.path for one in result.findings}
            told = map(result.as_written, (one for one in inside if not _is_guess(one.path, result.guessed)))
            result.findings += [one for one in told if one.path not in known]
        for detail in error.errors(include_url=False):
            _mend(tree, detail, model, result, tries)
        try:
            result.part = model.model_validate(tree)
            return result
        except ValidationError as another:
            error = another
    return result


def _mend(
    tree: dict[str, Any], detail: Any, model: type[BaseModel], result: Mended[Any], tries: dict[str, int]
) -> None:
    location = list(detail["loc"])
    if REFERENCE_TAG in location:
        above = location[: location.index(REFERENCE_TAG)]
        _stand_in(tree, above, {"conn_id": STAND_IN}, result)
        return
    around, last = _reached(tree, location)
    path = _path(last)
    tries[path] = tries.get(path, 0) + 1
    if detail["type"] == "extra_forbidden" or location[-1] == "[key]" or detail["type"] == "invalid_key":
        if isinstance(around, dict) and last[-1] in around:
            _take_out(around, last, model, result)
    elif tries[path] > MAX_STAND_INS and len(last) > 1:
        _stand_in(tree, last[:-1], STAND_IN, result)
    elif detail["type"] == "literal_error":
        nearest = closest(str(detail["input"])[:LONGEST_NAME], allowed(detail))
        _stand_in(tree, last, nearest or allowed(detail)[0], result, guess=nearest is None)
    elif detail["type"] == "too_short" and isinstance(detail["input"], list):
        _stand_in(tree, last, [STAND_IN], result)
    elif detail["type"] in BY_TYPE and (detail["type"] == "missing" or len(last) == len(location)):
        _stand_in(tree, last, _copied(BY_TYPE[detail["type"]]), result)
    else:
        _leave_out(tree, last, result)


def _take_out(around: dict[Any, Any], last: list[Any], model: type[BaseModel], result: Mended[Any]) -> None:
    name, path = last[-1], _path(last)
    value = around.pop(name)
    known = fields_at(model, last[:-1])
    meant = closest(str(name), known) if path not in NOT_WRITTEN else None
    if meant and meant not in around:
        around[meant] = value
        result.renamed[_path([*last[:-1], meant])] = path
    else:
        result.taken_out.append((path, value))


def _stand_in(
    tree: dict[str, Any], location: list[Any], value: Any, result: Mended[Any], *, guess: bool = True
) -> None:
    around, last = _reached(tree, location)
    before = around.get(last[-1]) if isinstance(around, dict) else around[last[-1]]
    if guess:
        result.guessed.add(_path(last))
        result.taken_out.append((_path(last), before))
    around[last[-1]] = value


def _leave_out(tree: dict[str, Any], location: list[Any], result: Mended[Any]) -> None:
    around, last = _reached(tree, location)
    if isinstance(around, list):  # those behind it keep their places
        _stand_in(tree, location, STAND_IN, result)
    elif last[-1] in around:
        result.guessed.add(_path(last))
        result.taken_out.append((_path(last), around.pop(last[-1])))


def _reached(tree: dict[str, Any], location: list[Any]) -> tuple[Any, list[Any]]:
    """Return what holds the field at a location, and the field's own location, as far as the document has it."""
    around: Any = tree
    for at, part in enumerate(location[:-1]):
        try:
            inside = around[part]
        except (KeyError, IndexError, TypeError):
            return around, location[: at + 1]
        if not isinstance(inside, (dict, list)) or (isinstance(inside, list) and not isinstance(location[at + 1], int)):
            return around, location[: at + 1]
        if isinstance(inside, dict) and location[at + 1] not in inside and "[" in str(location[at + 1]):
            return around, location[: at + 1]  # pydantic names the member of a union, or says that it is the key
        around = inside
    return around, location


def _is_guess(path: str, guessed: set[str]) -> bool:
    return any(_is_below(path, one) for one in guessed)


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}.")


def _path(location: list[Any]) -> str:
    path = ""
    for part in location:
        path = join(path, part)
    return path


def _copied(tree: Any) -> Any:
    # An alias of YAML stands for one value in several places, each of which may need another guess.
    if isinstance(tree, Mapping):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list) else tree
