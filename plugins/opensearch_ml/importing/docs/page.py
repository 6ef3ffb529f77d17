"""A page of documentation: the requests that it shows, each with its body and the answer that follows it.

A page may be Markdown (fenced, indented or bare blocks), a script with curl, or one body. An object of JSON belongs to
the nearest request line above it.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from opensearch_ml.importing.docs import relaxed_json

Kind = Literal["connector", "register", "group", "predict", "other", "none"]

WORK = (
    4,
    200_000,
)  # characters of unfinished objects, per character of the page and at least: each brace may start one
MAX_REQUESTS = 10_000

_PATH = re.compile(r"_plugins/_ml(?P<path>/(?:<[^<>\n]{1,60}>|[^\s\"'`|)])*)|_cluster/settings")
_METHOD = re.compile(r"\b(GET|POST|PUT|DELETE|HEAD)\b")
_HEADING = re.compile(r"^(?:#{1,6}[ \t]+(?P<text>[^\n]+)|title:[ \t]*(?P<title>[^\n]+))$", re.MULTILINE)
_CURL_DATA = re.compile(
    r"(?:\s-d|--data(?:-raw|-binary|-ascii)?|--json)[\s=]*"
    r"(?:'(?P<single>\s*\{[^']*(?:'\\''[^']*)*)'|\"(?P<double>\s*\{(?:[^\"\\]|\\.)*)\")",
    re.DOTALL,
)
_BODY = re.compile(r"\{\s*(?:[\"'\u201c]|\n|$)")  # and no tag of a template, nor a piece of a script


@dataclass(slots=True)
class Request:
    """One request that a page shows, or an object without any.

    :param line: of the body, counted from 1.
    :param heading: the nearest above it.
    :param answer: the next object with inference results, before the next request.
    """

    kind: Kind
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
        page.requests.append(Request(kind, bisect(lines, start) + 1, heading, body))
    return page


def _objects(text: str) -> Iterator[tuple[int, relaxed_json.Read | relaxed_json.Unreadable]]:
    at, work = 0, len(text) * WORK[0] + WORK[1]
    while work > 0 and (start := text.find("{", at)) >= 0:
        try:
            body = relaxed_json.read(text, start)
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
        sent = bool(methods) or "=" in before or "://" in before
        yield _Mention(_kind(methods[-1] if methods else "", found["path"] or ""), found.start(), sent)


def _kind(method: str, path: str) -> Kind:
    path = path.partition("?")[0].rstrip("/.,;:")
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
    text = text.replace("\r\n", "\n").replace("\u00a0", " ")
    text = re.sub(r"^(?:> ?)+", "", text, flags=re.MULTILINE)
    return _CURL_DATA.sub(_without_shell_quotes, text)


def _without_shell_quotes(data: re.Match[str]) -> str:
    if data["single"]:
        return data["single"].replace("'\\''", "'")
    return re.sub(r"\\([\"\\$`])", r"\1", data["double"])
