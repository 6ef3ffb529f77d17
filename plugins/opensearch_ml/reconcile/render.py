"""A plan told: as text for a terminal and a log, as Markdown for whoever approves it, and small enough for an XCom.

Equal changes are told once, with the names that they are for, so that a plan for hundreds fits on a screen.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_ml.base import secret_patterns
from opensearch_ml.resources.changes import STOPPED, Change, Difference, Kind, Plan

SIGNS = {Kind.CREATE: "+", Kind.CLEAN: "-", Kind.ORPHAN: "-", Kind.BLOCKED: "!", Kind.BROKEN: "!"}  # others: ~
WORDS = {
    Kind.SETTINGS: ("setting to change", "settings to change"),
    Kind.ROLE: ("role to mend", "roles to mend"),
    Kind.CLEAN: ("to clean up", "to clean up"),
    Kind.ORPHAN: ("orphan", "orphans"),
    Kind.BLOCKED: ("blocked", "blocked"),
    Kind.BROKEN: ("broken", "broken"),
}
TOGETHER = 3  # so many equal changes are told as one
FIELDS = 8  # of one change
BLOCKS = 60  # of one text
XCOM_BYTES = 4_000
MARKDOWN_CHARACTERS = 8_000
MARKDOWN_WIDTH = 120  # characters of a difference
NARROWEST = 20  # characters of a value
INDENT, ARROW = " " * 6, " -> "
WHY_LINES = 4
CONTEXT = 8  # characters before the first that differs


@dataclass(frozen=True, slots=True)
class Block:
    """Equal changes."""

    first: Change
    names: tuple[str, ...]


def summary(plan: Plan) -> str:
    """Return one line: ``Plan: 1 to create, 1 to swap, 1 orphan; 197 unchanged``."""
    if plan.is_empty:
        return f"No changes: {_count(plan.wanted, 'blueprint')}, all as they should be"
    return f"Plan: {counted(plan.counts)}; {len(plan.unchanged)} unchanged"


def counted(counts: Mapping[str, int]) -> str:
    """Return counts by kind as people say them: ``1 to create, 2 orphans``."""
    words = {kind.value: told for kind, told in WORDS.items()}
    return ", ".join(
        f"{count} {words.get(kind, (f'to {kind}',) * 2)[count > 1]}" for kind, count in counts.items() if count
    )


def text(plan: Plan, *, width: int = 100, blocks: int = BLOCKS) -> str:
    """Return the whole plan for people; its last line is the summary.

    :param width: characters of a line.
    :param blocks: how many changes, or groups of equal ones, are told at most.
    """
    found = grouped(plan.changes)
    parts = ["\n".join(_lines(block, width)) for block in found[:blocks]]
    parts += [_rest(found[blocks:])] if found[blocks:] else []
    parts += [_cut(f"  ? not looked at: {_plain(one)}", width * 3) for one in plan.unseen]
    return "\n\n".join(["\n".join(parts)] * bool(parts) + [summary(plan)])


def markdown(plan: Plan, *, orphans: str = "", limit: int = MARKDOWN_CHARACTERS) -> str:
    """Return the plan for whoever approves it.

    :param orphans: what becomes of these.
    :param limit: characters, at most about.
    """
    lines = [f"**{summary(plan)}** on `{plan.target}`", ""]
    found = grouped(plan.changes)
    for index, block in enumerate(found):
        item = [f"- **{block.first.kind.value}** {_names(block, 300, code=True)}{_why(block, _escaped)}"]
        for one in block.first.differences[:FIELDS]:
            item.append(f"    - {_code(one.path)}: {_code(_sides(one, MARKDOWN_WIDTH, block))}")
        if more := len(block.first.differences) - FIELDS:
            item += [f"    - … and {more} more fields"] * (more > 0)
        item += [f"    - fix: {_escaped(block.first.fix)}"] * bool(block.first.fix)
        if sum(map(len, lines)) + sum(map(len, item)) > limit:
            lines.append(f"- {_rest(found[index:]).strip()}")
            break
        lines += item
    lines += [f"- not looked at: {_escaped(one)}" for one in plan.unseen]
    lines += ["", f"{_escaped(orphans)}."] * bool(orphans)
    return "\n".join(lines)


def as_dict(plan: Plan, *, limit: int = XCOM_BYTES) -> dict[str, Any]:
    """Return what an XCom can hold, whatever the size of the fleet: counts, and as many changes as fit.

    :param limit: bytes as JSON, at most about.
    """
    told: dict[str, Any] = {
        "target": plan.target,
        "summary": summary(plan),
        "wanted": plan.wanted,
        "unchanged": len(plan.unchanged),
        "counts": plan.counts,
        "changes": [],
    }
    size = len(json.dumps(told))
    for index, change in enumerate(plan.changes):
        paths = [one.path for one in change.differences[:FIELDS]]
        row = {"kind": change.kind.value, "what": change.what, "why": _cut(_plain(change.why), 120), "fields": paths}
        size += len(json.dumps(row)) + 2
        if size > limit:
            told["more"] = f"… and {len(plan.changes) - index} more"
            break
        told["changes"].append(row)
    return told


def whole(plan: Plan) -> dict[str, Any]:
    """Return all of it, for programs."""
    return {
        "target": plan.target,
        "summary": summary(plan),
        "wanted": plan.wanted,
        "counts": plan.counts,
        "changes": [change.as_dict() for change in plan.changes],
        "unchanged": list(plan.unchanged),
        "unseen": list(plan.unseen),
    }


def grouped(changes: Iterable[Change]) -> list[Block]:
    """Return equal changes together, if there are several; the order stays that of the first of each."""
    found: dict[Any, list[Change]] = {}
    for change in changes:
        fields = tuple((one.path, one.after, one.before) for one in change.differences if one.path != "credential")
        has_credential = len(fields) < len(change.differences)  # whose fingerprint is another one for each
        found.setdefault((change.kind, change.why, change.fix, fields, has_credential), []).append(change)
    blocks = []
    for equal in found.values():
        if len(equal) < TOGETHER:
            blocks += [Block(one, (one.what,)) for one in equal]
        else:
            blocks.append(Block(equal[0], tuple(one.what for one in equal)))
    return blocks


def _lines(block: Block, width: int) -> list[str]:
    change = block.first
    head = f"  {_sign(block)} {change.kind.value:<9} "
    head += _names(block, width - len(head))
    why = _why(block, _plain)
    if change.kind in STOPPED or len(head) + len(why) > width:
        lines = [head, *_wrapped(why.removeprefix(": "), width)]
    else:
        lines = [f"{head}{why}"]
    shown = change.differences[:FIELDS]
    column = min(max((len(one.path) for one in shown), default=0), width // 2)
    for one in shown:
        room = width - column - len(INDENT) - 2
        lines.append(f"{INDENT}{_cut(_plain(one.path), column):<{column}}  {_sides(one, room, block)}")
    if more := len(change.differences) - len(shown):
        lines.append(f"{INDENT}… and {_count(more, 'more field')}")
    return [*lines, *_wrapped(f"fix: {_plain(change.fix)}" if change.fix else "", width)]


def _wrapped(told: str, width: int) -> list[str]:
    return textwrap.wrap(
        told, width, initial_indent=INDENT, subsequent_indent=INDENT, max_lines=WHY_LINES, placeholder=" …"
    )


def _why(block: Block, told: Any) -> str:
    change = block.first
    about = []
    if len(block.names) == 1 and change.models:
        about.append(f"model{'s' * (len(change.models) > 1)} {', '.join(change.models)}")
    if len(block.names) == 1 and change.connectors and change.kind in (Kind.ORPHAN, Kind.CLEAN):
        about.append(f"connector{'s' * (len(change.connectors) > 1)} {', '.join(change.connectors)}")
    words = "; ".join(filter(None, [told(change.why), *about]))
    return f": {words}" if words else ""


def _names(block: Block, room: int, *, code: bool = False) -> str:
    mark = "`" if code else ""
    if len(block.names) == 1:
        return f"{mark}{_plain(block.names[0])}{mark}"
    told = f"{len(block.names)} models: "
    for index, name in enumerate(block.names):
        rest = f" … and {len(block.names) - index} more"
        if index and len(told) + len(name) + 2 + len(rest) > room:
            return f"{told.removesuffix(', ')}{rest}"
        told += f"{mark}{_plain(name)}{mark}, "
    return told.removesuffix(", ")


def _sides(one: Difference, room: int, block: Block) -> str:
    before, after = one.before, one.after
    if one.path == "credential" and len(block.names) > 1:
        before = "one for each"
    if before is None or after is None:
        return _cut(f"+ {_plain(after or '')}" if before is None else f"- {_plain(before)}", room)
    room = max(room - len(ARROW), 2 * NARROWEST)
    half, left, right = room // 2, len(_plain(before)), len(_plain(after))
    # What one side does not need, the other has.
    left, right = (left, room - left) if left <= half else (room - right, right) if right <= half else (half, half)
    return f"{_excerpt(before, after, left)}{ARROW}{_excerpt(after, before, right)}"


def _excerpt(told: str, other: str, room: int) -> str:
    """Return the part of a value that shows where it differs from another."""
    told, other = _plain(told), _plain(other)
    if len(told) <= room or not other:
        return _cut(told, room)
    same = next((at for at, (one, two) in enumerate(zip(told, other, strict=False)) if one != two), len(other))
    start = max(0, min(same - CONTEXT, len(told) - room + 1))
    return _cut(("…" if start else "") + told[start:], room)


def _rest(blocks: Sequence[Block]) -> str:
    counts: dict[str, int] = {}
    for block in blocks:
        counts[block.first.kind.value] = counts.get(block.first.kind.value, 0) + len(block.names)
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"  … and {sum(counts.values())} more: {told}"


def _sign(block: Block) -> str:
    return SIGNS.get(block.first.kind, "~")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _cut(told: str, room: int) -> str:
    return told if len(told) <= room else f"{told[: room - 1]}…"


def _plain(told: str) -> str:
    # What others wrote into a cluster may hold a line that a terminal, or GitHub, obeys.
    printable = "".join(one if one.isprintable() else " " for one in told)
    return secret_patterns.SHAPES.sub("***", " ".join(printable.split()))


def _escaped(told: str) -> str:
    return "".join(f"\\{one}" if one in "\\`*_{}[]<>|#" else one for one in _plain(told))


def _code(told: str) -> str:
    return f"`{_plain(told).replace('`', chr(39))}`"
