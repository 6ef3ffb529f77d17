"""A connector and a model that stand on a cluster, as a blueprint's document: field by field what the server tells.

What it tells is what it stored: parameters as texts, action types in capitals, defaults filled in. What it never tells
is the credential, so references stand there, for a person to fill. A secret that somebody wrote into a header, a
parameter or a URL, where every user with ``ml_read_access`` reads it, becomes a reference too.
Source: ``POST /_plugins/_ml/models/_search``, ``POST /_plugins/_ml/connectors/_search``, 2.19.1 and 3.6.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from opensearch_ml.base.arns import DOMAIN_VARIABLES
from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.models import Action, ClientConfig, Connector
from opensearch_ml.blueprint.registration import Model
from opensearch_ml.checks import aws
from opensearch_ml.checks.versions import TIMEOUTS
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc, ModelGroupDoc
from opensearch_ml.importing import smoke_test
from opensearch_ml.importing.docs.connector import SERVERS_OWN, ordered
from opensearch_ml.importing.docs.secrets import AWS_FIELDS, UNKNOWN_PLATFORM, Secrets, host_of, platform
from opensearch_ml.importing.docs.unknowns import Unknowns, slug
from opensearch_ml.resources import canonical

Note = Callable[[str], None]

MODEL_FIELDS = tuple(
    told
    for name, field in Model.model_fields.items()
    if (told := field.alias or name) not in ("name", "group", "function_name")
)
# What the server keeps of a model for itself, and what is said elsewhere.
MODELS_OWN = SERVERS_OWN | frozenset(
    {
        *("id", "name", "algorithm", "function_name", "model_id", "model_group_id", "model_version", "version"),
        *("connector", "connector_id", "model_state", "model_format", "model_content_size_in_bytes"),
        *("model_content_hash_value", "total_chunks", "chunk_number", "planning_worker_node_count"),
        *("current_worker_node_count", "planning_worker_nodes", "deploy_to_all_nodes", "is_hidden", "user"),
        *("last_deployed_time", "last_undeployed_time", "last_registered_time", "last_uploaded_time"),
        *("last_loaded_time", "last_unloaded_time", "auto_redeploy_retry_times", "model_task_type"),
    }
)
ACCESS = ("access_mode", "backend_roles", "add_all_backend_roles")
SENSIBLE_S = 30
NEVER = -1  # minutes
KEY = "api_key"  # of a credential that no header asks for
CERTIFICATES = {"PEM": ("client_cert_pem", "client_key_pem"), "PKCS12": ("client_cert_pkcs12", "keystore_password")}
_SECRETS_KEY = "secretArn."


@dataclass(frozen=True, slots=True)
class Standing:
    """One connector that others made, and what uses it.

    :param connector: as a search returns it, standalone or from inside its model.
    :param model: None for a connector of protocol ``mcp_…``, which has none.
    :param group: the model's group; None if it could not be seen.
    """

    connector: ConnectorDoc
    model: ModelDoc | None = None
    group: ModelGroupDoc | None = None

    @property
    def name(self) -> str:
        """The model's name, or the connector's."""
        return str((self.model or self.connector).get("name") or "")

    @property
    def inline(self) -> bool:
        """Whether the connector lives inside the model."""
        return bool(self.model and self.model.get("connector"))

    @property
    def ids(self) -> dict[str, str]:
        """What tells it from all others: ``{"model": …, "connector": …}``, as far as there are ids."""
        connector_id = self.connector.get("id") or (self.model or {}).get("connector_id")
        found = {"model": (self.model or {}).get("id"), "connector": connector_id}
        return {kind: str(one) for kind, one in found.items() if one}


@dataclass(frozen=True, slots=True)
class Place:
    """What of the cluster decides how a blueprint for it is written.

    :param is_domain: it is one of Amazon OpenSearch Service, whose connectors sign with roles.
    :param connector_access: its connectors have owners (``connector_access_control_enabled``).
    :param model_access: its model groups have (``model_access_control_enabled``).
    """

    version: tuple[int, ...]
    is_domain: bool = False
    connector_access: bool = False
    model_access: bool = False


def document(standing: Standing, name: str, place: Place, note: Note) -> dict[str, Any]:
    """Return the blueprint's document for what stands on a cluster.

    :param name: the blueprint's, which the model has unless the document says otherwise.
    :param note: gets, in plain words, what could not be written as it is, and what a person has to fill in.
    """
    variables = Unknowns()
    connector, secrets = _connector(deepcopy(standing.connector), place, variables, note)
    told: dict[str, Any] = {"connector": connector}
    if standing.model is not None:
        if standing.inline:
            told["inline"] = True
        if model := secrets.without(_model(standing.model, standing.group, name, place, note)):
            told["model"] = model
        test, why = smoke_test.smoke_test(connector, told.get("model", {}))
        if test:
            told["smoke_test"] = test
        note(why)
    for variable in sorted(variables.lacking.keys() - (set(DOMAIN_VARIABLES) if place.is_domain else set())):
        note(f"variables.{variable} has no value: set it in the target, or under variables in the blueprint.")
    return told


def _connector(
    held: Mapping[str, Any], place: Place, variables: Unknowns, note: Note
) -> tuple[dict[str, Any], Secrets]:
    own = SERVERS_OWN | {"id", "access", *ACCESS, "credential"}
    told = {key: value for key, value in _known(held, Connector, "connector", note, own).items() if key not in own}
    if version := told.get("version"):
        told["version"] = _plain(str(version))
    told["parameters"] = {
        str(key): _plain(canonical.as_stored(value)) for key, value in (held.get("parameters") or {}).items()
    }
    told["actions"] = [
        _action(action, f"connector.actions.{index}", note) for index, action in enumerate(held.get("actions") or ())
    ]
    told["client_config"] = _client_config(held.get("client_config") or {}, place, note)
    told |= _access(held, "connector", place.connector_access, note)
    told = {key: value for key, value in told.items() if value or key == "credential"}
    secrets = Secrets(told, variables, note, _connection(told))
    signs_with = _signing(told, place, variables)
    for key in sorted(_asked(told) - signs_with.keys()):
        if not key.startswith(_SECRETS_KEY) or "secretArn" not in signs_with:
            secrets.credential[key] = _reference(secrets, told, key)
    secrets.take_from(told)
    told = secrets.without(told)
    secrets.credential |= signs_with | _of_certificates(told, secrets)
    if not secrets.credential and not str(told.get("protocol")).startswith("mcp_"):
        secrets.credential[KEY] = _reference(secrets, told, KEY)
        note(f"connector.credential.{KEY}: nothing sends a credential, but the server requires one; any text will do.")
    told["credential"] = secrets.credential
    for key in signs_with:
        if isinstance(signs_with[key], str):
            note(f"connector.credential.{key}: a cluster never shows it. See whether {signs_with[key]} is right.")
    return ordered(told), secrets


def _action(action: Mapping[str, Any], path: str, note: Note) -> dict[str, Any]:
    told = {key: value for key, value in _known(action, Action, path, note).items() if value}
    return told | {"action_type": str(told.get("action_type", "")).lower()}


def _client_config(held: Mapping[str, Any], place: Place, note: Note) -> dict[str, Any]:
    defaults = canonical.client_defaults(place.version)  # the server fills them in
    told = _known(held, ClientConfig, "connector.client_config", note)
    if place.version < canonical.SECONDS_SINCE:
        for key in [one for one in TIMEOUTS if told.get(one) == defaults[one]]:
            path = f"connector.client_config.{key}"
            filled_in = f"{path} is {told[key]} seconds, which this server fills in where nobody says it"
            note(f"{filled_in}; the blueprint says {SENSIBLE_S}. The plan shows this difference.")
            told[key] = SENSIBLE_S
    return {key: value for key, value in told.items() if value != defaults.get(key)}


def _access(held: Mapping[str, Any], path: str, is_on: bool, note: Note) -> dict[str, Any]:
    mode, roles = held.get("access") or held.get("access_mode"), list(held.get("backend_roles") or ())
    if not is_on:
        if roles or mode == "restricted":
            note(f"{path}.backend_roles is left out: with access control off, as on this cluster, it is refused.")
        return {}
    if roles:
        return {"access_mode": "restricted", "backend_roles": roles}
    return {"access_mode": "public"} if mode == "public" else {}


def _connection(connector: Mapping[str, Any]) -> str:
    """Return the id of the Airflow connection for a platform: that of a host, where nobody knows its platform."""
    known = platform(connector)
    if known == UNKNOWN_PLATFORM or str(connector.get("protocol")).startswith("mcp_"):
        urls = [one.get("url") for one in [*connector.get("actions", ()), connector]]
        known = slug(host_of(next(filter(None, urls), ""))) or known
    return f"{known}_default" if not known[0].isdigit() else f"host_{known}_default"


def _asked(connector: Mapping[str, Any]) -> set[str]:
    headers = [part.get("headers") or {} for part in [connector, *connector.get("actions", ())]]
    return {key for one in headers for value in one.values() for key in placeholders.names(str(value), "credential")}


def _reference(secrets: Secrets, connector: Mapping[str, Any], key: str) -> dict[str, str]:
    taken = [one for one in secrets.credential.values() if isinstance(one, dict) and one["field"] == "password"]
    return {"conn_id": _connection(connector), "field": f"extra.{key}" if taken else "password"}


def _signing(connector: Mapping[str, Any], place: Place, variables: Unknowns) -> dict[str, Any]:
    """Return the part of the credential that signs, or reaches a secret of AWS."""
    path = "connector.credential"
    told: dict[str, Any] = {}
    reads_a_secret = any(key.startswith(_SECRETS_KEY) for key in _asked(connector))
    if place.is_domain and (reads_a_secret or connector.get("protocol") == "aws_sigv4"):
        partition, account = variables.variable("partition", path), variables.variable("account_id", path)
        told["roleArn"] = f"arn:{partition}:iam::{account}:role/{variables.variable('role_name', path)}"
        if reads_a_secret:
            region, secret = variables.variable("region", path), variables.variable("secret_name", path)
            told["secretArn"] = f"arn:{partition}:secretsmanager:{region}:{account}:secret:{secret}"
    elif connector.get("protocol") == "aws_sigv4":
        told |= {key: {"conn_id": "aws_default", "field": AWS_FIELDS[key]} for key in ("access_key", "secret_key")}
    if connector.get("protocol") == "aws_sigv4":
        told |= _where_it_signs(connector, variables)
    return told


def _where_it_signs(connector: Mapping[str, Any], variables: Unknowns) -> dict[str, str]:
    """Return region and service where the connector has them in its credential, which the server does not tell."""
    parameters = connector.get("parameters", {})
    url = next((str(one.get("url", "")) for one in connector.get("actions", ())), "")
    endpoint, region = aws.host_of_service(placeholders.fill(url, "parameters", parameters))
    told = {"region": region, "service_name": aws.SIGNING_NAMES.get(endpoint, "")}
    return {
        name: value or variables.variable(name, "connector.credential")
        for name, value in told.items()
        if name not in parameters
    }


def _of_certificates(connector: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    config = connector.get("client_config") or {}
    if not config.get("mutual_tls_enabled"):
        return {}
    conn_id = _connection(connector)
    keys = CERTIFICATES[str(config.get("keystore_type") or "PEM").upper()]
    return {key: {"conn_id": conn_id, "field": f"extra.{key}"} for key in keys if key not in secrets.credential}


def _model(held: Mapping[str, Any], group: ModelGroupDoc | None, name: str, place: Place, note: Note) -> dict[str, Any]:
    told: dict[str, Any] = {"name": held["name"]} if held.get("name") != name else {}
    told |= {key: value for key in MODEL_FIELDS if (value := held.get(key)) not in (None, "", {}, [])}
    if told.get("is_enabled") is True:
        del told["is_enabled"]  # as the server takes one that does not say
    if "deploy_setting" in told:  # where nobody sets it, the server writes NEVER
        kept = {key: one for key, one in told["deploy_setting"].items() if (key, one) != ("model_ttl_minutes", NEVER)}
        told["deploy_setting"] = kept
        told = {key: value for key, value in told.items() if value != {}}
    if "rate_limiter" in told:
        told["rate_limiter"] = {key: _number(value) for key, value in told["rate_limiter"].items()}
    if "interface" in told:
        told["interface"] = {side: _json(schema) for side, schema in told["interface"].items() if schema}
    for key in sorted(held.keys() - MODELS_OWN - {*MODEL_FIELDS}):
        note(f"model.{_field(key)} is left out: no documented field of a blueprint has that name.")
    if group and group.get("name") not in (None, held.get("name")):
        kept = {key: group[key] for key in ("name", "description") if group.get(key)}
        told["group"] = kept | _access(group, "model.group", place.model_access, note)
    return told


def _known(
    held: Mapping[str, Any], model: type[BaseModel], path: str, note: Note, own: frozenset[str] = frozenset()
) -> dict[str, Any]:
    fields = {field.alias or name for name, field in model.model_fields.items()}
    for key in sorted(held.keys() - fields - own):
        note(f"{path}.{_field(key)} is left out: no documented field of a blueprint has that name.")
    return {key: value for key, value in held.items() if key in fields and value is not None}


def _field(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_]{1,40}", key) else "a field"  # any other may be a secret


def _plain(stored: str) -> Any:
    """Return what a stored text stands for, if the server would store that as the same text again."""
    value = _json(stored)
    return value if isinstance(value, (int, dict, list)) and canonical.as_stored(value) == stored else stored


def _json(text: Any) -> Any:
    """Return what a text of JSON says, if it is one that is written as we write it."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return text
    return value if canonical.as_stored(value) == text else text


def _number(value: Any) -> Any:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return int(number) if number.is_integer() else number
