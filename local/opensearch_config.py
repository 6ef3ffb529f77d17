"""What a node of the embedded cluster reads when it starts: settings, log layout, and the Security configuration.

ML Commons is left at its defaults on purpose: what works here must not work because of a setting that production lacks.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from local.certificates import NODE_DN, Certificates
from local.distribution import Layout

ADMIN = "admin"
CLUSTER_NAME = "opensearch-ml"
HOST = "127.0.0.1"
AUDIT_OFF = {"_meta": {"type": "audit", "config_version": 2}, "config": {"enabled": False}}
FIRST_NODE = "node-1"  # forms the cluster that others join
PROXY_AUTH_DOMAIN = "proxy_auth_domain"
PEM = {"pemcert_filepath": "node.pem", "pemkey_filepath": "node-key.pem", "pemtrustedcas_filepath": "ca.pem"}

LOG4J2_PROPERTIES = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1; 0 stands for any that is free."""

    http: int
    transport: int


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What differs between nodes.

    :param folder: holds the node's ``config``, ``data``, ``logs`` and ``tmp``; its name is the node's.
    :param ports: of this node.
    :param all_ports: of all nodes of the cluster, this one included.
    """

    folder: Path
    ports: Ports
    all_ports: Sequence[Ports]


def write_config(
    node: NodeSettings, layout: Layout, certificates: Certificates, admin_password: str, *, proxy_auth: bool
) -> None:
    """Write ``config`` of a node; the Security part counts only until its index is made."""
    config = node.folder / "config"
    shutil.rmtree(config, ignore_errors=True)  # nothing stale, and no link that the server's user may have left
    config.mkdir()
    security = config / "opensearch-security"
    shutil.copytree(layout.security_config, security)  # roles, action groups, tenants as shipped
    files = {
        config / "opensearch.yml": yaml.safe_dump(opensearch_settings(node)),
        config / "log4j2.properties": LOG4J2_PROPERTIES,
        config / "jvm.options": "",  # must exist; the options are on the command line
        config / "ca.pem": certificates.ca.decode(),
        config / "node.pem": certificates.node.decode(),
        config / "node-key.pem": certificates.node_key.decode(),
        security / "config.yml": yaml.safe_dump(security_config(proxy_auth=proxy_auth)),
        security / "audit.yml": yaml.safe_dump(AUDIT_OFF),
        security / "internal_users.yml": yaml.safe_dump(internal_users(admin_password)),
    }
    for path, text in files.items():
        path.write_text(text)
    for path in (config, *config.rglob("*")):  # the Security plugin warns of anything wider
        path.chmod(0o700 if path.is_dir() else 0o600)


def opensearch_settings(node: NodeSettings) -> dict[str, Any]:
    """The node's ``opensearch.yml``."""
    return {
        "cluster.name": CLUSTER_NAME,
        "node.name": node.folder.name,
        "network.host": HOST,
        "http.port": node.ports.http,
        "transport.port": node.ports.transport,
        "path.data": str(node.folder / "data"),
        "path.logs": str(node.folder / "logs"),
        "cluster.routing.allocation.disk.threshold_enabled": False,  # a full laptop would make indices read-only
        **_discovery(node),
        **{f"plugins.security.ssl.{layer}.{key}": name for layer in ("http", "transport") for key, name in PEM.items()},
        "plugins.security.ssl.http.enabled": True,
        "plugins.security.nodes_dn": [NODE_DN],
        "plugins.security.allow_default_init_securityindex": True,
        "plugins.security.restapi.roles_enabled": ["all_access", "security_rest_api_access"],
        # Lets `OpenSearchCluster` switch proxy authentication in a cluster that has its Security index already.
        "plugins.security.unsupported.restapi.allow_securityconfig_modification": True,
        "plugins.security.audit.type": "noop",
    }


def security_config(*, proxy_auth: bool) -> dict[str, Any]:
    """Security's ``config.yml``: basic authentication and, if asked for, proxy authentication.

    With it, a request with the headers ``x-forwarded-for``, ``x-proxy-user`` and ``x-proxy-roles`` is that user's,
    unchecked: any process of this machine may then be anyone.
    """
    basic = {
        "http_enabled": True,
        "order": 1,
        "http_authenticator": {"type": "basic", "challenge": True},
        "authentication_backend": {"type": "intern"},
    }
    proxy = {
        "http_enabled": proxy_auth,
        "order": 0,
        "http_authenticator": {
            "type": "proxy",
            "challenge": False,
            "config": {"user_header": "x-proxy-user", "roles_header": "x-proxy-roles"},
        },
        "authentication_backend": {"type": "noop"},
    }
    return {
        "_meta": {"type": "config", "config_version": 2},
        "config": {
            "dynamic": {
                "http": {
                    "anonymous_auth_enabled": False,
                    "xff": {"enabled": proxy_auth, "internalProxies": HOST.replace(".", r"\.")},
                },
                "authc": {PROXY_AUTH_DOMAIN: proxy, "basic_internal_auth_domain": basic},
            }
        },
    }


def internal_users(admin_password: str) -> dict[str, Any]:
    """Security's ``internal_users.yml``: one administrator, and none of the demo users with their known passwords."""
    return {
        "_meta": {"type": "internalusers", "config_version": 2},
        ADMIN: {
            "hash": bcrypt.hashpw(admin_password.encode(), bcrypt.gensalt()).decode(),
            "reserved": True,
            "backend_roles": ["admin"],
            "description": "Administrator of the embedded cluster",
        },
    }


def _discovery(node: NodeSettings) -> dict[str, Any]:
    if len(node.all_ports) == 1:
        return {"discovery.type": "single-node"}
    return {
        "discovery.seed_hosts": [f"{HOST}:{ports.transport}" for ports in node.all_ports],
        "cluster.initial_cluster_manager_nodes": [FIRST_NODE],
    }
