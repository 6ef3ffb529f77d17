"""A real OpenSearch on this machine, for the demo and the tests: ML Commons, k-NN, neural search, Security, TLS.

    with OpenSearchCluster(Path(".local/opensearch")) as cluster:
        requests.get(cluster.url, auth=("admin", cluster.admin_password), verify=cluster.ca_path)

The servers are detached: they outlive the process that started them, and any later process can stop them by their home.
They listen on 127.0.0.1 only. Started by root, they run as `nobody`.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import string
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

import psutil
import requests

from local.certificates import Certificates, issue_certificates
from local.distribution import CACHE_VARIABLE, DEFAULT_VERSION, Layout, cache_folder, lay_out, locked, make_folder
from local.distribution_download import say
from local.errors import ClusterNotHealthy, ClusterStartError
from local.opensearch_config import ADMIN, PROXY_AUTH_DOMAIN, NodeSettings, Ports, security_config, write_config
from local.opensearch_node import Node

PREFERRED_PORT = 9200
TRANSPORT_OFFSET = 100
BESIDE_HEAP = 600 << 20  # bytes that a server takes beside its heap: class data, buffers, stacks
POLL_S = 0.2
REQUEST_TIMEOUT_S = 10
PASSWORD_LENGTH = 24
CONNECTOR_INDEX = ".plugins-ml-connector"
FIRST_CONNECTOR = {
    "name": "first connector of a fresh cluster, deleted at once",
    "version": 1,
    "protocol": "http",
    "credential": {"key": "none"},
    "actions": [{"action_type": "predict", "method": "POST", "url": "https://api.openai.com/v1/models"}],
}
PASSWORD_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-_.")  # safe in shells and URLs
HEAP = re.compile(r"(\d+)([mMgG])")
UNITS = {"m": 1 << 20, "g": 1 << 30}


class OpenSearchCluster:
    """One or more OpenSearch servers that form a cluster.

    :param home: its folder, for what must survive a restart: data, ports, password, certificates. If root gives one
        that ``nobody`` cannot walk to (a clone in a private folder), a folder in the cache takes its place: ``folder``.
    :param version: ``3.6.0`` or ``2.19.1``.
    :param nodes: how many servers. The first one forms the cluster and must run; the others may come and go.
    :param heap: largest Java heap of each server, such as ``512m`` or ``1g``.
    :param preferred_port: of the first server's HTTP interface, if it is free at the first start; 0 takes any.
    :param proxy_auth: whether callers on this machine may act as anyone through proxy headers, see ``security_config``.
    :param say: gets what a person should know: progress of a download, another port, another folder.
    """

    def __init__(
        self,
        home: Path,
        *,
        version: str = DEFAULT_VERSION,
        nodes: int = 1,
        heap: str = "1g",
        preferred_port: int = PREFERRED_PORT,
        proxy_auth: bool = False,
        say: Callable[[str], None] = say,
    ) -> None:
        self.home = home.resolve()
        self.version = version
        self.heap = heap
        self.folder = _folder_for(self.home)
        self.nodes = tuple(Node(self.folder / f"node-{number}") for number in range(1, nodes + 1))
        self._preferred_port = preferred_port
        self._proxy_auth = proxy_auth
        self._say = say

    @property
    def url(self) -> str:
        """Of the first node, such as ``https://127.0.0.1:9200``; the same after a restart unless its port was taken.

        :raises ClusterStartError: it was never started.
        """
        url = self.nodes[0].url
        if url is None:
            raise ClusterStartError(
                "the cluster has no URL before its first start", evidence=f"no ports in {self.folder}", fix="start() it"
            )
        return url

    @property
    def ca_path(self) -> Path:
        """Certificate to verify the cluster's TLS with, in PEM; there from the first start on."""
        return self.folder / "ca.pem"

    @property
    def certificate_path(self) -> Path:
        """Certificate for ``localhost`` and ``127.0.0.1`` that the servers show, in PEM; its key is beside it."""
        return self.folder / "node.pem"

    @property
    def key_path(self) -> Path:
        """Private key of the servers' certificate, for its owner's eyes only."""
        return self.folder / "node-key.pem"

    @property
    def admin_user(self) -> str:
        return ADMIN

    @property
    def admin_password(self) -> str:
        """Generated once per installation and kept in a file that only its owner can read."""
        path = self.folder / "admin_password"
        if not path.exists():
            make_folder(self.folder)
            _write_private(path, _new_password().encode())
        return path.read_text()

    @property
    def urls(self) -> tuple[str, ...]:
        """Of the nodes that run."""
        return tuple(node.url for node in self.nodes if node.url and node.pid is not None)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the servers that run."""
        return tuple(pid for node in self._nodes_on_disk() if (pid := node.pid) is not None)

    @property
    def running(self) -> bool:
        """Whether all its servers run; whether they answer is what ``wait_until_healthy`` tells."""
        return all(node.pid is not None for node in self.nodes)

    def start(self) -> None:
        """Start the servers that do not run, laying out their version first if this machine lacks it.

        :raises ClusterStartError: too little memory, or root's ``nobody`` cannot reach the files.
        :raises LayoutError: or ``DownloadError``, see ``local.distribution.lay_out``.
        """
        self._start(self.nodes)

    def start_node(self, number: int) -> None:
        """Start one server, counted from 1, unless it runs. The first must have been started before."""
        self._start(self.nodes[number - 1 : number])

    def stop_node(self, number: int) -> None:
        """Stop one server, counted from 1."""
        self.nodes[number - 1].stop()

    def kill_node(self, number: int) -> None:
        """Kill one server, counted from 1, as a crash would."""
        self.nodes[number - 1].kill()

    def wait_until_healthy(self, timeout_s: float = 120.0) -> None:
        """Wait until every server that was started answers, has found the others, and ML Commons takes a connector.

        :param timeout_s: whole budget in seconds.
        :raises ClusterStartError: a server ended; evidence is the end of its log. Raised at once.
        :raises ClusterNotHealthy: the budget is used up.
        """
        deadline = time.monotonic() + timeout_s
        with self._session() as session:
            while problem := self._problem(session) or self._ml_problem(session):
                if time.monotonic() > deadline:
                    raise ClusterNotHealthy(
                        f"OpenSearch is not healthy after {timeout_s:g} s",
                        evidence=f"{problem}\n    {self.nodes[0].log_tail()}",
                        fix=f"read {self.nodes[0].log_path}; a slow machine needs a longer timeout",
                    )
                time.sleep(POLL_S)
            self._apply_proxy_auth(session)

    def stop(self) -> None:
        """Stop all servers and wait until they are gone. Does nothing if none runs."""
        if not self.folder.exists():
            return
        with self._locked():
            for node in reversed(self._nodes_on_disk()):  # the first one holds the cluster together until the end
                node.stop()

    def reset(self) -> None:
        """Stop the servers and delete their data; ports, password and certificates stay."""
        self.stop()
        for node in self._nodes_on_disk():
            node.delete_data()

    def delete(self) -> None:
        """Stop the servers and delete all there is of the cluster; the layout stays for others."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> OpenSearchCluster:
        try:
            self.start()
            self.wait_until_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _nodes_on_disk(self) -> list[Node]:
        """Also those of a process that started more servers than this one knows of."""
        return [Node(folder) for folder in sorted(self.folder.glob("node-*"))]

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.folder / "lock", on_wait=lambda: self._say(f"another process starts or stops {self.folder}"))

    def _start(self, wanted: Sequence[Node]) -> None:
        layout = lay_out(self.version, say=self._say)
        for node in self.nodes:
            make_folder(node.folder)
        with self._locked():
            waiting = [node for node in wanted if node.pid is None]
            if not waiting:
                return
            self._require_reach(layout)
            _require_memory(len(waiting), self.heap)
            certificates = self._certificates()
            ports = self._choose_ports()
            for node in waiting:
                settings = NodeSettings(node.folder, ports[node.name], tuple(ports.values()))
                write_config(settings, layout, certificates, self.admin_password, proxy_auth=self._proxy_auth)
                node.start(layout, self.heap)

    def _require_reach(self, layout: Layout) -> None:
        """Root's servers run as ``nobody``, who must be able to walk to their files."""
        if self.folder != self.home:
            self._say(f"OpenSearch runs as nobody, who cannot walk to {self.home}: its folder is {self.folder}")
        for folder in (layout.home, self.folder):
            if os.geteuid() == 0 and not _everybody_can_walk_to(folder):
                raise ClusterStartError(
                    "OpenSearch refuses to run as root, and nobody cannot walk to its files",
                    evidence=f"a folder above {folder} is closed to others",
                    fix=f"name an open one, such as: export {CACHE_VARIABLE}=/var/cache/opensearch-ml",
                )

    def _choose_ports(self) -> dict[str, Ports]:
        """Of all nodes, by name: also of those that are not started now, so that the others can look for them there."""
        ports = {}
        for index, node in enumerate(self.nodes):
            base = self._preferred_port
            preferred = Ports(base + index, base + TRANSPORT_OFFSET + index) if base else Ports(0, 0)
            running = node.ports if node.pid is not None else None
            ports[node.name] = running or node.choose_ports(preferred, self._say)
        return ports

    def _certificates(self) -> Certificates:
        paths = (self.ca_path, self.certificate_path, self.key_path)
        if not all(path.exists() for path in paths):
            issued = issue_certificates()
            for path, content in zip(reversed(paths), (issued.node_key, issued.node, issued.ca), strict=True):
                _write_private(path, content)  # the CA last: from then on the set is complete
            self.ca_path.chmod(0o644)
        return Certificates(*(path.read_bytes() for path in paths))

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # REQUESTS_CA_BUNDLE would override `verify`
        session.verify = str(self.ca_path)
        session.auth = (self.admin_user, self.admin_password)
        return session

    def _problem(self, session: requests.Session) -> str | None:
        """What keeps the cluster from being healthy."""
        expected = [node for node in self._nodes_on_disk() if node.should_run]
        if not expected:
            return "no server was started"
        for node in expected:
            if node.pid is None:
                return self._restarted_elsewhere(node)
            with suppress(requests.RequestException):
                # Asked first, because anything else is an error in the server's log until Security is ready.
                security = session.get(f"{node.url}/_plugins/_security/health", timeout=REQUEST_TIMEOUT_S)
                if not security.ok:
                    return f"{node.name} still initialises its Security plugin"
                answer = session.get(f"{node.url}/_cluster/health", timeout=REQUEST_TIMEOUT_S)
                if not answer.ok:
                    return f"{node.name} answers {answer.status_code} {answer.text.strip()[:200]}"
                health = answer.json()
                if health["number_of_nodes"] != len(expected):
                    return f"{node.name} sees {health['number_of_nodes']} of {len(expected)} nodes"
                if health["status"] == "red":
                    return f"{node.name} still recovers its indices"
                continue
            return f"{node.name} does not answer at {node.url}"
        return None

    def _ml_problem(self, session: requests.Session) -> str | None:
        """What keeps ML Commons from taking a connector.

        With the first one a cluster makes the index and the master key, and answers 503 until it has them.
        """
        url = next(node.url for node in self._nodes_on_disk() if node.should_run)
        api = f"{url}/_plugins/_ml/connectors"
        try:
            if session.get(f"{url}/{CONNECTOR_INDEX}", timeout=REQUEST_TIMEOUT_S).ok:
                return None
            answer = session.post(f"{api}/_create", json=FIRST_CONNECTOR, timeout=REQUEST_TIMEOUT_S)
            if not answer.ok:
                return f"ML Commons takes no connector: {answer.status_code} {answer.text.strip()[:200]}"
            session.delete(f"{api}/{answer.json()['connector_id']}", timeout=REQUEST_TIMEOUT_S).raise_for_status()
        except requests.RequestException as error:
            return f"ML Commons does not answer at {url}: {error}"
        return None

    def _restarted_elsewhere(self, node: Node) -> str:
        """Start a server again that lost its port to a faster process.

        :raises ClusterStartError: it ended for another reason.
        """
        if not node.lost_its_port():
            raise ClusterStartError(
                f"OpenSearch {self.version} {node.name} has ended",
                evidence=node.log_tail(),
                fix=f"read {node.log_path}",
            )
        self._start([node])
        return f"{node.name} was started again on another port"

    def _apply_proxy_auth(self, session: requests.Session) -> None:
        """In a cluster that was made with the other choice: its Security index no longer follows the node's files."""
        api = f"{self.nodes[0].url}/_plugins/_security/api/securityconfig"
        answer = session.get(api, timeout=REQUEST_TIMEOUT_S)
        answer.raise_for_status()
        if answer.json()["config"]["dynamic"]["authc"][PROXY_AUTH_DOMAIN]["http_enabled"] != self._proxy_auth:
            wanted = security_config(proxy_auth=self._proxy_auth)["config"]
            session.put(f"{api}/config", json=wanted, timeout=REQUEST_TIMEOUT_S).raise_for_status()


