"""One comparable form for what a blueprint wants and what the server holds, and what differs between them.

The server stores every parameter as a string, upper-cases action types, fills the defaults of ``client_config``, gives
``access_mode`` back as ``access``, never gives a credential back, and adds times and owners. We send parameters and
headers as strings already, because how Java writes a float (1.5E10) is not how anybody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc
from opensearch_ml.credentials import fingerprint

LABEL_OWNER = "opensearch_ml_owner"
LABEL_BLUEPRINT = "opensearch_ml_blueprint"
LABEL_CREDENTIAL = "opensearch_ml_credential"
LABEL_RUN = "opensearch_ml_run"  # the rotation that made the connector
LABEL_REPLACES = "opensearch_ml_replaces"  # the credential mark of the internal connector that a candidate is for
LABEL_KEYS = "opensearch_ml_credential_keys"  # of an internal connector, whose update cannot take a key away
LABEL_UNMANAGED = "opensearch_ml_others"  # of an adopted model's connector as it is compared; none in a cluster has it
LOOSE_LABELS = (LABEL_CREDENTIAL, LABEL_RUN, LABEL_REPLACES, LABEL_KEYS, LABEL_UNMANAGED)  # no part of the definition

COMPARED = ("name", "version", "protocol", "description", "parameters", "actions", "client_config", "url", "headers")
CLIENT_DEFAULTS = {
    "max_connection": 30,
    "retry_backoff_millis": 200,
    "retry_timeout_seconds": 30,
    "max_retry_times": 0,
    "retry_backoff_policy": "constant",
    "skip_ssl_verification": False,
    "mutual_tls_enabled": False,
}
SECONDS_SINCE = (3, 6)  # before, a time-out that is not given is 30000, and counts as seconds


def connector_body(blueprint: Blueprint, credential: Mapping[str, str], known: str | None = None) -> dict[str, Any]:
    """Return the body of ``POST /_plugins/_ml/connectors/_create``, with our marks.

    :param credential: the resolved credential; the result holds it in clear and is for the request alone.
    :param known: the fingerprint, or what stands for it where nobody knows the secrets. Default: computed.
    """
    body = _written(blueprint)
    body["parameters"][LABEL_CREDENTIAL] = known or fingerprint.fingerprint(credential)
    if credential:
        body["credential"] = dict(credential)
    if blueprint.inline:
        body["parameters"][LABEL_KEYS] = ",".join(sorted(credential))
    return body


def as_stored(value: Any) -> str:
    """Return a parameter's value as the server stores it."""
    return placeholders.as_text(value)


def client_defaults(version: tuple[int, ...]) -> dict[str, Any]:
    """Return what the server fills in for what a ``client_config`` leaves out."""
    timeout = 30 if version >= SECONDS_SINCE else 30000
    return CLIENT_DEFAULTS | {"connection_timeout": timeout, "read_timeout": timeout}


def differences(
    blueprint: Blueprint,
    credential: Mapping[str, str],
    found: ConnectorDoc,
    version: tuple[int, ...],
    *,
    accepts: Callable[[str | None], bool] | None = None,
) -> tuple[str, ...]:
    """Return the dotted paths in which the server's connector differs from the blueprint; never the values.

    :param found: the connector as GET or search returns it, standalone or inside a model.
    :param version: the server's version, for the defaults that it fills in.
    :param accepts: tells by its mark whether the connector's credential is right; default: its fingerprint does.
    """
    paths = definition_differences(blueprint, found, version)
    known = (found.get("parameters") or {}).get(LABEL_CREDENTIAL)
    right = accepts(known) if accepts else fingerprint.matches(known, credential)
    return paths if right else tuple(sorted([*paths, "credential"]))


def definition_differences(blueprint: Blueprint, found: ConnectorDoc, version: tuple[int, ...]) -> tuple[str, ...]:
    """Return what `differences` does, but for the credential; that takes no slow fingerprint."""
    return tuple(path for path, _, _ in definition_changes(blueprint, found, version))


def definition_changes(
    blueprint: Blueprint, found: ConnectorDoc, version: tuple[int, ...]
) -> tuple[tuple[str, Any, Any], ...]:
    """Return what differs with its values: (dotted path, what the server has, what the blueprint says), by path.

    Values are in the comparable form; None: not there. Others' connectors may hold a secret in them.
    """
    parameters = {key: value for key, value in (found.get("parameters") or {}).items() if key not in LOOSE_LABELS}
    held = {**found, "parameters": parameters}
    one, other = _canonical(_written(blueprint), version), _canonical(held, version)
    if blueprint.connector.add_all_backend_roles:
        other["backend_roles"] = one["backend_roles"]  # they are those of whoever created it
    return tuple(sorted(_differing(one, other), key=lambda change: change[0]))


def _written(blueprint: Blueprint) -> dict[str, Any]:
    connector = blueprint.connector
    body = connector.model_dump(exclude_none=True, exclude={"credential", "parameters"})
    body["parameters"] = {
        **{key: as_stored(value) for key, value in connector.parameters.items()},
        LABEL_OWNER: OWNER,
        LABEL_BLUEPRINT: blueprint.name,
    }
    if connector.is_mcp:
        del body["actions"]
    return body


def _canonical(connector: Mapping[str, Any], version: tuple[int, ...]) -> dict[str, Any]:
    body = {key: connector[key] for key in COMPARED if connector.get(key)}
    body["version"] = str(connector.get("version", 1))
    body["parameters"] = {key: as_stored(value) for key, value in (connector.get("parameters") or {}).items()}
    body["actions"] = [
        {key: value for key, value in action.items() if value}
        # How they are written makes no difference to the server.
        | {name: str(action[name]).upper() for name in ("action_type", "method") if name in action}
        for action in connector.get("actions") or ()
    ]
    body["client_config"] = client_defaults(version) | (connector.get("client_config") or {})
    body["backend_roles"] = sorted(connector.get("backend_roles") or ())
    body["access_mode"] = connector.get("access_mode") or connector.get("access") or _default_access(connector)
    return body


def _default_access(connector: Mapping[str, object]) -> str:
    # Where access control is off, the server gives back none, and takes none.
    return "restricted" if connector.get("backend_roles") or connector.get("add_all_backend_roles") else "private"


def _differing(wanted: Any, found: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted(wanted.keys() | found.keys()):
            yield from _differing(wanted.get(key), found.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _differing(one, other, f"{path}.{index}")
    elif wanted != found:
        yield path, found, wanted
