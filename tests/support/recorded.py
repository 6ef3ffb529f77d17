"""Reads a recording of what an earlier version kept, and stands for the cluster, AWS and task instances in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc, ModelGroupDoc
from opensearch_ml.hook import OpenSearchMLHook
from tests.support.repository import REPOSITORY

NEWEST, OLDER = "3.6.0", "2.19.1"
FIRST, SECOND = {"openAI_key": "sk-recorded-first-no-real-key"}, {"openAI_key": "sk-recorded-second-no-real-key"}
BY_HAND = "Made by hand"
SELF_MANAGED, DOMAIN = "airflow", "airflow-domain"  # folders
Document = dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """The recording of one version.

    :param version: of this project; the name of its folder in ``tests/data``.
    """

    version: str

    @property
    def folder(self) -> Path:
        return REPOSITORY / "tests" / "data" / self.version

    def load(self, name: str) -> Any:
        """Return the content of a file, as a copy that a test may change."""
        return deepcopy(_read(self.folder / f"{name}.json"))

    def catalog(self, folder: Path, target: str = "airflow/target") -> Catalog:
        """Return the blueprints and the target of the recording.

        :param folder: for the target's file.
        :param target: the recording's file that has the target.
        """
        targets = folder / "targets"
        targets.mkdir(exist_ok=True)
        (targets / "local.yaml").write_text(yaml.safe_dump(self.load(target)))
        return Catalog(self.folder / "blueprints", targets)

    def run(self, label: str, folder: str = SELF_MANAGED) -> RecordedRun:
        """Return a recorded run of an Airflow."""
        return RecordedRun(label, self.load(f"{folder}/xcoms")[label])

    def events(self, label: str, folder: str = SELF_MANAGED) -> list[Document]:
        """Return the asset events of a run, oldest first."""
        return [event for event in self.load(f"{folder}/asset_events") if event["run"] == label]

    def cluster(self, moment: str, opensearch: str = NEWEST, *, form: str = "get", name: str = "cluster") -> ClusterAt:
        """Return the cluster at a moment.

        :param opensearch: the version of OpenSearch.
        :param form: what a search returns: the recorded answer of a ``search``, or of a ``get``, which is never old.
        """
        return ClusterAt(self.load(f"{name}-{opensearch}")[moment], tuple(map(int, opensearch.split("."))), form)


@dataclass
class ClusterAt:
    """Answers like a hook on the recorded cluster; a write is an error."""

    moment: Document
    version: tuple[int, ...]
    form: str = "get"
    domain_arn: Any = None
    opensearch_conn_id: str = "opensearch_default"

    @property
    def hook(self) -> OpenSearchMLHook:
        return cast(OpenSearchMLHook, self)

    def search_models(self, query: Mapping[str, object]) -> list[ModelDoc]:
        return self._search("models", query)

    def search_connectors(self, query: Mapping[str, object]) -> list[ConnectorDoc]:
        return self._search("connectors", query)

    def search_model_groups(self, query: Mapping[str, object]) -> list[ModelGroupDoc]:
        return self._search("model_groups", query)

    def get_model(self, model_id: str) -> ModelDoc | None:
        found: ModelDoc | None = self._get("models", model_id)
        return found

    def get_connector(self, connector_id: str) -> ConnectorDoc | None:
        found: ConnectorDoc | None = self._get("connectors", connector_id)
        return found

    def cluster_settings(self) -> dict[str, Any]:
        return dict(self.moment["settings"])

    def role_mappings(self) -> dict[str, dict[str, list[str]]]:
        return dict(self.moment["role_mapping"])

    def cluster_uuid(self) -> str:
        return str(self.moment["cluster_uuid"])

    def trusted_endpoints(self) -> list[str]:
        return trusted_endpoints.entries(self.moment["settings"])

    def keep_secret(self, secrets: Iterable[str | None]) -> None:
        pass

    def named(self, name: str) -> ModelDoc:
        """Return the one model of a name."""
        [found] = [one for one in self.search_models({"match_all": {}}) if one["name"] == name]
        return found

    def _search(self, kind: str, query: Mapping[str, object]) -> list[Any]:
        found = [{**one[self.form], "id": object_id} for object_id, one in self.moment[kind].items()]
        fits = [one for one in found if _fits(one, query)]
        return sorted(fits, key=lambda one: (one["created_time"], one["id"]))

    def _get(self, kind: str, object_id: str) -> Any:
        found = self.moment[kind].get(object_id)
        return {**found["get"], "id": object_id} if found else None  # as the hook does


def _fits(found: Document, query: Mapping[str, Any]) -> bool:
    [(kind, asked)] = query.items()
    if kind == "match_all":
        return True
    if kind == "bool":
        assert asked.keys() <= {"filter", "should", "minimum_should_match"}, asked
        needed = all(_fits(found, one) for one in asked.get("filter", ()))
        return needed and ("should" not in asked or any(_fits(found, one) for one in asked["should"]))
    [(path, wanted)] = asked.items()
    if kind == "ids":
        return found["id"] in wanted
    if kind == "exists":
        return _value(found, wanted) is not None
    if kind == "match_phrase":
        return str(wanted) in str(_value(found, path) or "")
    assert kind in ("term", "terms"), kind
    return _value(found, path) in (wanted if kind == "terms" else [wanted])


def _value(found: Any, path: str) -> Any:
    for part in path.removesuffix(".keyword").split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


@dataclass
class RecordedRun:
    """A run, and a task instance in it whose `xcom_pull` returns what the run's tasks pushed.

    :ivar pushed: what the code under test pushes.
    """

    label: str
    recorded: Document
    task_id: str = ""
    map_index: int = -1
    id: str = "1"
    pushed: Document = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        return str(self.recorded["dag_id"])

    @property
    def run_id(self) -> str:
        return str(self.recorded["dag_run_id"])

    @property
    def run_type(self) -> str:
        return str(self.recorded["run_type"])

    def value(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return the one XCom of a task instance."""
        [found] = [
            one["value"]
            for one in self.recorded["xcoms"]
            if (one["task_id"], one["key"], one["map_index"]) == (task_id, key, map_index)
        ]
        return found

    def xcom_pull(self, task_ids: Any, key: str = "return_value", include_prior_dates: bool = False) -> Any:
        names = [task_ids] if isinstance(task_ids, str) else task_ids
        found = [
            one["value"]
            for one in sorted(self.recorded["xcoms"], key=lambda one: int(one["map_index"]))
            if one["task_id"] in names and one["key"] == key
        ]
        if isinstance(task_ids, str):
            return found[-1] if found else None
        return found or [None]

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def context(self, task_id: str = "", map_index: int = -1, **more: Any) -> Any:
        """Return a task's context."""
        self.task_id, self.map_index = task_id, map_index
        return {"ti": self, "task_instance": self, "dag_run": self, **more}


@dataclass
class AwsAt:
    """Answers like our access to AWS with what was recorded; by operation."""

    answers: Mapping[str, Callable[..., Any]]
    aws_conn_id: str = "aws_default"
    region_name: str = "us-east-1"

    @property
    def access(self) -> AwsAccess:
        return cast(AwsAccess, self)

    def caller(self) -> str:
        return "arn:aws:sts::123456789012:assumed-role/airflow/session"

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        return self.answers[operation](**arguments)


@cache
def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
