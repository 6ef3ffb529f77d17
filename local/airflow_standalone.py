"""`airflow standalone` on this machine: started with the demo's settings, asked over its own REST API, stopped whole.

The settings are chosen for one person on one machine: SQLite, few parallel tasks (with many, SQLite locks), a scheduler
that looks ten times a second. They are not for production.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from local.errors import AirflowStartError
from local.server_process import HOST, ServerProcess

REPOSITORY = Path(__file__).resolve().parents[1]
PREFERRED_PORT = 8080
STARTS = 4  # for as many ports that others were faster to take
USER = "admin"
COMPONENTS = ("scheduler", "triggerer", "dag_processor")
ENDED = ("success", "failed")
POLL_S = 0.25
LOG_TAIL_CHARACTERS = 3_000

SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # On a busy machine the API server takes longer than 5 s, the default, over its first requests: the first task of a
    # demo was told as failed, and tried again.
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    # Parsed every few seconds, the DAG files alone would keep half a core busy; a changed file is seen within 30 s.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__API__HOST": HOST,
}


class BusyError(AirflowStartError):
    """Airflow has no time for a request now."""


@dataclass(frozen=True)
class AirflowStandalone(ServerProcess):
    """A running Airflow.

    :param password: of user ``admin``, for the UI and the REST API.
    """

    password: str = field(default="", repr=False)

    @cached_property
    def api(self) -> httpx.Client:
        """A client of the REST API, logged in."""
        client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        token = client.post("/auth/token", json={"username": USER, "password": self.password})
        token.raise_for_status()
        client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        return client

    def unhealthy(self) -> list[str]:
        """Return the components that do not work; empty when all do."""
        try:
            health = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5, trust_env=False).json()
        except (httpx.HTTPError, ValueError):
            return ["api-server"]
        return [name for name in COMPONENTS if (health.get(name) or {}).get("status") != "healthy"]

    def listens(self) -> bool:
        """Tell whether the URL's port is one of our own processes'."""
        process, port = self.process(), int(self.url.rpartition(":")[2])
        with suppress(psutil.Error):
            family = [process, *process.children(recursive=True)] if process else []
            return any(
                held.status == psutil.CONN_LISTEN and held.laddr.port == port
                for member in family
                for held in member.net_connections(kind="tcp")
            )
        return False

    def run(
        self, dag_id: str, conf: Mapping[str, Any], *, told: Callable[[str, str, float], None] | None = None
    ) -> DagRun:
        """Run a DAG through the scheduler and wait for its end.

        :param conf: the run's params.
        :param told: called with (task, state, seconds) as each task ends.
        """
        run = self.trigger(dag_id, conf)
        known: set[str] = set()
        while True:
            state = run.state
            for task in run.tasks():
                if told and task["state"] and task["end_date"] and task["task_id"] not in known:
                    known.add(task["task_id"])
                    told(task["task_id"], task["state"], task["duration"] or 0.0)
            if state in ENDED:
                return run
            time.sleep(POLL_S)

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> DagRun:
        """Start a run of a DAG.

        :raises httpx.HTTPStatusError: the params are refused, or there is no such DAG.
        """
        run_id = f"manual__{datetime.now(timezone.utc).isoformat()}-{secrets.token_hex(3)}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        self._start_run(f"/api/v2/dags/{dag_id}/dagRuns", body)
        return DagRun(self, dag_id, run_id)

    @retry(retry=retry_if_exception_type(BusyError), stop=stop_after_attempt(3), wait=wait_fixed(2), reraise=True)
    def _start_run(self, path: str, body: Mapping[str, Any]) -> None:
        answer = self.api.post(path, json=body)
        if answer.is_server_error:  # SQLite lets one write at a time, and a busy machine takes long over it
            raise BusyError("Airflow did not start a run", evidence=answer.text, fix="run again")
        if answer.status_code != httpx.codes.CONFLICT:  # the try before has started it all the same
            answer.raise_for_status()

    def task_ids(self, dag_id: str) -> list[str]:
        """Return the ids of a DAG's tasks, as Airflow last read it; none if it has not yet."""
        answer = self.api.get(f"/api/v2/dags/{dag_id}/tasks")
        return [task["task_id"] for task in answer.json()["tasks"]] if answer.is_success else []

    def has_connection(self, conn_id: str) -> bool:
        """Tell whether the database has a connection; the environment may have others."""
        answer = self.api.get(f"/api/v2/connections/{conn_id}")
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()
        return answer.is_success

    def write_connection(self, conn_id: str, *, password: str, conn_type: str = "http") -> None:
        """Do what a person does under Admin, Connections: add a connection, or give one another password."""
        body = {"connection_id": conn_id, "conn_type": conn_type, "password": password}
        if self.has_connection(conn_id):
            answer = self.api.patch(f"/api/v2/connections/{conn_id}", json=body)
        else:
            answer = self.api.post("/api/v2/connections", json=body)
        answer.raise_for_status()

    def write_pool(self, name: str, *, slots: int) -> None:
        """Do what ``airflow pools set`` does, unless the pool is there."""
        # Looked for first: while the scheduler takes runs up again, SQLite is locked, and what writes answers 500.
        answer = self.api.get(f"/api/v2/pools/{name}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            answer = self.api.post("/api/v2/pools", json={"name": name, "slots": slots})
        answer.raise_for_status()

    def stop(self, *, timeout_s: float = 15.0) -> None:
        """End the scheduler, its workers and all other children too; standalone itself leaves them behind."""
        process = self.process()
        if process is None:
            return
        family = [process]
        with suppress(psutil.NoSuchProcess):
            family += process.children(recursive=True)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.terminate()
        _, alive = psutil.wait_procs(family, timeout=timeout_s)
        for member in alive:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(alive, timeout=timeout_s)


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG."""

    airflow: AirflowStandalone
    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        return f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}"

    @property
    def state(self) -> str:
        """The run's state: queued, running, success or failed."""
        return str(self.details()["state"])

    def details(self) -> dict[str, Any]:
        """Return the run as the REST API tells it: state, queued_at, start_date, end_date, …"""
        return dict(self._get(""))

    def wait(self) -> str:
        """Wait for the run's end and return its state."""
        while (state := self.state) not in ENDED:
            time.sleep(POLL_S)
        return state

    def tasks(self) -> list[dict[str, Any]]:
        """Return the task instances in the order in which they started."""
        found: list[dict[str, Any]] = self._get("/taskInstances")["task_instances"]
        return sorted(found, key=lambda task: task["start_date"] or "~")

    def xcom(self, task_id: str, map_index: int = -1) -> Any:
        """Return what a task returned; of a mapped one, that instance."""
        value = self._get(f"/taskInstances/{task_id}/xcomEntries/return_value?map_index={map_index}")["value"]
        return json.loads(value) if isinstance(value, str) and value[:1] in '"[{' else value

    def log(self, task_id: str, attempt: int = 1, map_index: int = -1) -> str:
        """Return a task's log as text, one event a line; of a mapped one, that instance's."""
        entries = self._get(f"/taskInstances/{task_id}/logs/{attempt}?map_index={map_index}")["content"]
        return "\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)

    def answer(self, task_id: str, option: str) -> None:
        """Do what a person does under Required Actions: choose an option of a task that waits for one."""
        path = f"{self.path}/taskInstances/{task_id}/-1/hitlDetails"
        self.airflow.api.patch(path, json={"chosen_options": [option], "params_input": {}}).raise_for_status()

    @retry(retry=retry_if_exception_type(httpx.TimeoutException), stop=stop_after_attempt(3), reraise=True)
    def _get(self, path: str) -> Any:  # a machine at its limit lets a look wait; to look again does no harm
        answer = self.airflow.api.get(self.path + path, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return answer.json()


class PortLostError(AirflowStartError):
    """Another process was faster to take the port that had been free."""


@retry(retry=retry_if_exception_type(PortLostError), stop=stop_after_attempt(STARTS), reraise=True)
def start_airflow(home: Path, environment: Mapping[str, str], *, timeout_s: float = 300.0) -> AirflowStandalone:
    """Start Airflow on 127.0.0.1, on port 8080 if that is free, and return once all its components work.

    :param home: AIRFLOW_HOME; its database and the generated login are kept from one start to the next.
    :param environment: connections and settings (``AIRFLOW_CONN_…``) beside `SETTINGS`.
    :param timeout_s: for a machine that is busy; a process that ends is told at once.
    :raises AirflowStartError: it ended, or a component did not come up; nothing is left running.
    """
    home.mkdir(parents=True, exist_ok=True)
    kept = _kept_secrets(home)
    port = free_port(PREFERRED_PORT)
    url = f"http://{HOST}:{port}"
    log_file = home / "standalone.log"
    with log_file.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            cwd=REPOSITORY,
            env=environment_of(home, environment, url),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = AirflowStandalone(url, child.pid, psutil.Process(child.pid).create_time(), kept["password"])
    with _stopped_on_failure(server):
        _wait_until_healthy(server, child, log_file, time.monotonic() + timeout_s)
    return server


def environment_of(home: Path, environment: Mapping[str, str], url: str) -> dict[str, str]:
    """Return what a process needs to be of an Airflow: all that this process has, but nothing of another Airflow.

    :param home: AIRFLOW_HOME.
    :param environment: as for `start_airflow`.
    :param url: where its API server is, or will be.
    """
    kept = _kept_secrets(home)
    # Whatever another Airflow of this user has set would be mixed into ours.
    others = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    return {
        **others,
        **SETTINGS,
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        **environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",  # it calls `airflow`
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__FERNET_KEY": kept["fernet_key"],
        "AIRFLOW__API__SECRET_KEY": kept["api_secret"],
        "AIRFLOW__API_AUTH__JWT_SECRET": kept["jwt_secret"],
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }


def free_port(preferred: int) -> int:
    """Return the preferred TCP port on 127.0.0.1, or any free one if that is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise AirflowStartError("no TCP port is free", evidence=f"bind {HOST}:0", fix="end some other servers")


def _kept_secrets(home: Path) -> dict[str, str]:
    path = home / "secrets.json"
    if not path.exists():
        kept = {
            "password": secrets.token_urlsafe(12),
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "api_secret": secrets.token_urlsafe(32),
            "jwt_secret": secrets.token_urlsafe(32),
        }
        write_private(path, json.dumps(kept))
        write_private(home / "simple_auth_manager_passwords.json.generated", json.dumps({USER: kept["password"]}))
    return dict(json.loads(path.read_text()))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from the first byte on."""
    path.unlink(missing_ok=True)  # an existing file would keep its own mode
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


@contextmanager
def _stopped_on_failure(server: ServerProcess) -> Iterator[None]:
    try:
        yield
    except BaseException:
        server.stop()
        raise


def _wait_until_healthy(
    server: AirflowStandalone, child: subprocess.Popen[bytes], log_file: Path, deadline: float
) -> None:
    lacking = ["api-server"]
    while time.monotonic() < deadline and child.poll() is None:
        # Another Airflow may have taken the port since it was found free: it would answer, and well.
        if server.listens():
            if not (lacking := server.unhealthy()):
                return
        elif lost_its_port(log_file.read_text(errors="replace"), server.url):
            raise PortLostError(
                f"{server.url} was taken by another process", evidence=str(log_file), fix="start it again"
            )
        time.sleep(POLL_S)
    tail = log_file.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip()
    raise AirflowStartError(
        f"Airflow ended with exit code {child.returncode}"
        if child.returncode is not None
        else f"Airflow's {', '.join(lacking)} did not come up in time",
        evidence=f"the end of {log_file}:\n{tail}",
        fix=f"read {log_file}; on a machine that is busy, end something else and run again",
    )


def lost_its_port(log: str, url: str) -> bool:
    """Tell whether Airflow's log says that the port of its URL is another's; it says so of its other ports too."""
    return re.search(rf"\b{url.rpartition(':')[2]}\)?: address already in use", log, re.IGNORECASE) is not None
