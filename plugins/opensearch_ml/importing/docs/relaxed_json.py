"""One JSON object as documentation writes it, read from the middle of any text; nothing is ever executed.

Beyond JSON: comments, too many and too few commas, ``...`` for what is left out, Dev Tools' triple quotes (raw, as Dev
Tools takes them), single and typographic quotes, line breaks in texts, keys without quotes, and values without quotes
(``<YOUR KEY>``, ``{{key}}``, ``YOUR_KEY``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from opensearch_ml.importing.docs.unknowns import is_placeholder

MAX_DEPTH = 60
MAX_LINE = 20_000  # characters of a comment, and of a line whose quotes are not escaped

_SPACE = re.compile(r"(?:[\s\u200b\ufeff]+|//[^\n]*|#[^\n]*|\\\\[^\n]*)*")
_BETWEEN = re.compile(r",|\.{3,}|…")
_BARE_KEY = re.compile(r"[A-Za-z_$][\w$.-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?(?![\w.])")
_UNQUOTED = re.compile(r"\{\{[^{}\n]{1,100}\}\}|\$\{[^{}\n]{1,100}\}|<[^<>\n]{1,100}>")
_WORD = re.compile(r"[^\s,\[\]{}\"'\u201c\u201d:][^,\[\]{}\"'\u201c\u201d\n]*")
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_OPENING = re.compile(r"\"\"\"|[\"'\u201c\u201d\u201e\u2018\u2019`]")
_CLOSING = {
    "\u201c": '\u201d\u201c"',
    "\u201d": '\u201d"',
    "\u201e": '\u201d\u201c"',
    "\u2018": "\u2019'",
    "\u2019": "\u2019'",
}
_GOES_ON = re.compile(r"[\w$]")  # behind a closing quote there is no such thing
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""} | {
    one: one for one in "\"'\\/\u201c\u201d\u2018\u2019`"
}


class Unreadable(ValueError):  # noqa: N818 (it never leaves this package)
    """No object; `at` is how far the text was looked at, and the message says what was expected there."""

    def __init__(self, expected: str, at: int) -> None:
        super().__init__(expected)
        self.at = at


@dataclass(frozen=True, slots=True)
class Read:
    """An object of a text.

    :param end: where the text goes on.
    :param abridged: ``...`` stands for some of its fields or items.
    :param repaired: a text holds quotes that should have been escaped; it was read up to the last one of its line.
    :param repeated: keys that one object has twice; the last value is the one kept.
    """

    value: dict[str, Any]
    end: int
    abridged: bool
    repaired: bool
    repeated: tuple[str, ...]


def read(text: str, start: int) -> Read:
    """Read the object that starts at a brace.

    :raises Unreadable: there is none.
    """
    reader = _Reader(text, start)
    value = reader.object(MAX_DEPTH)
    return Read(value, reader.at, reader.abridged, reader.repaired, tuple(reader.repeated))


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self.text, self.at = text, at
        self.abridged = self.repaired = False
        self.repeated: list[str] = []

    def object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self.at += 1
        while not self._ends("}"):
            key = self._key()
            self._space()
            if not self._take(":"):
                raise Unreadable("a colon after a key", self.at)
            self._space()
            if key in members:
                self.repeated.append(key)
            members[key] = self._value(depth - 1)
        return members

    def _array(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self.at += 1
        while not self._ends("]"):
            items.append(self._value(depth - 1))
        return items

    def _ends(self, bracket: str) -> bool:
        self._space()
        while between := _BETWEEN.match(self.text, self.at):
            self.abridged = self.abridged or between[0] != ","
            self.at = between.end()
            self._space()
        return self._take(bracket)

    def _key(self) -> str:
        if opening := _OPENING.match(self.text, self.at):
            return self._string(opening)
        if bare := _BARE_KEY.match(self.text, self.at):
            self.at = bare.end()
            return bare[0]
        raise Unreadable("a key or a closing brace", self.at)

    def _value(self, depth: int) -> Any:
        if depth < 0:
            raise Unreadable(f"no more than {MAX_DEPTH} levels", self.at)
        if opening := _OPENING.match(self.text, self.at):
            return self._string(opening)
        if unquoted := _UNQUOTED.match(self.text, self.at):
            self.at = unquoted.end()
            return unquoted[0]
        here = self.text[self.at : self.at + 1]
        if here == "{":
            return self.object(depth)
        if here == "[":
            return self._array(depth)
        return self._word()

    def _word(self) -> Any:
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return self._number(number)
        word = _WORD.match(self.text, self.at)
        if not word:
            raise Unreadable("a value", self.at)
        self.at = word.end()
        told = re.split(r"\s+(?://|#|\\\\)", word[0])[0].strip()
        if told in _CONSTANTS:
            return _CONSTANTS[told]
        if is_placeholder(told):
            return told
        raise Unreadable("a value in quotes", self.at)

    def _number(self, number: re.Match[str]) -> int | float:
        if not (number[1] or number[2]) and len(number[0]) < 400:
            return int(number[0])
        value = float(number[0])
        if value in (float("inf"), float("-inf")):
            raise Unreadable("a number that a computer can hold", self.at)
        return value

    def _string(self, opening: re.Match[str]) -> str:
        quote, start = opening[0], opening.end()
        end = self._closing(quote, start)
        if quote == '"' and _GOES_ON.match(self.text, end + 1) and self.text[start : start + 1] in ("{", "["):
            end = self._last_quote_of_the_line(start, end)
        told, self.at = self.text[start:end], end + len(quote)
        if quote != '"""':
            told = _ESCAPE.sub(_unescaped, told)
        # A half of a character that JSON escapes as two cannot be written to any file.
        return told.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _last_quote_of_the_line(self, start: int, end: int) -> int:
        stop = self.text.find("\n", start, start + MAX_LINE)
        line = self.text[start : stop if stop >= 0 else start + MAX_LINE].rstrip(" \t,")
        if not line.endswith('"'):
            return end
        self.repaired = True
        return start + len(line) - 1

    def _closing(self, quote: str, start: int) -> int:
        if quote == '"""':
            end = self.text.find(quote, start)
            if end >= 0:
                return end
        else:
            closing = re.escape(_CLOSING.get(quote, quote))
            inside = re.compile(rf"[^\\{closing}]*(?:\\.[^\\{closing}]*)*", re.DOTALL)
            end = inside.match(self.text, start).end()  # type: ignore[union-attr]  # it matches the empty text too
            if end < len(self.text) and self.text[end] != "\\":
                return end
        raise Unreadable("the end of a text in quotes", len(self.text))

    def _space(self) -> None:
        self._space_alone()
        while self.text.startswith("/*", self.at):
            end = self.text.find("*/", self.at + 2, self.at + MAX_LINE)
            if end < 0:
                raise Unreadable("the end of a comment", min(self.at + MAX_LINE, len(self.text)))
            self.at = end + 2
            self._space_alone()

    def _space_alone(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches the empty text too

    def _take(self, mark: str) -> bool:
        found = self.text.startswith(mark, self.at)
        self.at += found
        return found


def _unescaped(escape: re.Match[str]) -> str:
    told = escape[1]
    if len(told) > 1:
        return chr(int(told[1:], 16))
    # "\." is no JSON, and whoever writes it means the regular expression.
    return _ESCAPED.get(told, escape[0])
