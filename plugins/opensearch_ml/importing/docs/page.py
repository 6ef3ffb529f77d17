"""A page of documentation: the requests that it shows, each with its body and the answer that follows it.

A page may be Markdown (fenced, indented or bare blocks), HTML, a notebook, a script with curl or Python, or one body.
Whatever its form, an object of JSON belongs to the nearest request line above it.
"""

from __future__ import annotations

import html
import io
import json
import re
import shlex
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import islice
from typing import Literal

from opensearch_ml.importing.docs import relaxed_json

Kind = Literal["connector", "register", "group", "predict", "settings", "other", "none"]

WORK = (
    4,
    200_000,
)  # characters of unfinished objects, per character of the page and at least: each brace may start one
CURL_LENGTH = 200_000
CURL_WORDS = 60
CURLS_LENGTH = 1_000_000  # of all commands together
MAX_REQUESTS = 10_000

_PATH = re.compile(
    r"_(?:plugins|opendistro)/_ml(?P<path>/(?:<[^<>\n]{1,60}>|[^\s\"'`|)])*)|(?P<settings>_cluster/settings)"
)
_METHOD = re.compile(r"\b(GET|POST|PUT|DELETE|HEAD)\b")
_HEADING = re.compile(r"^(?:#{1,6}[ \t]+(?P<text>[^\n]+)|title:[ \t]*(?P<title>[^\n]+))$", re.MULTILINE)
_CURL = re.compile(r"^[ \t$>]*curl\b", re.MULTILINE)
_CURL_DATA = re.compile(r"\n*(?:-d|--data(?:-raw|-binary|-ascii)?=?|--json=?)(?P<value>.*)", re.DOTALL)
_BODY = re.compile(r"\{\s*(?:[\"'\u201c]|\n|$)")  # and no tag of a template, nor a piece of a script
_PYTHON = re.compile(r"[\w\])]\s*[=(]\s*\Z")
# Not within a line of JSON, whose texts may hold anything.
_HTML = re.compile(r"(?:^|>)[ \t]*<(?:pre|html|body|!doctype)\b", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class Request:
    """One request that a page shows, or an object without any.

    :param line: of the body, counted from 1.
    :param heading: the nearest above it.
    :param path: below ``_plugins/_ml``.
    :param answer: the next object with inference results, before the next request.
    """

    kind: Kind
    path: str
    line: int
    heading: str
    body: relaxed_json.Read
    answer: relaxed_json.Read | None = None


@dataclass(slots=True)
class Page:
    """What a page shows.

    :param unread: places with a request to create a connector or model whose body cannot be read, in plain words.
    """

    title: str = ""
    requests: list[Request] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Mention:
    kind: Kind
    path: str
    start: int
    sent: bool  # else it is only talked of
    used: bool = False


def read(text: str) -> Page:
    """Read a page, whatever its form; what is no request and no body is passed over."""
    text = _plain(text)
    headings = [(found.start(), (found["text"] or found["title"]).strip()) for found in _HEADING.finditer(text)]
    page = Page(title=next((told for _, told in headings), ""))
    mentions = list(_mentions(text))
    mentioned, lines = [one.start for one in mentions], [at for at, one in enumerate(text) if one == "\n"]
    for start, body in islice(_objects(text), MAX_REQUESTS):
        nearest = bisect(mentioned, start)
        mention = mentions[nearest - 1] if nearest else None
        if isinstance(body, relaxed_json.Unreadable):
            if mention and mention.sent and not mention.used and mention.kind in ("connector", "register"):
                mention.used = True
                told = "its end" if body.at >= len(text) else f"{body} in line {bisect(lines, body.at) + 1}"
                page.unread.append(
                    f"The request body in line {bisect(lines, start) + 1} cannot be read: expected {told}."
                )
            continue
        if "inference_results" in body.value:
            if page.requests and page.requests[-1].kind == "predict" and page.requests[-1].answer is None:
                page.requests[-1].answer = body
            continue
        kind: Kind = mention.kind if mention else "none"
        if mention and mention.used:
            kind = "none" if mention.kind in ("connector", "register") else "other"
        if mention:
            mention.used = True
        above = bisect(headings, (start, ""))
        heading = headings[above - 1][1] if above else ""
        page.requests.append(Request(kind, mention.path if mention else "", bisect(lines, start) + 1, heading, body))
    return page


def _objects(text: str) -> Iterator[tuple[int, relaxed_json.Read | relaxed_json.Unreadable]]:
    at, work = 0, len(text) * WORK[0] + WORK[1]
    while work > 0 and (start := text.find("{", at)) >= 0:
        try:
            body = relaxed_json.read(text, start, python=_PYTHON.search(text, max(0, start - 80), start) is not None)
        except relaxed_json.Unreadable as why:
            if _BODY.match(text, start):
                yield start, why
            work -= why.at - start
            at = start + 1
        else:
            yield start, body
            at = body.end


def _mentions(text: str) -> Iterator[_Mention]:
    for found in _PATH.finditer(text):
        before = text[max(text.rfind("\n", 0, found.start()) + 1, found.start() - 300) : found.start()]
        methods = _METHOD.findall(before)
        sent = bool(methods) or "=" in before
        yield _Mention(_kind(methods[-1] if methods else "", found), found["path"] or "", found.start(), sent)


def _kind(method: str, found: re.Match[str]) -> Kind:
    if found["settings"]:
        return "settings"
    path = found["path"].partition("?")[0].rstrip("/.,;:")
    if method in ("", "POST"):
        if path == "/connectors/_create":
            return "connector"
        if path == "/models/_register":
            return "register"
        if path == "/model_groups/_register":
            return "group"
        if re.fullmatch(r"/models/.+/_predict|/_predict/remote/.+", path):
            return "predict"
    return "other"


def _plain(text: str) -> str:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\u00a0", " ")
    text = _of_notebook(text)
    if _HTML.search(text) and "```" not in text:
        parser = _Text()
        parser.feed(text)
        parser.close()
        text = "".join(parser.told)
    elif re.search(r"[{,:]\s*&(?:quot|#34|#x22|ldquo|#39);", text):
        text = html.unescape(text)
    text = re.sub(r"^(?:> ?)+", "", text, flags=re.MULTILINE)
    return _curls_unquoted(text)


class _Text(HTMLParser):
    """The text of HTML; what highlights syntax is only tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.told: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("p", "pre", "br", "div", "li", "tr"):
            self.told.append("\n")
        elif re.fullmatch(r"h[1-6]", tag):
            self.told.append("\n# ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "pre", "div") or re.fullmatch(r"h[1-6]", tag):
            self.told.append("\n")

    def handle_data(self, data: str) -> None:
        self.told.append(data)


def _of_notebook(text: str) -> str:
    if '"nbformat"' not in text:
        return text
    try:
        cells = json.loads(text)["cells"]
        return "\n\n".join("".join(cell["source"]) for cell in cells)
    except (ValueError, KeyError, TypeError, RecursionError):
        return text


def _curls_unquoted(text: str) -> str:
    # The shell's quotes are around the body, and in it; what the shell would pass to curl is what counts.
    parts, at, left = [], 0, CURLS_LENGTH
    for found in _CURL.finditer(text):
        if found.start() < at or left <= 0:
            continue
        command = text[found.start() : found.start() + CURL_LENGTH]
        told, read_to = _curl(command)
        left -= read_to
        if told:
            length, request = told
            lines = command[:length].count("\n") - request.count("\n")
            parts += [text[at : found.start()], request, "\n" * lines]
            at = found.start() + length
    return "".join([*parts, text[at:]])


def _curl(command: str) -> tuple[tuple[int, str] | None, int]:
    """Return the command's length and the request that it sends, if it is one, and how much of the text was read."""
    stream = io.StringIO(command.replace("\\\n", " \n"))
    words = shlex.shlex(stream, posix=True)
    words.whitespace_split, words.commenters = True, ""
    line: list[str] = []
    method = "POST"
    try:
        for word in islice(words, CURL_WORDS):
            line.append(word)
            data = _CURL_DATA.fullmatch(word)
            if word.startswith("-X") and word != "-X":
                method = word[2:]
            elif len(line) > 1 and line[-2] in ("-X", "--request"):
                method = word
            if data:
                value = data["value"] or next(words, "")
                url = next((one for one in line if "_plugins/" in one or "_cluster/" in one), "")
                if not url or not value or value.startswith("@"):
                    break
                return (stream.tell(), f"{method} {url}\n{value}\n"), stream.tell()
    except ValueError:  # quotes that do not end: then the page shows no command that would run
        pass
    return None, stream.tell()
