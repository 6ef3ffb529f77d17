"""A documentation's blueprint as one of ours: text in, YAML out, with what a person still has to fill in or decide.

What is created on a server is the documented body field by field, but for the credential, which becomes references, and
for what the notes tell. Nothing that a page says is executed, and no secret of it is in the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from opensearch_ml.base.arns import DOMAIN_VARIABLES
from opensearch_ml.blueprint import loader, placeholders, trusted_endpoints, writer
from opensearch_ml.blueprint.models import Connector
from opensearch_ml.blueprint.registration import Model, ModelGroup
from opensearch_ml.catalog import catalog
from opensearch_ml.errors import Final
from opensearch_ml.importing.docs import connector as documented_connector
from opensearch_ml.importing.docs import expectation, page, unknowns
from opensearch_ml.importing.docs.page import Page, Request
from opensearch_ml.importing.docs.secrets import Secrets
from opensearch_ml.importing.docs.unknowns import Unknowns

Note = Callable[[str], None]

MAX_TEXT = 5_000_000  # characters; the longest page of the documentation has 200,000
MAX_NAME = 60
MAX_BLUEPRINTS = 200
MODEL_FIELDS = tuple(name for name in (f.alias or n for n, f in Model.model_fields.items()) if name != "group")
SETTING = "trusted_connector_endpoints_regex"
_FILLER = re.compile(
    r"\b(?:connectors?|blueprints?|examples?|standard|for|the|an?|of|to|with|models?|creat(?:ing|e)|step|using|topic)\b",
    re.IGNORECASE,
)


class NothingToImport(Final):
    """The text shows no connector that can be read."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One blueprint.

    :param name: what to call its file, without the ending.
    :param notes: in plain words, what was changed and what a person still has to fill in or decide.
    :param is_valid: it has no findings; those that it has are among the notes.
    """

    name: str
    yaml_text: str
    notes: tuple[str, ...]
    is_valid: bool


@dataclass(slots=True)
class _Chapter:
    """Connectors that stand for each other (keys here, a role there), and what a page shows next."""

    connectors: list[Request] = field(default_factory=list)
    others: list[Request] = field(default_factory=list)


def import_text(text: str, *, name: str | None = None) -> list[Imported]:
    """Return the blueprints of a documentation page, of a script with curl, or of a JSON body.

    :param name: what to call the blueprint; several get numbers. Default: made of the connector's own name.
    :raises NothingToImport: the text shows no connector, or none that can be read; the evidence says where and why.
    """
    if len(text) > MAX_TEXT:
        raise NothingToImport(
            "the text is too long for a page of documentation",
            evidence=f"{len(text)} characters, and at most {MAX_TEXT} are read",
            fix="Give the page alone, or the JSON body alone.",
        )
    shown = page.read(text)
    imported: dict[str, Imported] = {}
    seen: list[Any] = []
    left_out: list[str] = list(shown.unread)
    for chapter in _chapters(shown):
        for request in chapter.connectors:
            again = (_connector_in(request), _is_inline(request))
            if (part := _only_a_part(request)) is not None:
                left_out.append(part)
            elif again not in seen and len(seen) < MAX_BLUEPRINTS:
                one = _imported(request, chapter, shown, name, taken=imported)
                imported[one.name] = one
                seen.append(again)
    if not imported:
        raise NothingToImport(
            "the text shows no connector that can be imported",
            evidence=" ".join(left_out) or "no body of POST /_plugins/_ml/connectors/_create is in it",
            fix="Give Markdown or a curl command with such a request, or the JSON body alone. Correct what is named. "
            "HTML, notebooks and Python code are not read: copy the request from the page as people see it.",
        )
    first, *others = imported.values()
    return [replace(first, notes=(*first.notes, *left_out)), *others]


def _chapters(shown: Page) -> list[_Chapter]:
    chapters = [_Chapter()]
    answers = []
    for request in shown.requests:
        if _connector_in(request) is None:
            chapters[-1].others.append(request)
        elif request.kind == "other":
            answers.append(request)
        else:
            used = any(one.kind in ("register", "predict") for one in chapters[-1].others)
            if chapters[-1].connectors and (used or _is_inline(request)):
                chapters.append(_Chapter())
            chapters[-1].connectors.append(request)
            if _is_inline(request):
                chapters[-1].others.append(request)
    if not any(chapter.connectors for chapter in chapters):
        chapters.append(_Chapter(connectors=answers))  # a page may show only what GET gives
    return chapters


def _connector_in(request: Request) -> Mapping[str, Any] | None:
    body = request.body.value
    inner = body.get("connector")
    if isinstance(inner, Mapping) and (request.kind == "register" or _is_connector(inner)):
        return inner
    return body if request.kind == "connector" or _is_connector(body) else None


def _is_inline(request: Request) -> bool:
    body = request.body.value
    return _connector_in(request) is not body and (request.kind == "register" or "function_name" in body)


def _is_connector(body: Mapping[str, Any]) -> bool:
    return "protocol" in body and any(one in body for one in ("actions", "action", "url", "credential", "parameters"))


def _only_a_part(request: Request) -> str | None:
    body = _connector_in(request) or {}
    known = body.keys() & Connector.model_fields.keys()
    if not known or not body.keys() & {"actions", "action", "url", "protocol"}:
        return f"The body in line {request.line} is left out: it is no whole connector."
    if request.body.abridged and not ("name" in body and "protocol" in body):
        return f"The body in line {request.line} is left out: the page shows only a part of it (…)."
    return None


def _imported(
    request: Request, chapter: _Chapter, shown: Page, name: str | None, taken: Mapping[str, Imported]
) -> Imported:
    notes: dict[str, None] = {}
    variables = Unknowns()

    def note(told: str) -> None:
        notes.setdefault(told)

    body = _connector_in(request) or {}
    if request.body.abridged:
        note("The page shows only a part of the body (…); add what it leaves out.")
    if request.body.repaired:
        note("A text of the page holds quotes that are not escaped; it was read up to the last one of its line.")
    for key in request.body.repeated:
        shown_key = key if re.fullmatch(r"[A-Za-z_]{1,30}", key) else "a field"  # any other may be a secret
        note(f"{shown_key} is given twice on the page; the last value was taken.")
    title = _title(request, shown)
    connector, secrets = documented_connector.adapted(body, title, variables, note)
    document: dict[str, Any] = {"connector": connector}
    if _is_inline(request):
        document["inline"] = True
    if "roleArn" in connector.get("credential", {}):
        document["iam_role"] = {}
        note("iam_role: {} has the role made and kept up to date; remove it if somebody else cares for the role.")
    document |= _others(request, connector, chapter, shown, variables, secrets, note)
    _notes_on(variables, note)
    if variables.defaults:
        first = [one for one in DOMAIN_VARIABLES if one in variables.defaults]
        document["variables"] = {one: variables.defaults[one] for one in dict.fromkeys([*first, *variables.defaults])}
    document |= _trusted(connector, variables, shown, note)
    own = _free(_slug(name or str(connector.get("name") or title)), connector, taken)
    where = " / ".join(dict.fromkeys(filter(None, (shown.title, request.heading)))) or "a request body"
    comments = [f"Imported from documentation: {_printable(where)}, line {request.line}."]
    if lacking := variables.lacking.keys() - set(DOMAIN_VARIABLES):
        comments.append(f"Still without a value: {', '.join(f'variables.{one}' for one in sorted(lacking))}.")
    comments = [str(secrets.without(comment)) for comment in comments]
    yaml_text = writer.text_of(document, comments)
    to_mend = _findings(own, yaml_text)
    for told in to_mend:
        note(told)
    return Imported(own, yaml_text, tuple(str(secrets.without(told)) for told in tuple(notes)), not to_mend)


def _others(
    request: Request,
    connector: Mapping[str, Any],
    chapter: _Chapter,
    shown: Page,
    variables: Unknowns,
    secrets: Secrets,
    note: Note,
) -> dict[str, Any]:
    if str(connector.get("protocol", "")).startswith("mcp_"):
        return {}
    document: dict[str, Any] = {}
    if model := secrets.without(_model(request, chapter, shown, note)):
        document["model"] = variables.resolved(model, "model", note)
    own, of_page = ([one for one in part if one.kind == "predict"] for part in (chapter.others, shown.requests))
    test = expectation.smoke_test(connector, own or of_page)
    if test is None:
        note("smoke_test is missing: the page shows no predict whose parameters fit. Add one, and what it must answer.")
    else:
        parameters, expected, told = test
        if told:
            note(told)
        parameters = variables.resolved(secrets.without(parameters), "smoke_test.parameters", note)
        document["smoke_test"] = {"parameters": parameters, "expect": expected}
    return document


def _model(request: Request, chapter: _Chapter, shown: Page, note: Note) -> dict[str, Any]:
    alone = [one.body.value for one in chapter.others if one.kind == "register" and _connector_in(one) is None]
    register = request.body.value if _is_inline(request) else next(iter(alone), None)
    if register is None:
        return {}
    model = {key: value for key in MODEL_FIELDS if (value := register.get(key)) is not None}
    if str(model.pop("function_name", "remote")).lower() != "remote":
        note("model is left out: the page registers no remote model with this connector.")
        return {}
    _drop_placeholders(model)
    group = next((one for one in [*chapter.others, *shown.requests] if one.kind == "group"), None)
    if group and "model_group_id" in register:
        told = {key: value for key in ModelGroup.model_fields if (value := group.body.value.get(key)) is not None}
        _drop_placeholders(told)
        if "name" in told:
            model["group"] = told
    return model


def _drop_placeholders(part: dict[str, Any]) -> None:
    for key in ("name", "description"):
        if not isinstance(part.get(key), str) or unknowns.is_placeholder(part[key]):
            part.pop(key, None)


def _trusted(connector: Mapping[str, Any], variables: Unknowns, shown: Page, note: Note) -> dict[str, Any]:
    patterns = [pattern for one in shown.requests for pattern in _patterns(one.body.value)]
    kept, urls = [], _urls(connector, variables)
    for pattern in dict.fromkeys(patterns):
        if unknowns.is_placeholder(pattern):
            continue
        if problem := trusted_endpoints.problem(pattern):
            note(f"trusted_endpoints: {_printable(pattern)} is left out: it {problem}. The URL tells what to trust.")
        elif any(trusted_endpoints.covers(pattern, url) for url in urls):
            kept.append(pattern)
    if kept and all(any(trusted_endpoints.covers(pattern, url) for pattern in kept) for url in urls):
        return {"trusted_endpoints": kept}
    return {}


def _patterns(settings: Any, depth: int = 6) -> list[str]:
    found: list[str] = []
    for key, value in settings.items() if isinstance(settings, Mapping) and depth else ():
        if str(key).rpartition(".")[2] == SETTING:
            found += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
        else:
            found += _patterns(value, depth - 1)
    return found


def _urls(connector: Mapping[str, Any], variables: Unknowns) -> list[str]:
    urls = [str(part["url"]) for part in [connector, *connector.get("actions", ())] if "url" in part]
    told = [placeholders.fill(url, "variables", variables.defaults) for url in urls]
    return [trusted_endpoints.example_url(url, connector.get("parameters", {})) for url in told]


def _notes_on(variables: Unknowns, note: Note) -> None:
    for name, path in sorted(variables.lacking.items()):
        if name in DOMAIN_VARIABLES:
            note(f"variables.{name} is the domain's own; for a cluster without a domain set it in the target.")
            continue
        note(f"variables.{name} has no value: the page leaves {path} to you. Set it in the target, or as a default.")
    for name in ("region", "role_name"):
        if name in variables.defaults:
            note(f"variables.{name} is {variables.defaults[name]} unless the domain or the target says else.")


def _findings(name: str, yaml_text: str) -> list[str]:
    checked = catalog.checked(loader.parse(yaml_text), Path(f"{name}.yaml"), None, Path("targets"))
    return [f"To be mended: {finding}" for finding in checked.findings]


def _title(request: Request, shown: Page) -> str:
    for told in (request.heading, shown.title):
        words = " ".join(re.sub(r"[^\w,.()-]+", " ", _FILLER.sub(" ", re.sub(r"^[\d.\s]+", "", told))).split())
        if 3 < len(words) <= 60 and "http" not in words:
            return words.strip(" .,")
    return "Remote model"


def _slug(told: str) -> str:
    return unknowns.slug(_FILLER.sub(" ", told) if len(told) > 20 else told)[:MAX_NAME].strip("_") or "imported"


def _free(name: str, connector: Mapping[str, Any], taken: Mapping[str, Imported]) -> str:
    if name not in taken:
        return name
    credential = connector.get("credential", {})
    kind = "role" if "roleArn" in credential else "keys" if "access_key" in credential else ""
    if kind and f"{name}_{kind}" not in taken:
        return f"{name}_{kind}"
    return next(free for number in range(2, len(taken) + 3) if (free := f"{name}_{number}") not in taken)


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)[:160]