def _folder_for(home: Path) -> Path:
    if os.geteuid() != 0 or _everybody_can_walk_to(home):
        return home
    return cache_folder() / "clusters" / hashlib.sha256(str(home).encode()).hexdigest()[:16]


def _everybody_can_walk_to(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents) if folder.exists())


def _require_memory(servers: int, heap: str) -> None:
    needed = servers * (_bytes(heap) + BESIDE_HEAP)
    available = psutil.virtual_memory().available
    if available < needed:
        raise ClusterStartError(
            "too little memory for OpenSearch",
            evidence=f"{available >> 20} MiB available, {needed >> 20} MiB needed: {servers} server(s), heap {heap}",
            fix="end what takes memory, or give a smaller heap or fewer nodes",
        )


def _bytes(heap: str) -> int:
    if not (match := HEAP.fullmatch(heap)):
        raise ClusterStartError("not a heap size", evidence=repr(heap), fix="write it as 512m or 1g")
    return int(match[1]) * UNITS[match[2].lower()]


def _new_password() -> str:
    """With a character of every class, as the Security plugin asks of its administrator."""
    required = [secrets.choice(characters) for characters in PASSWORD_CLASSES]
    free = [secrets.choice("".join(PASSWORD_CLASSES)) for _ in range(PASSWORD_LENGTH - len(required))]
    password = required + free
    secrets.SystemRandom().shuffle(password)
    return "".join(password)


def _write_private(path: Path, content: bytes) -> None:
    """For its owner's eyes only from the first byte on, and at once: another process never reads half of it."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    unfinished.replace(path)
