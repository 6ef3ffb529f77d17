"""The embedded stack: a real OpenSearch, model endpoints, moto and Airflow, started and stopped as one.

Everything that belongs to one stack is in its folder, so that several may run side by side: ``.local`` in the clone for
`make up` and `make demo`, a temporary folder for a test.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import psutil
import yaml

from local.airflow_standalone import REPOSITORY, AirflowStandalone, environment_of, free_port, start_airflow
from local.aws_account.process import AwsAccount, start_aws_account
from local.distribution import DEFAULT_VERSION
from local.errors import LocalStackError
from local.minilm import DIMENSIONS
from local.model_endpoints.keys import bearer_fingerprint, save_keys
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from local.opensearch import OpenSearchCluster
from local.server_process import ServerProcess

FOLDER = Path(__file__).resolve().parents[1] / ".local"
AIRFLOW_MEMORY = 1_500_000_000  # bytes: measured, with eight parallel tasks
PLATFORM_CONNECTION = "openai_default"  # in Airflow's database; all others are in its environment
POOL_SLOTS = 4  # of a target that names a pool: so many tasks at once are a small cluster's share
S = TypeVar("S", bound=ServerProcess)


class Stack:
    """One stack, running or not.

    :param folder: where its state, logs and secrets are.
    :param version: of OpenSearch; kept from the first start on.
    :param say: gets what a person should know, one line at a time.
    :param environment: more settings and connections for Airflow.
    """

    # In the order of their start.
    handles: ClassVar[dict[str, type[ServerProcess]]] = {
        "moto": AwsAccount,
        "model endpoints": ModelEndpoints,
        "airflow": AirflowStandalone,
    }

    def __init__(
        self,
        folder: Path = FOLDER,
        *,
        version: str | None = None,
        say: Callable[[str], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.version = version or self._state().get("version") or DEFAULT_VERSION
        self.environment = dict(environment or {})
        self.say = say or (lambda line: print(line, flush=True))

    @cached_property
    def opensearch(self) -> OpenSearchCluster:
        """The cluster; each version has data of its own."""
        return OpenSearchCluster(
            self.folder / f"opensearch-{self.version}",
            version=self.version,
            preferred_port=free_port(9200),
            say=self.say,
        )

    @property
    def model_endpoints(self) -> ModelEndpoints | None:
        """The model endpoints, if they run."""
        return self._running("model endpoints", ModelEndpoints)

    @property
    def moto(self) -> AwsAccount | None:
        """moto, if it runs."""
        return self._running("moto", AwsAccount)

    @property
    def airflow(self) -> AirflowStandalone | None:
        """Airflow, if it runs."""
        return self._running("airflow", AirflowStandalone)

    def up(self) -> None:
        """Start what does not run yet, and return when all of it works.

        :raises LocalStackError: something did not come up; what runs by then stays up, and `down` ends it.
        """
        with self._alone():
            other = self._state().get("version")
            if other and other != self.version and self.running():
                raise LocalStackError(
                    f"the stack runs OpenSearch {other}",
                    evidence=f"{', '.join(self.running())} are up",
                    fix=f"make down, then start OpenSearch {self.version}",
                )
            self._remember(version=self.version)
            self._check_memory()
            started = time.monotonic()
            if not self.opensearch.running:
                self.say(f"==> OpenSearch {self.version} with ML Commons, k-NN, neural search and Security")
                self.opensearch.start()
            if not self.moto:
                self.say(
                    "==> moto (IAM, STS, Secrets Manager), model endpoints (OpenAI, Cohere, SageMaker, Bedrock, …)"
                )
                self._keep("moto", start_aws_account(port=self._port("moto"), log_file=self.folder / "moto.log"))
            if not self.model_endpoints:
                self._keep("model endpoints", self._start_model_endpoints())
            self.opensearch.wait_until_healthy()
            self._start_others()
            self._write_target()
            environment = self.airflow_environment()
            fingerprint = hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()
            if self.airflow and self._state().get("airflow environment") != fingerprint:
                self.say("==> something it connects to has moved, so Airflow starts again")
                self.airflow.stop()
            if not self.airflow:
                self._remember(**{"airflow environment": fingerprint})
                self.say("==> Airflow (scheduler, triggerer, DAG processor, API server)")
                self._keep("airflow", start_airflow(self.folder / "airflow", environment))
            self._write_connection()
            self._write_pools()
            self.say(f"==> all up after {time.monotonic() - started:.0f} s")

    def down(self) -> None:
        """Stop everything that this stack started; twice is once."""
        with self._alone():
            for name in reversed(self.handles):
                if server := self._running(name, self.handles[name]):
                    server.stop()
                    self.say(f"stopped {name}")
                self._remember(**{name: None})
            if self.opensearch.pids:
                self.opensearch.stop()
                self.say("stopped opensearch")

    def reset(self) -> None:
        """Stop everything and forget all data, logins and ports."""
        self.down()
        self.opensearch.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    def running(self) -> dict[str, str]:
        """Return what runs: name to URL."""
        found = {"opensearch": self.opensearch.url} if self.opensearch.pids else {}
        return found | {name: server.url for name, cls in self.handles.items() if (server := self._running(name, cls))}

    def airflow_environment(self) -> dict[str, str]:
        """Return the connections and settings that Airflow is started with."""
        keys = self.keys
        connections = {
            "OPENSEARCH_DEFAULT": {
                "conn_type": "opensearch",
                "host": "127.0.0.1",
                "port": int(self.opensearch.url.rpartition(":")[2]),
                "login": self.opensearch.admin_user,
                "password": self.opensearch.admin_password,
                "extra": {"use_ssl": True, "verify_certs": True, "ca_certs": str(self.opensearch.ca_path)},
            },
            "COHERE_DEFAULT": {"conn_type": "http", "password": keys["cohere"][0]},
            "AWS_DEFAULT": {
                "conn_type": "aws",
                "login": keys["aws"][0]["access_key_id"],
                "password": keys["aws"][0]["secret_access_key"],
                "extra": {"region_name": "us-east-1", "endpoint_url": self.moto.url if self.moto else ""},
            },
        }
        return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()} | {
            "AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER": str(self.folder / "targets"),
            **self.environment,
        }

    @property
    def target_path(self) -> Path:
        """The file of the target that the cluster is, where a person may add blueprints and variables."""
        return self.folder / "targets" / "local.yaml"

    def command_environment(self) -> dict[str, str]:
        """Return the environment of a command that works with this stack as its Airflow does.

        :raises LocalStackError: its Airflow does not run.
        """
        if not self.airflow or not self.opensearch.pids:
            raise LocalStackError(
                "the demo's stack does not run", evidence="make status tells what does", fix="make demo, or make up"
            )
        environment = environment_of(self.folder / "airflow", self.airflow_environment(), self.airflow.url)
        return {**environment, "PYTHONPATH": str(REPOSITORY / "plugins")}

    @property
    def keys(self) -> dict[str, Any]:
        """The keys that the model endpoints accept; generated once per stack."""
        path = self.folder / "keys.json"
        if not path.exists():
            aws = {
                "access_key_id": "AKIA"
                + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16)),
                "secret_access_key": secrets.token_urlsafe(30),
            }
            save_keys(path, {"openai": [_openai_key()], "cohere": [secrets.token_urlsafe(24)], "aws": [aws]})
        return dict(json.loads(path.read_text()))

    def make_openai_key(self) -> str:
        """Make another key that the model endpoints accept besides those before, and return it."""
        key = _openai_key()
        save_keys(self.folder / "keys.json", {**self.keys, "openai": [key, *self.keys["openai"]]})
        if self.model_endpoints:
            self.model_endpoints.accept_keys({"openai": [key]})
        return key

    def refuse_older_openai_keys(self) -> None:
        """Have the model endpoints refuse every key but the newest."""
        newest, *older = self.keys["openai"]
        save_keys(self.folder / "keys.json", {**self.keys, "openai": [newest]})
        if endpoints := self.model_endpoints:
            for key in older:
                endpoints.refuse_key(bearer_fingerprint(key))

    def _write_connection(self) -> None:
        # In Airflow's database, where a person can change it: what the environment has, wins over that.
        if self.airflow and not self.airflow.has_connection(PLATFORM_CONNECTION):
            self.airflow.write_connection(PLATFORM_CONNECTION, password=self.keys["openai"][0])

    def _write_pools(self) -> None:
        # Airflow starts no task of a pool that is not there.
        for path in sorted((self.folder / "targets").glob("*.yaml")):
            pool = (yaml.safe_load(path.read_text()) or {}).get("pool")
            if self.airflow and pool:
                self.airflow.write_pool(pool, slots=POOL_SLOTS)

    def _start_model_endpoints(self) -> ModelEndpoints:
        return start_model_endpoints(
            keys=self.keys, port=self._port("model endpoints"), log_file=self.folder / "model_endpoints.log"
        )

    def _port(self, name: str) -> int:
        # Connectors, trusted endpoints and Airflow's connections name it: the same from one start to the next.
        port = free_port(self._state().get(f"{name} port") or 0)
        self._remember(**{f"{name} port": port})
        return port

    def _start_others(self) -> None:
        """Start what stands between Airflow and the cluster; here nothing does."""

    def _write_target(self) -> None:
        self.target_path.parent.mkdir(exist_ok=True)
        self.target_path.write_text(yaml.safe_dump(self._target(), sort_keys=False))

    def _target(self) -> dict[str, Any]:
        kept = yaml.safe_load(self.target_path.read_text()) if self.target_path.exists() else {}
        url = self.model_endpoints.url if self.model_endpoints else ""
        return {
            **kept,  # what a person has added
            "opensearch_conn_id": "opensearch_default",
            "variables": {**kept.get("variables", {}), "openai_url": url, "cohere_url": url, "dimension": DIMENSIONS},
            # The model endpoints are on this machine.
            "settings": {"private_ip_enabled": True},
            "role_mapping": {"ml_full_access": {"backend_roles": ["airflow"]}},
        }

    def _check_memory(self) -> None:
        available = psutil.virtual_memory().available
        if not self.airflow and available < AIRFLOW_MEMORY:
            raise LocalStackError(
                "memory is short for Airflow",
                evidence=f"{available / 1e9:.1f} GB available, about {AIRFLOW_MEMORY / 1e9:.1f} GB needed",
                fix="end some other programs and run again",
            )

    def _running(self, name: str, handle: type[S]) -> S | None:
        kept = self._state().get(name)
        if not kept:
            return None
        if handle is AirflowStandalone:
            kept = kept | {"password": json.loads((self.folder / "airflow" / "secrets.json").read_text())["password"]}
        server = handle(**kept)
        return server if server.process() else None

    def _keep(self, name: str, server: ServerProcess) -> None:
        self._remember(**{name: {key: value for key, value in asdict(server).items() if key != "password"}})

    def _state(self) -> dict[str, Any]:
        path = self.folder / "stack.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _remember(self, **values: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "stack.json"
        half = path.with_suffix(".new")
        half.write_text(json.dumps({**self._state(), **values}, indent=2))
        half.replace(path)  # a reader never sees half a file

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two `make up` at once: the second waits, then finds all of it up
            yield


def _openai_key() -> str:
    return f"sk-{secrets.token_urlsafe(24)}"
