"""A documented connector body, made one that a blueprint may hold; every change of it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.findings import closest
from opensearch_ml.blueprint.models import Action, ClientConfig, Connector
from opensearch_ml.importing.docs import unknowns
from opensearch_ml.importing.docs.secrets import Secrets
from opensearch_ml.importing.docs.unknowns import Unknowns

# What the server adds to a stored connector, and what is not ours to write.
SERVERS_OWN = frozenset(
    {"owner", "created_time", "last_updated_time", "last_update_time", "create_time", "tenant_id", "connector_id"}
)
ORDER = (
    *("name", "description", "version", "protocol", "url", "parameters", "credential", "client_config", "headers"),
    *("access_mode", "backend_roles", "add_all_backend_roles", "actions"),
)
ACTION_ORDER = (
    *("action_type", "name", "method", "url", "headers", "request_body"),
    *("pre_process_function", "post_process_function"),
)
_LOOSE_PLACEHOLDER = re.compile(r"\$\{\s*(parameters?|credentials?)\s*\.\s*([^}]*?)\s*\}")
_EXAMPLE_BODY = re.compile(r"(?<!\$)\{.*\}|\$\{parameters\.[\w.-]+\}", re.DOTALL)
_AWS_REGION = re.compile(r"(?<=\.)[a-z]{2,4}(?:-[a-z]+)+-\d(?=\.(?:amazonaws\.com|api\.aws))")
MAX_NESTED = 5  # parameters in parameters


def adapted(
    body: Mapping[str, Any], title: str, variables: Unknowns, note: Callable[[str], None]
) -> tuple[dict[str, Any], Secrets]:
    """Return a documented body as a blueprint's connector, and the secrets that it held.

    :param title: what to call a connector that the page leaves nameless.
    """
    connector = _known(dict(body), Connector, "connector", note)
    connector.setdefault("protocol", "http")
    connector["parameters"] = _mapping(connector, "parameters", note)
    written = _mapping(connector, "credential", note)
    connector["actions"] = _actions(connector, note)
    connector = _respelled(connector, note)
    secrets = Secrets(connector, variables, note)
    secrets.take_credential(written)
    secrets.take_from(connector)
    connector = secrets.without(connector)
    _name(connector, str(secrets.without(title)), note)
    _resolve(connector, variables, note)
    for index, part in enumerate([connector, *connector["actions"]]):
        if isinstance(part.get("url"), str):
            path = f"connector.actions.{index - 1}.url" if index else "connector.url"
            part["url"] = _literal_host(part["url"], connector["parameters"], path, variables, note)
    connector["credential"] = secrets.credential
    return ordered(connector), secrets


def _known(part: dict[str, Any], model: type[BaseModel], path: str, note: Callable[[str], None]) -> dict[str, Any]:
    fields = [field.alias or name for name, field in model.model_fields.items()]
    kept: dict[str, Any] = {}
    for name, value in part.items():
        if name in fields:
            if value is not None:
                kept[name] = value
            continue
        meant = "access_mode" if name == "access" and "access_mode" in fields else closest(name, fields)
        same = meant and (name == "access" or _bare(name) == _bare(meant))
        if same and meant not in part:
            kept[str(meant)] = value
            note(f"{path}.{name} is written {meant}: the server knows no other spelling, and drops it silently.")
        elif name not in SERVERS_OWN:
            shown = name if re.fullmatch(r"[\w.-]{1,40}", name) else "a field"
            note(f"{path}.{shown} is left out: no documented field has that name.")
    return kept


def _bare(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower()).rstrip("s")


def _mapping(connector: dict[str, Any], name: str, note: Callable[[str], None]) -> dict[str, Any]:
    value = connector.pop(name, None)
    if value is not None and not isinstance(value, Mapping):
        note(f"connector.{name} is left out: it is no mapping.")
    return {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {}


def _actions(connector: dict[str, Any], note: Callable[[str], None]) -> list[dict[str, Any]]:
    written = connector.pop("actions", None)
    if isinstance(written, Mapping):
        note("connector.actions is written as a list, which it is.")
        written = [written]
    actions = []
    for index, action in enumerate(written if isinstance(written, list) else []):
        path = f"connector.actions.{index}"
        if not isinstance(action, Mapping):
            note(f"{path} is left out: it is no mapping.")
            continue
        known = _known(dict(action), Action, path, note)
        body = known.get("request_body")
        if isinstance(body, (dict, list)):
            known["request_body"] = json.dumps(body, ensure_ascii=False)
            note(f"{path}.request_body is written as the text that it is; quotes around placeholders may have to go.")
        actions.append(known)
    if isinstance(connector.get("client_config"), Mapping):
        connector["client_config"] = _known(
            dict(connector["client_config"]), ClientConfig, "connector.client_config", note
        )
    return actions


def _respelled(connector: dict[str, Any], note: Callable[[str], None]) -> dict[str, Any]:
    # With a space in it the server does not fill a placeholder; and ours, ${variables.x}, are in no documentation.
    def respelled(found: re.Match[str]) -> str:
        kind = "parameters" if found[1].startswith("parameter") else "credential"
        name = found[2]
        if re.search(r"[<>{ ]", name):
            above, dot, last = name.rpartition(".")
            name = f"{above}{dot}{unknowns.name_of(last, '')}"
        told = f"${{{kind}.{name}}}"
        if name != found[2]:
            note(f"{told} has a name of ours: the page leaves it to you.")
        elif told != found[0]:
            note(f"{found[0]} is written {told}: the server fills no other spelling.")
        return told

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(one) for key, one in value.items()}
        if isinstance(value, list):
            return [walk(one) for one in value]
        if not isinstance(value, str):
            return value
        return _LOOSE_PLACEHOLDER.sub(respelled, value.replace("${variables.", "${variable."))

    return {str(key): walk(one) for key, one in connector.items()}


def _name(connector: dict[str, Any], title: str, note: Callable[[str], None]) -> None:
    name = connector.get("name")
    if not isinstance(name, str) or unknowns.is_placeholder(name):
        connector["name"] = title
        note(f"connector.name is {title}: the page leaves it to you.")
    if not isinstance(connector.get("version"), (str, int, float)) or (
        isinstance(connector["version"], str) and unknowns.is_placeholder(connector["version"])
    ):
        connector["version"] = 1
        note("connector.version is 1: the page leaves it to you.")
    if isinstance(connector.get("description"), str) and unknowns.is_placeholder(connector["description"]):
        del connector["description"]
        note("connector.description is left out: the page leaves it to you.")


def _resolve(connector: dict[str, Any], variables: Unknowns, note: Callable[[str], None]) -> None:
    parameters, aws = connector["parameters"], connector["protocol"] == "aws_sigv4"
    region = parameters.get("region")
    if aws and isinstance(region, str) and (region == "region" or unknowns.is_placeholder(region)):
        _one_region(connector, variables, note)
    for name, value in parameters.items():
        path = f"connector.parameters.{name}"
        host = _names_of_hosts(connector)
        parameters[name] = variables.resolved(value, path, note, url=name in host and isinstance(value, str))
    for index, part in enumerate([connector, *connector["actions"]]):
        path = f"connector.actions.{index - 1}" if index else "connector"
        if isinstance(part.get("url"), str):
            url = unknowns.in_aws_url(part["url"]) if aws and "://" in part["url"] else part["url"]
            part["url"] = _whole_url(url, parameters, f"{path}.url", variables, note)
        if index and isinstance(part.get("request_body"), str) and unknowns.is_placeholder(part["request_body"]):
            shown = _EXAMPLE_BODY.search(part["request_body"])
            part["request_body"] = shown[0] if shown else "${parameters.input}"
            note(f"{path}.request_body is {part['request_body']}: the page leaves it to you.")
        for name in ("headers", "request_body", "description", "client_config", "backend_roles"):
            if name in part:
                part[name] = variables.resolved(part[name], f"{path}.{name}", note)


def _one_region(connector: dict[str, Any], variables: Unknowns, note: Callable[[str], None]) -> None:
    found: set[str] = set()
    for action in connector["actions"]:
        if isinstance(action.get("url"), str):
            found |= set(_AWS_REGION.findall(action["url"]))
    region = variables.variable(
        "region", "connector.parameters.region", found.pop() if len(found) == 1 else "us-east-1"
    )
    connector["parameters"]["region"] = region
    for index, action in enumerate(connector["actions"]):
        url = action.get("url")
        if isinstance(url, str) and _AWS_REGION.search(url):
            action["url"] = _AWS_REGION.sub(lambda _: region, url)
            note(f"connector.actions.{index}.url is in {region}, like what signs for it; the page had two regions.")


def _whole_url(
    url: str, parameters: Mapping[str, Any], path: str, variables: Unknowns, note: Callable[[str], None]
) -> str:
    if not unknowns.is_placeholder(url):
        return str(variables.resolved(url, path, note, url=True))
    if parameters.get("service_name") == "sagemaker":
        region = parameters.get("region") or variables.variable("region", path, "us-east-1")
        note(f"{path} is that of a SageMaker endpoint; set variables.endpoint_name, or write another URL.")
        endpoint = variables.variable("endpoint_name", path)
        return f"https://runtime.sagemaker.{region}.amazonaws.com/endpoints/{endpoint}/invocations"
    return variables.variable(unknowns.name_of(url, "url"), path)


def _literal_host(
    url: str, parameters: Mapping[str, Any], path: str, variables: Unknowns, note: Callable[[str], None]
) -> str:
    origin = re.match(r"(?:[^/?#]*://)?(?:[^/?#$]|\$(?!\{)|\$\{[^}]*\})*", url)
    told = origin[0] if origin else ""
    if "${parameters." not in told:
        return url
    names = ", ".join(f"${{parameters.{name}}}" for name in sorted(placeholders.names(told, "parameters")))
    filled = told
    for _ in range(MAX_NESTED):
        filled = placeholders.fill(filled, "parameters", parameters)
    for name in sorted(placeholders.names(filled, "parameters")):
        filled = filled.replace(f"${{parameters.{name}}}", variables.variable(unknowns.slug(name) or "host", path))
    if filled.count("://") > 1:
        filled = filled.partition("://")[2]
    rest = url[len(told) :]
    note(
        f"{path}: {names} is filled in before the path, because a caller of predict could set it, and so send the "
        "credential to another host."
    )
    return filled.rstrip("/") + rest if rest.startswith("/") else filled + rest


def _names_of_hosts(connector: Mapping[str, Any]) -> set[str]:
    urls = [part["url"] for part in [connector, *connector["actions"]] if isinstance(part.get("url"), str)]
    return {name for url in urls for name in placeholders.names(re.sub(r"(?<=[^/:])/.*", "", url), "parameters")}


def ordered(connector: Mapping[str, Any]) -> dict[str, Any]:
    """Return a connector with its fields in the order in which people read them, without empty ones."""
    told = _in_order(connector, ORDER)
    told["actions"] = [_in_order(action, ACTION_ORDER) for action in told.get("actions", ())]
    empty = [name for name in ("parameters", "credential", "actions") if not told.get(name)]
    return {name: value for name, value in told.items() if name not in empty}


def _in_order(part: Mapping[str, Any], order: Iterable[str]) -> dict[str, Any]:
    first = [name for name in order if name in part]
    return {name: part[name] for name in [*first, *(name for name in part if name not in first)]}
