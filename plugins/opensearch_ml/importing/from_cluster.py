"""What others have made on a cluster, as blueprints: which connectors and models these are, and what is to be done.

A blueprint made of what stands there adopts it without a difference, because it says what the server tells; what it
cannot say is among its notes. Nothing here writes, neither to the cluster nor to a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint import loader, placeholders, writer
from opensearch_ml.catalog import catalog
from opensearch_ml.client.documents import ModelGroupDoc
from opensearch_ml.errors import Finding
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.importing import to_blueprint
from opensearch_ml.importing.docs.unknowns import slug
from opensearch_ml.importing.from_docs import MAX_NAME, Imported
from opensearch_ml.importing.to_blueprint import Place, Standing
from opensearch_ml.resources.bodies import GROUP_LABEL
from opensearch_ml.resources.inventory import Fleet, blueprint_of, is_canary
from opensearch_ml.resources.read import REMOTE

ACCESS = "plugins.ml_commons.{}_access_control_enabled"
MAX_MENDED = 20  # findings that are mended by leaving out what they are about
# What works without them, only otherwise than the server does; it drops or refuses them itself at another version.
DISPENSABLE = re.compile(
    r"(?:connector|model|model\.group)\.description|connector\.client_config\.\w+|connector\.actions\.\d+\.headers\..+"
    r"|connector\.provisioned_by|model\.(?:provisioned_by|guardrails|interface|model_config|deploy_setting)\b.*"
)
SECTIONS = re.compile(
    r"(model\.(?:guardrails|interface|model_config|deploy_setting)|connector\.client_config\.\w+)\b.*"
)


@dataclass(frozen=True, slots=True)
class Others:
    """What others made on a cluster.

    :param blueprints: one for each.
    :param adopt: by blueprint, the id that a target names under ``adopt``.
    :param credentials: by Airflow connection and field, what belongs there: ``openAI_key of openai_chat``.
    :param left_out: what is not among them, and why; one sentence each.
    """

    blueprints: tuple[Imported, ...]
    adopt: Mapping[str, str]
    credentials: Mapping[str, Mapping[str, tuple[str, ...]]]
    left_out: tuple[str, ...]


def look_at_others(hook: OpenSearchMLHook, patterns: Sequence[str] = ()) -> Others:
    """Look at a cluster and write what others made there as blueprints; five requests.

    :param patterns: names or ids of models, connectors or blueprints, or globs; none: all.
    :raises OpenSearchMLError: the cluster could not be looked at.
    Source: ``POST …/models/_search``, ``…/connectors/_search``, ``…/model_groups/_search``, ``GET /_cluster/settings``.
    """
    models, connectors = hook.search_models(REMOTE), hook.search_connectors({"match_all": {}})
    ids = sorted({str(one["model_group_id"]) for one in models if one.get("model_group_id")})
    groups = {one["id"]: one for one in hook.search_model_groups({"ids": {"values": ids}})} if ids else {}
    ours = frozenset(key for key, one in groups.items() if GROUP_LABEL in (one.get("description") or ""))
    settings = hook.cluster_settings()
    connector_access, model_access = (
        str(settings.get(ACCESS.format(what))).lower() == "true" for what in ("connector", "model")
    )
    place = Place(hook.version, hook.domain_arn is not None, connector_access, model_access)
    return others(Fleet(connectors, models, hook.version, ours), groups, place, patterns, hook.domain_arn)


def others(
    fleet: Fleet,
    groups: Mapping[str, ModelGroupDoc],
    place: Place,
    patterns: Sequence[str] = (),
    domain_arn: DomainArn | None = None,
) -> Others:
    """Return what is not ours on a cluster, as blueprints.

    :param fleet: all its connectors and remote models.
    :param groups: its model groups by id.
    :param domain_arn: the domain that it is, whose values the blueprints' variables have.
    """
    left_out: list[str] = list(_ours(fleet))
    standing = list(_standing(fleet, groups, patterns, left_out.append))
    names = _names(standing, {*fleet.blueprints, *(blueprint_of(one) for one in fleet.connectors)})
    chosen = [one for one in zip(standing, names, strict=True) if _is_meant(*one, patterns)]
    for pattern in patterns:
        if not any(_is_meant(one, name, [pattern]) for one, name in chosen):
            left_out.append(f"--name {pattern}: nothing that others made on this cluster has this name or id")
    made: list[Imported] = []
    credentials: dict[str, dict[str, list[str]]] = {}
    for one, name in chosen:
        imported, document = _imported(one, name, place, domain_arn, _shared(one, fleet))
        made.append(imported)
        for key, reference in document["connector"].get("credential", {}).items():
            if isinstance(reference, Mapping):
                fields = credentials.setdefault(reference["conn_id"], {})
                fields.setdefault(reference["field"], []).append(f"{key} of {name}")
    return Others(
        tuple(made),
        {name: one.ids["model" if one.model else "connector"] for one, name in chosen if _can_be_adopted(one)},
        {conn_id: {field: tuple(keys) for field, keys in told.items()} for conn_id, told in credentials.items()},
        tuple(left_out),
    )


def _standing(
    fleet: Fleet, groups: Mapping[str, ModelGroupDoc], patterns: Sequence[str], leave_out: Callable[[str], None]
) -> Iterator[Standing]:
    for model in fleet.models:
        if is_canary(model) or fleet.owner(model) or fleet.is_in_our_group(model):
            continue
        if (connector := fleet.connector_in(model)) is None:
            leave_out(
                f"model {model['id']} ({model.get('name')}): its connector {model.get('connector_id')} does not exist, "
                "or is not shared with the user of this connection"
            )
            continue
        yield Standing(connector, model, groups.get(str(model.get("model_group_id"))))
    for connector in fleet.connectors:
        if blueprint_of(connector) or fleet.users(connector["id"]):
            continue
        found = Standing(connector)
        if str(connector.get("protocol")).startswith("mcp_"):
            yield found
        elif patterns and _is_meant(found, "", patterns):
            yield Standing(connector, {"name": connector["name"]} if "name" in connector else {})
        else:
            leave_out(
                f"connector {connector['id']} ({connector.get('name')}): no model uses it, so there is nothing to "
                f"adopt; for a blueprint of it, add --name {connector['id']}"
            )


def _ours(fleet: Fleet) -> Iterator[str]:
    named = {blueprint_of(one) for one in fleet.connectors} | {fleet.owner(one) for one in fleet.models}
    if ours := sorted(named - {""}):
        yield f"{', '.join(ours)}: managed by opensearch_ml already"
    for model in fleet.models:
        if fleet.is_in_our_group(model) and not fleet.owner(model) and not is_canary(model):
            yield f"model {model['id']} ({model.get('name')}): it is in a group that opensearch_ml made"


def _is_meant(one: Standing, name: str, patterns: Sequence[str]) -> bool:
    told = [name, one.name, str(one.connector.get("name")), *one.ids.values()]
    return not patterns or any(fnmatchcase(text, pattern) for text in told for pattern in patterns)


def _can_be_adopted(one: Standing) -> bool:
    return one.model is None or "id" in one.model


def _names(standing: Sequence[Standing], taken: set[str]) -> list[str]:
    """Return a name for each blueprint, all different, and none that a blueprint has on this cluster."""
    names: list[str] = []
    for one in standing:
        name = slug(one.name)[:MAX_NAME].strip("_") or "imported"
        free = name
        number = 2
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        taken.add(free)
        names.append(free)
    return names


def _shared(one: Standing, fleet: Fleet) -> str:
    others = [user["id"] for user in fleet.users(str(one.connector.get("id"))) if user["id"] != one.ids.get("model")]
    if not others or one.inline:
        return ""
    return (
        f"its connector {one.connector['id']} also serves model {', '.join(others)}, and will go on to; once this "
        "blueprint's definition or credential changes, its own model gets a new connector."
    )


def _imported(
    one: Standing, name: str, place: Place, domain_arn: DomainArn | None, shared: str
) -> tuple[Imported, dict[str, Any]]:
    notes: dict[str, None] = dict.fromkeys(filter(None, [shared]))

    def note(told: str) -> None:
        notes.setdefault(told)

    document = to_blueprint.document(one, name, place, note)
    comments = [f"Imported from a cluster: {', '.join(f'{kind} {told}' for kind, told in one.ids.items())}."]
    for _ in range(MAX_MENDED):
        yaml_text = writer.text_of(document, comments)
        findings = _findings(name, yaml_text, place, domain_arn)
        dispensable = next((found for found in findings if DISPENSABLE.fullmatch(found.path)), None)
        if dispensable is None or not _leave_out(document, dispensable.path):
            break
        note(f"{dispensable.path} is left out: it {dispensable.problem}. The plan shows this difference.")
    findings += _filled_here(one)
    for finding in findings:
        note(f"To be mended: {finding}")
    return Imported(name, yaml_text, tuple(notes), not findings), document


def _filled_here(one: Standing) -> Iterator[Finding]:
    """Yield the texts that would be something else in a blueprint."""
    parts = {"connector": one.connector, "model": {k: v for k, v in (one.model or {}).items() if k != "connector"}}
    for path, text in placeholders.strings(parts):
        if placeholders.names(text, "variables"):
            problem = "holds ${variables.…}, which a blueprint fills itself and the server does not"
            yield Finding(path, problem, "Write it otherwise: it cannot be adopted as it stands.")


def _findings(name: str, yaml_text: str, place: Place, domain_arn: DomainArn | None) -> list[Finding]:
    file, document = Path(f"{name}.yaml"), loader.parse(yaml_text)
    return catalog.checked(document, file, None, Path("targets"), domain_arn, version=place.version).findings


def _leave_out(document: dict[str, Any], path: str) -> bool:
    """Take a field out of a document, a section of the model as a whole; tell whether it was there."""
    if section := SECTIONS.fullmatch(path):
        path = section[1]
    node: Any = document
    parts = path.split(".")
    if "headers" in parts:  # a header's name may have dots
        at = parts.index("headers") + 1
        parts = [*parts[:at], ".".join(parts[at:])]
    *above, last = parts
    for part in above:
        node = node[int(part)] if isinstance(node, list) else node.get(part, {})
    found = isinstance(node, dict) and last in node
    if found:
        del node[last]
    return found
