"""A domain of Amazon OpenSearch Service: what AWS tells of it, and whether it can be reached from here."""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opensearch_ml.errors import Finding, NotFound, OpenSearchMLError, PermissionDenied, ServerBusy, Unreachable

if TYPE_CHECKING:
    from opensearch_ml.aws.access import AwsAccess
    from opensearch_ml.base.arns import DomainArn

REACH_TIMEOUT_S = 5.0
HTTPS = 443


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain. Of one that the caller may not describe only the ARN is known, and ``unread`` says why.

    :param endpoint: host, or ``host:port``; None while the domain is being created or deleted.
    :param other_endpoints: a custom endpoint, and that for IPv6.
    :param vpc: only hosts in the domain's VPC reach the endpoint.
    :param vpc_id: that VPC, where AWS names it.
    :param fine_grained: fine-grained access control (the Security plugin) is on; None if not known.
    :param engine: such as ``OpenSearch_2.19``.
    :param access_policy: the resource-based policy; None if there is none.
    :param status: ``active``, ``being created``, ``being deleted``, ``upgrading`` or ``processing a change``.
    :param unread: AWS's words, if the caller may not describe the domain.
    """

    arn: DomainArn
    endpoint: str | None = None
    other_endpoints: tuple[str, ...] = ()
    vpc: bool = False
    vpc_id: str | None = None
    fine_grained: bool | None = None
    engine: str | None = None
    access_policy: dict[str, Any] | None = None
    status: str = "active"
    unread: str | None = None

    @property
    def network(self) -> str:
        """Where the endpoint is, in words."""
        return f"VPC {self.vpc_id}" if self.vpc_id else "a VPC" if self.vpc else "the public internet"

    @property
    def version(self) -> str | None:
        """The engine's version, such as ``2.19``."""
        return self.engine.rpartition("_")[2] if self.engine else None

    def __str__(self) -> str:
        if self.unread:
            return f"domain {self.arn.name} could not be looked at, the caller may not describe it ({self.unread})"
        security = "with" if self.fine_grained else "without"
        where = f"in {self.network}" if self.vpc or self.vpc_id else f"on {self.network}"
        told = f"{self.engine}, {where}, {security} fine-grained access control"
        return f"domain {self.arn.name} ({told}) is {self.status}"


def describe(access: AwsAccess, arn: DomainArn) -> Domain:
    """Return what AWS tells of a domain.

    :raises NotFound: there is none of that name; the fix names those that there are.
    :raises OpenSearchMLError: as `AwsAccess.asking`. Who may not describe the domain gets one with ``unread``.
    Source: ``es:DescribeDomain``.
    """
    try:
        told = access.call("opensearch", "describe_domain", DomainName=arn.name)["DomainStatus"]
    except NotFound as error:
        raise _no_domain(access, arn, error) from None
    except PermissionDenied as error:
        return Domain(arn, status="not known", unread=error.evidence)
    if told["ARN"] != str(arn):
        raise NotFound(
            f"domain {arn.name} is in another account than domain_arn says",
            evidence=f"DescribeDomain -> {told['ARN']}; domain_arn is {arn}",
            fix="correct domain_arn, or use an aws_conn_id of the account that owns the domain",
        )
    vpc_endpoints = told.get("Endpoints") or {}
    custom = (told.get("DomainEndpointOptions") or {}).get("CustomEndpoint")
    others = (custom, told.get("EndpointV2"), vpc_endpoints.get("vpcv2"))
    return Domain(
        arn,
        endpoint=told.get("Endpoint") or vpc_endpoints.get("vpc"),
        other_endpoints=tuple(filter(None, others)),
        vpc="vpc" in vpc_endpoints,
        vpc_id=(told.get("VPCOptions") or {}).get("VPCId"),
        fine_grained=bool((told.get("AdvancedSecurityOptions") or {}).get("Enabled")),
        engine=told.get("EngineVersion"),
        access_policy=json.loads(told.get("AccessPolicies") or "null"),
        status=_status(told),
    )


def endpoint(access: AwsAccess, arn: DomainArn) -> str:
    """Return a domain's endpoint: ``host``, or ``host:port``.

    :raises ServerBusy: it has none yet.
    :raises NotFound: there is no such domain, or not much longer.
    :raises PermissionDenied: the caller may not describe it.
    """
    found = describe(access, arn)
    if found.unread:
        raise PermissionDenied(
            f"the endpoint of domain {arn.name} cannot be looked up",
            evidence=found.unread,
            fix=f"allow es:DescribeDomain on {arn}, or write the endpoint into the connection's field Host",
        )
    if found.endpoint is None and found.status == "being deleted":
        raise NotFound(f"domain {arn.name} is being deleted", evidence=str(found), fix="name another domain_arn")
    if found.endpoint is None:
        raise ServerBusy(
            f"domain {arn.name} has no endpoint yet", evidence=str(found), fix="run again when the domain is active"
        )
    return found.endpoint


