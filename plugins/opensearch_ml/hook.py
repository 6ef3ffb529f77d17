"""The hook: every request that this project sends to a cluster, by name.

Authentication, retries and the mapping of errors are here (and in `client`) and nowhere else.
Reads are repeated when they fail for a passing reason; a write is sent once, because its answer may be lost although it
was done: the steps look again before they write again.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.base import secret_patterns
from opensearch_ml.base.secret_masking import KnownSecrets
from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.client import connection
from opensearch_ml.client.documents import CallerDoc, ConnectorDoc, ModelDoc, ModelGroupDoc, TaskDoc
from opensearch_ml.errors import (
    CredentialsExpired,
    InvalidConnection,
    NotFound,
    OpenSearchMLError,
    PermissionDenied,
    RequestRefused,
)
from opensearch_ml.retries import persistently

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from opensearchpy import OpenSearch

    from opensearch_ml.base.arns import DomainArn

__all__ = ["OpenSearchMLHook"]

T = TypeVar("T")
log = logging.getLogger(__name__)

TRUSTED_ENDPOINTS = trusted_endpoints.SETTING
READ_ATTEMPTS = 3
MAX_HITS = 10_000  # the server refuses a larger window
COMPATIBILITY_MODE = "7.10.2"
MAPPING_KEYS = ("backend_roles", "users", "hosts")


class OpenSearchMLHook(BaseHook):
    """Talk to the ML Commons, Security and cluster APIs of one cluster.

    :param opensearch_conn_id: connection of type ``opensearch``, as providers-opensearch defines it.
    """

    conn_name_attr = "opensearch_conn_id"
    default_conn_name = "opensearch_default"
    conn_type = "opensearch"
    hook_name = "OpenSearch ML Commons"

    def __init__(self, opensearch_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.opensearch_conn_id = opensearch_conn_id
        self._secrets = KnownSecrets()

    @cached_property
    def client(self) -> OpenSearch:
        """opensearch-py's client for the connection; errors of direct calls on it are opensearch-py's own."""
        endpoint = None
        if not self._connection.host and self.aws and self.domain_arn:
            from opensearch_ml.aws import domain

            endpoint = domain.endpoint(self.aws, self.domain_arn)
        return connection.client(self._connection, self.aws, endpoint)

    def get_conn(self) -> OpenSearch:
        """Return the client, as every Airflow hook does."""
        return self.client

    @cached_property
    def _connection(self) -> Connection:
        try:
            found = self.get_connection(self.opensearch_conn_id)
        except AirflowNotFoundException as error:
            raise InvalidConnection(
                f"there is no connection {self.opensearch_conn_id}",
                evidence=str(error),
                fix=f"create connection {self.opensearch_conn_id} of type opensearch, or name another one",
            ) from None
        headers = found.extra_dejson.get("headers") or {}
        secret_headers = [str(value) for name, value in headers.items() if secret_patterns.is_header(name)]
        # A domain that takes no login tells the header that it got.
        login = base64.b64encode(f"{found.login}:{found.password}".encode()).decode() if found.password else None
        self.keep_secret([found.password, login, *secret_headers])
        return found

    def keep_secret(self, secrets: Iterable[str | None]) -> None:
        """Mask secrets in Airflow's logs and in the evidence of our own errors."""
        self._secrets.keep(secrets)

    def redact(self, text: str) -> str:
        """Return a text with every secret that this hook has handled replaced by ``***``."""
        return self._secrets.redact(text)

    # ---- AWS

    @cached_property
    def domain_arn(self) -> DomainArn | None:
        """The domain of Amazon OpenSearch Service that the connection says it is for."""
        return connection.domain_arn(self._connection)

    @cached_property
    def aws(self) -> AwsAccess | None:
        """The AWS connection that signs the requests, in the domain's region; None if a login authenticates them."""
        signs = connection.signing(self._connection)
        return AwsAccess(*signs, secrets=self._secrets) if signs else None

    @property
    def signs(self) -> bool:
        """Whether the requests are signed."""
        return self.aws is not None

    @property
    def is_managed_service(self) -> bool:
        """Whether this is a domain of Amazon OpenSearch Service, by the connection or by its host."""
        return connection.is_managed_service(self._connection)

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the cluster answers and has ML Commons, for Airflow's *Test* button."""
        try:
            number = ".".join(map(str, self.version))
            return True, f"OpenSearch {number}, ML Commons {self.ml_plugin_version() or 'is not installed'}"
        except OpenSearchMLError as error:
            return False, str(error)

    # ---- cluster

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The server's version, for instance ``(3, 6, 0)``.

        That of ML Commons, which is the server's: a domain in compatibility mode calls itself 7.10.2. Who may not see
        the plugins is told by the server itself, or by the domain's description.
        """
        refused: OpenSearchMLError | None = None
        for ask in (self.ml_plugin_version, self._server_version, self._engine_version):
            try:
                if number := ask():
                    numbers = [int(part) for part in number.split("-")[0].split(".")]
                    return tuple([*numbers, 0, 0][:3])
            except (PermissionDenied, RequestRefused) as error:
                refused = refused or error
        raise refused or RequestRefused(
            "the cluster does not tell its version", evidence=f"GET {self.base_url}/", fix="check the connection's host"
        )

    def _server_version(self) -> str | None:
        number = str(self._read(self.client.info)["version"]["number"])
        return None if number == COMPATIBILITY_MODE and self.domain_arn else number

    def _engine_version(self) -> str | None:
        """The domain's, as ``OpenSearch_2.19`` says it."""
        if not (self.aws and self.domain_arn):
            return None
        from opensearch_ml.aws import domain

        return domain.describe(self.aws, self.domain_arn).version

    @property
    def base_url(self) -> str:
        """The cluster's address, without credentials: ``https://search.example.com:443/prefix``."""
        return str(self.client.transport.get_connection().base_url)

    def ml_plugin_version(self) -> str | None:
        """Return the version of ML Commons, or None if no node has it. Source: ``GET /_cat/plugins``."""
        plugins = self._read(self.client.cat.plugins, params={"format": "json"})
        return next((p["version"] for p in plugins if p["component"] == "opensearch-ml"), None)

    def cluster_uuid(self) -> str:
        """Return what tells the cluster from every other, whatever its address. Source: ``GET /``, once."""
        return self._cluster_uuid

    @cached_property
    def _cluster_uuid(self) -> str:
        return str(self._read(self.client.info)["cluster_uuid"])

    def cluster_settings(self) -> dict[str, Any]:
        """Return all effective settings, flat. Source: ``GET /_cluster/settings``."""
        found = self._read(
            self.client.cluster.get_settings, params={"include_defaults": "true", "flat_settings": "true"}
        )
        # The server uses them in this order of precedence, the last wins.
        return {**found.get("defaults", {}), **found.get("persistent", {}), **found.get("transient", {})}

    def put_cluster_settings(self, settings: Mapping[str, object]) -> None:
        """Write settings, each where it is in force. Source: ``PUT /_cluster/settings``.

        Persistent, unless somebody has set it transiently: that wins, and a persistent value would change nothing.
        """
        found = self._read(self.client.cluster.get_settings, params={"flat_settings": "true"})
        transient = {name: value for name, value in settings.items() if name in found.get("transient", {})}
        persistent = {name: value for name, value in settings.items() if name not in transient}
        scopes = {"persistent": persistent, "transient": transient}
        self._write(
            self.client.cluster.put_settings, body={scope: values for scope, values in scopes.items() if values}
        )

    def trusted_endpoints(self) -> list[str]:
        """Return the patterns in force. Source: setting ``trusted_connector_endpoints_regex``."""
        return trusted_endpoints.entries(self.cluster_settings())

    def put_trusted_endpoints(self, patterns: list[str]) -> None:
        """Write the whole list: the setting knows no addition."""
        self.put_cluster_settings({TRUSTED_ENDPOINTS: patterns})

    def node_roles(self) -> list[list[str]]:
        """Return the roles of each node, for instance ``[["data", "ingest"]]``. Source: ``GET /_nodes``."""
        nodes = self._read(self.client.nodes.info, params={"filter_path": "nodes.*.roles"}).get("nodes", {})
        return [list(node["roles"]) for node in nodes.values()]

    # ---- security

    def authinfo(self) -> CallerDoc:
        """Return the caller as the cluster sees it: ``user_name``, ``backend_roles`` and ``roles``.

        Source: ``GET /_plugins/_security/authinfo``.
        """
        found = self._read(self.client.security.authinfo)
        return {
            "user_name": found["user_name"],
            "backend_roles": list(found.get("backend_roles") or ()),
            "roles": list(found.get("roles") or ()),
        }

    def role_mapping(self, role: str) -> dict[str, list[str]] | None:
        """Return who is mapped to a role, or None if nobody ever was.

        Source: ``GET /_plugins/_security/api/rolesmapping/{role}``.
        """
        try:
            found = self._read(self.client.security.get_role_mapping, role=role)[role]
        except NotFound:
            return None
        return {key: list(found.get(key) or []) for key in MAPPING_KEYS}

    def role_mappings(self) -> dict[str, dict[str, list[str]]]:
        """Return who is mapped to which role, of all that anybody ever was. Source: ``GET …/api/rolesmapping``."""
        found = self._read(self.client.security.get_role_mappings)
        return {role: {key: list(told.get(key) or []) for key in MAPPING_KEYS} for role, told in found.items()}

    def put_role_mapping(self, role: str, mapping: Mapping[str, list[str]]) -> None:
        """Write a whole mapping; what is not in it is lost. Source: ``PUT …/rolesmapping/{role}``."""
        self._write(self.client.security.create_role_mapping, role=role, body=dict(mapping))

    def patch_role_mapping(self, role: str, operations: Sequence[Mapping[str, object]]) -> None:
        """Apply JSON Patch operations. Source: ``PATCH …/rolesmapping/{role}``."""
        self._write(self.client.security.patch_role_mapping, role=role, body=operations)

    # ---- connectors

    def create_connector(self, body: Mapping[str, object]) -> str:
        """Create a connector and return its id. Source: ``POST …/connectors/_create``."""
        return str(self._write(self.client.plugins.ml.create_connector, body=dict(body))["connector_id"])

    def get_connector(self, connector_id: str) -> ConnectorDoc | None:
        """Return a connector with its ``id`` and without its credential, or None. Source: ``GET …/connectors/{id}``."""
        found: ConnectorDoc | None = self._get(self.client.plugins.ml.get_connector, "connector_id", connector_id)
        return found

    def search_connectors(self, query: Mapping[str, object]) -> list[ConnectorDoc]:
        """Return connectors, each with its ``id``, oldest first. Source: ``POST …/connectors/_search``."""
        return self._search(self.client.plugins.ml.search_connectors, query)

    def update_connector(self, connector_id: str, body: Mapping[str, object]) -> None:
        """Change a connector that no deployed model uses; keys of ``credential`` and ``parameters`` are merged.

        Source: ``PUT …/connectors/{id}``.
        """
        self._write(self.client.plugins.ml.update_connector, connector_id=connector_id, body=dict(body))

    def delete_connector(self, connector_id: str) -> None:
        """Delete a connector; gone already counts as done. Source: ``DELETE …/connectors/{id}``."""
        self._delete(self.client.plugins.ml.delete_connector, connector_id=connector_id)

    # ---- model groups

    def create_model_group(self, body: Mapping[str, object]) -> str:
        """Create a model group and return its id. Source: ``POST …/model_groups/_register``."""
        return str(self._write(self.client.plugins.ml.register_model_group, body=dict(body))["model_group_id"])

    def search_model_groups(self, query: Mapping[str, object]) -> list[ModelGroupDoc]:
        """Return model groups, each with its ``id``, oldest first. Source: ``POST …/model_groups/_search``."""
        return self._search(self.client.plugins.ml.search_model_group, query)

    def delete_model_group(self, model_group_id: str) -> None:
        """Delete an empty model group; gone already counts as done. Source: ``DELETE …/model_groups/{id}``."""
        self._delete(self.client.plugins.ml.delete_model_group, model_group_id=model_group_id)

    # ---- models

    def register_model(self, body: Mapping[str, object]) -> str:
        """Register a remote model and return its id. Source: ``POST …/models/_register``, synchronous for remote."""
        return str(self._write(self.client.plugins.ml.register_model, body=dict(body))["model_id"])

    def get_model(self, model_id: str) -> ModelDoc | None:
        """Return a model with its ``id``, or None. Source: ``GET …/models/{id}``."""
        found: ModelDoc | None = self._get(self.client.plugins.ml.get_model, "model_id", model_id)
        return found

    def search_models(self, query: Mapping[str, object]) -> list[ModelDoc]:
        """Return models, each with its ``id``, oldest first. Source: ``POST …/models/_search``."""
        # The index also holds the chunks of local models.
        whole = {"bool": {"filter": [dict(query)], "must_not": [{"exists": {"field": "chunk_number"}}]}}
        return self._search(self.client.plugins.ml.search_models, whole)

    def update_model(self, model_id: str, body: Mapping[str, object]) -> None:
        """Change fields of a model. Source: ``PUT …/models/{id}``."""
        self._write(self.client.plugins.ml.update_model, model_id=model_id, body=dict(body))

    def delete_model(self, model_id: str) -> None:
        """Delete an undeployed model; gone already counts as done. Source: ``DELETE …/models/{id}``."""
        self._delete(self.client.plugins.ml.delete_model, model_id=model_id)

    def deploy_model(self, model_id: str) -> str:
        """Start to deploy a model and return the task's id; its outcome is told by the task alone.

        Source: ``POST …/models/{id}/_deploy``.
        """
        return str(self._write(self.client.plugins.ml.deploy_model, model_id=model_id)["task_id"])

    def undeploy_model(self, model_id: str) -> None:
        """Undeploy a model; one that is not deployed stays so. Source: ``POST …/models/{id}/_undeploy``."""
        self._write(self.client.plugins.ml.undeploy_model, model_id=model_id)

    def predict(self, model_id: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        """Return a model's answer. Sent once: a predict may cost money. Source: ``POST …/models/{id}/_predict``."""
        return self._write(self.client.plugins.ml.predict_model, model_id=model_id, body={"parameters": parameters})

    def predictors(self, model_id: str) -> dict[str, str]:
        """Return what answers a model's predicts on each node that has it deployed, by node id.

        The value is another one as soon as the node has read the model's connector anew.
        Source: ``GET …/profile/models/{id}``.
        """
        found = self._read(self.client.plugins.ml.get_profile_models, model_id=model_id).get("nodes") or {}
        on_nodes = {node: told.get("models", {}).get(model_id, {}).get("predictor") for node, told in found.items()}
        return {node: predictor for node, predictor in on_nodes.items() if predictor}

    # ---- tasks

    def get_task(self, task_id: str) -> TaskDoc | None:
        """Return an ML task with its ``id``, or None. Source: ``GET …/tasks/{id}``."""
        found: TaskDoc | None = self._get(self.client.plugins.ml.get_task, "task_id", task_id)
        return found

    def search_tasks(self, query: Mapping[str, object]) -> list[TaskDoc]:
        """Return ML tasks, each with its ``id``, oldest first. Source: ``POST …/tasks/_search``."""
        return self._search(self.client.plugins.ml.search_tasks, query)

    # ---- how requests are sent

    def _write(self, call: Callable[..., T], **arguments: Any) -> T:
        try:
            return self._send(call, arguments)
        except CredentialsExpired as ended:
            if self.aws is None:
                raise
            # Refused before it was executed, so also a write may be sent again.
            self.aws.renew(ended)
            return self._send(call, arguments)

    def _send(self, call: Callable[..., T], arguments: Mapping[str, object]) -> T:
        # Imported with the client: opensearch-py would cost every parse of a DAG file half a second.
        from opensearchpy.exceptions import SerializationError, TransportError

        from opensearch_ml.client.error_mapping import translate

        try:
            return call(**arguments)
        except (TransportError, SerializationError) as error:
            aws_conn_id = self.aws.aws_conn_id if self.aws else None
            raise translate(
                error, conn_id=self.opensearch_conn_id, aws_conn_id=aws_conn_id, redact=self.redact
            ) from None

    def _read(self, call: Callable[..., T], **arguments: Any) -> T:
        return persistently(lambda: self._write(call, **arguments), attempts=READ_ATTEMPTS)

    def _get(self, call: Callable[..., Any], name: str, object_id: str) -> Any:
        try:
            return {**self._read(call, **{name: object_id}), "id": object_id}
        except NotFound:
            return None

    def _search(self, call: Callable[..., Any], query: Mapping[str, object]) -> list[Any]:
        found = self._read(call, body={"query": dict(query), "size": MAX_HITS})["hits"]
        hits = [{**hit["_source"], "id": hit["_id"]} for hit in found["hits"]]
        if len(hits) == MAX_HITS and found["total"]["relation"] != "eq":
            raise RequestRefused(
                f"there are more than {MAX_HITS} objects, and the server gives no more at once",
                evidence=f"search with size {MAX_HITS} found {found['total']}",
                fix="delete what nobody uses any more: what is not seen would be taken for missing",
            )
        return sorted(hits, key=lambda hit: (hit.get("created_time") or hit.get("create_time") or 0, hit["id"]))

    def _delete(self, call: Callable[..., Any], **arguments: Any) -> None:
        try:
            self._write(call, **arguments)
        except NotFound:
            log.debug("%s is gone already", arguments)
