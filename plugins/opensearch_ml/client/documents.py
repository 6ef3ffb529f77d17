"""What the server returns for an object of ML Commons or the Security plugin.

Every field may be missing: it depends on the server's version, on access control, and on who asks. `id` is not in the
server's document: the hook adds it, in searches from the hit, and in reads from the request.
Source: ``GET`` and ``_search`` of ``/_plugins/_ml/{connectors,models,model_groups,tasks}`` on 2.19.1 and 3.6.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, TypeVar


class ActionDoc(TypedDict, total=False):
    """One action of a connector."""

    action_type: str
    name: str
    method: str
    url: str
    headers: dict[str, str]
    request_body: str
    pre_process_function: str
    post_process_function: str


class ConnectorDoc(TypedDict, total=False):
    """A connector, standalone or internal. The server never returns its credential.

    :ivar parameters: every value is a string; our labels are among them.
    :ivar created_time: milliseconds since the epoch, as is `last_updated_time`.
    """

    id: str
    name: str
    version: str
    description: str
    protocol: str
    parameters: dict[str, str]
    actions: list[ActionDoc]
    client_config: dict[str, Any]  # numbers, a boolean and a policy's name
    url: str
    headers: dict[str, str]
    owner: Mapping[str, object]
    access: str
    backend_roles: list[str]
    created_time: int
    last_updated_time: int
    tenant_id: str


class ModelDoc(TypedDict, total=False):
    """A remote model.

    :ivar connector: of a model with an internal connector, which has no `connector_id`.
    :ivar interface: JSON schemas, which the server stores as text.
    :ivar created_time: milliseconds since the epoch, as are the other times.
    """

    id: str
    name: str
    description: str
    algorithm: str
    function_name: str
    model_group_id: str
    model_version: str
    model_state: str
    model_config: Mapping[str, object]
    connector_id: str
    connector: ConnectorDoc
    is_enabled: bool
    rate_limiter: Mapping[str, object]
    guardrails: Mapping[str, object]
    interface: Mapping[str, object]
    deploy_setting: Mapping[str, object]
    planning_worker_node_count: int
    current_worker_node_count: int
    planning_worker_nodes: list[str]
    created_time: int
    last_updated_time: int
    last_deployed_time: int


class ModelGroupDoc(TypedDict, total=False):
    """A model group."""

    id: str
    name: str
    description: str
    access: str
    backend_roles: list[str]
    owner: Mapping[str, object]
    latest_version: int
    created_time: int
    last_updated_time: int


class TaskDoc(TypedDict, total=False):
    """An ML task.

    :ivar error: JSON, the reason by node id; or a plain text.
    :ivar create_time: milliseconds since the epoch.
    """

    id: str
    model_id: str
    task_type: str
    function_name: str
    state: str
    error: str
    worker_node: list[str]
    create_time: int
    last_update_time: int


Doc = TypeVar("Doc", ConnectorDoc, ModelDoc, ModelGroupDoc)
"""A document of something that a blueprint makes in a cluster."""


class CallerDoc(TypedDict):
    """The caller as the Security plugin sees it. Source: ``GET /_plugins/_security/authinfo``."""

    user_name: str
    backend_roles: list[str]
    roles: list[str]