def findings(found: Domain, host: str | None = None) -> list[Finding]:
    """Return what is wrong with a domain, and with the connection to it.

    :param host: the connection's host, where it has one.
    """
    problems = []
    if found.status in ("being deleted", "being created"):
        problems.append(Finding("domain_arn", f"is of a domain that is {found.status}", "Use one that is active."))
    if found.engine and not found.engine.startswith("OpenSearch_"):
        problems.append(Finding("domain_arn", f"is of a domain that runs {found.engine}", "Upgrade it to OpenSearch."))
    if found.fine_grained is False:
        fix = "Switch it on (AdvancedSecurityOptions), or leave out what maps roles: the access policy alone decides."
        problems.append(Finding("domain_arn", "is of a domain without fine-grained access control", fix))
    known = {_host_and_port(name)[0] for name in (found.endpoint, *found.other_endpoints) if name}
    if host and found.endpoint and _host_and_port(host)[0] not in known:
        fix = f"Leave host empty, or set it to {found.endpoint}."
        problems.append(Finding("host", f"is {host}, and the domain's endpoint is {found.endpoint}", fix))
    return problems


def check_reachable(found: Domain, *, timeout_s: float = REACH_TIMEOUT_S) -> None:
    """Resolve and connect to a domain's endpoint; send nothing. A proxy's way to it is not checked.

    :param timeout_s: for both together, in seconds.
    :raises Unreachable: it cannot be; of a domain in a VPC the cause says so.
    """
    if found.endpoint is None:
        return
    from requests.utils import get_environ_proxies

    host, port = _host_and_port(found.endpoint)
    if get_environ_proxies(f"https://{host}:{port}"):
        return
    if (problem := _unreachable(host, port, timeout_s)) is None:
        return
    if found.vpc:
        raise Unreachable(
            f"domain {found.arn.name} is in {found.network}, which cannot be reached from here",
            evidence=f"{host}:{port} -> {problem}",
            fix=f"run Airflow's workers and triggerer inside {found.network}, or in a network peered with it that "
            f"resolves its names, and let the domain's security group take port {port} from them",
        )
    raise Unreachable(
        f"domain {found.arn.name} cannot be reached",
        evidence=f"{host}:{port} -> {problem}",
        fix=f"let Airflow's workers connect to the internet at port {port}, directly or by a proxy (https_proxy)",
    )


def _no_domain(access: AwsAccess, arn: DomainArn, error: NotFound) -> NotFound:
    try:
        names = [entry["DomainName"] for entry in access.call("opensearch", "list_domain_names")["DomainNames"]]
        there = f"the account has {', '.join(sorted(names))} there" if names else "the account has none there"
    except OpenSearchMLError:
        there = "which there are, the caller may not see"
    return NotFound(
        f"there is no domain {arn.name} in {arn.region}",
        evidence=error.evidence,
        fix=f"correct domain_arn ({there}), or use an aws_conn_id of account {arn.account_id}",
    )


def _status(told: dict[str, Any]) -> str:
    if told.get("Deleted"):
        return "being deleted"
    if told.get("Created") is False or not (told.get("Endpoint") or told.get("Endpoints")):
        return "being created"
    if told.get("UpgradeProcessing"):
        return "upgrading"
    return "processing a change" if told.get("Processing") else "active"


def _host_and_port(endpoint: str) -> tuple[str, int]:
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    return parts.hostname or "", parts.port or HTTPS


def _unreachable(host: str, port: int, timeout_s: float) -> str | None:
    until = time.monotonic() + timeout_s
    resolved: list[OSError | None] = []

    def resolve() -> None:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            resolved.append(None)
        except OSError as error:
            resolved.append(error)

    # The resolver knows no time-out; a thread that is stuck in it must not hold up the end of the process.
    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not resolved:
        return f"the name is not resolved within {timeout_s:g} s"
    if resolved[0]:
        return f"the name does not resolve: {resolved[0]}"
    try:
        socket.create_connection((host, port), timeout=max(until - time.monotonic(), 0.1)).close()
    except OSError as error:
        return f"no connection: {error}"
    return None
