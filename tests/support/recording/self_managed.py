"""What a self-managed cluster and its Airflow hold: provisioned, reconciled, rotated, interrupted and torn down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from local.airflow_standalone import ENDED, DagRun
from local.aws_account.process import AwsAccount
from local.model_endpoints.keys import bearer_fingerprint
from local.stack import Stack
from tests.support.cluster import Cluster
from tests.support.recording import cluster_documents
from tests.support.recording.cluster_documents import Moment, Watcher, documents, is_claimed, is_switched, is_tested
from tests.support.recording.neutral import neutral
from tests.support.recording.stacks import (
    FIRST,
    PROVISION,
    RECONCILE,
    REFUSED,
    ROTATE,
    SECOND,
    TEARDOWN,
    Runs,
    change_target,
    endpoints_of,
    ports_of,
    running,
)

KEY = "openai_default"
ROTATED = ("embedding", "inside")
SOURCES = ("user_key", "session", "secret")
LIVING = ["embedding", "inside", "chat", "plain", "adopted"]
BY_HAND = "Made by hand"
USER, SESSION_ROLE, SECRET = "sagemaker-caller", "sagemaker-session", "openai-key"
INVOKE = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": "*"}
ANYBODY = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
ANSWER = ("task_id", "chosen_options", "responded_by")
DEAD_S = 320.0  # a plan takes a rotation for dead after 300 s
INTENDED_WITHIN_S = 30.0  # the note about a key that is about to be made exists for some milliseconds
READS_S = 2.0  # before an answer
SLOW_S = 2.0  # of an answer, so that the steps of a rotation can be watched


@dataclass
class Recording:
    """What was recorded, by file."""

    runs: dict[str, Any] = field(default_factory=dict)
    asset_events: list[dict[str, Any]] = field(default_factory=list)
    asset_state: dict[str, Any] = field(default_factory=dict)
    task_state: dict[str, Any] = field(default_factory=dict)
    waiting: dict[str, Any] = field(default_factory=dict)
    cluster: dict[str, Moment] = field(default_factory=dict)
    aws: dict[str, Any] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)


def record_self_managed(folder: Path, version_folder: Path, opensearch: str, *, whole: bool) -> Recording:
    """Record a self-managed cluster.

    :param folder: for the stack; it is deleted afterwards.
    :param version_folder: has the blueprints.
    :param opensearch: its version.
    :param whole: False: only what a cluster of another version returns differently.
    """
    stack = Stack(folder, version=opensearch)
    with running(stack, version_folder, {"blueprints": [*LIVING, "broken"], "variables": VARIABLES}) as runs:
        story = Story(stack, runs)
        story.provisioned()
        story.reconciled()
        if whole:
            story.pruned()
        story.rotated()
        if whole:
            story.changed()
            story.interrupted()
            story.sources()
            story.waits_for_a_deployment()
            story.taken_up()
            story.torn_down()
        return story.ended()


VARIABLES = {"sagemaker_url": "http://127.0.0.1:18790", "chat_model": "gpt-4o-mini"}


class Story:
    """The steps, each of which continues with what those before it left."""

    def __init__(self, stack: Stack, runs: Runs) -> None:
        self.stack, self.runs, self.rows = stack, runs, runs.rows
        self.cluster = Cluster(stack.opensearch, stack.version)
        self.endpoints = endpoints_of(stack)
        self.endpoints.replace_keys({**stack.keys, "openai": [FIRST, SECOND]})
        self.recording = Recording()
        self._interrupted_at = 0.0
        self.secrets = [FIRST, SECOND, REFUSED, stack.opensearch.admin_password, runs.airflow.password]

    # ---- provisioning

    def provisioned(self) -> None:
        """From nothing to a model; then the same once more; then the model that somebody makes by hand."""
        self.runs.run("provision", PROVISION, blueprint="embedding")
        self.recording.cluster["provisioned"] = documents(self.cluster, ["embedding"])
        self.runs.run("provision_unchanged", PROVISION, blueprint="embedding")
        change_target(self.stack, adopt={"adopted": self._made_by_hand()})

    def _made_by_hand(self) -> str:
        blueprint = yaml.safe_load((self.stack.folder / "blueprints" / "adopted.yaml").read_text())
        text = json.dumps(blueprint["connector"] | {"credential": {"openAI_key": FIRST}})
        for name, value in {"openai_url": self.endpoints.url, "model": blueprint["variables"]["model"]}.items():
            text = text.replace(f"${{variables.{name}}}", value)
        connector_id = self._ml("connectors/_create", json.loads(text))["connector_id"]
        body = {"name": BY_HAND, "function_name": "remote", "connector_id": connector_id}
        model_id = self._ml("models/_register", body | {"description": "Answers the support team"})["model_id"]
        self._ml(f"models/{model_id}/_deploy", None)
        self._until(lambda: self.cluster.get(f"/_plugins/_ml/models/{model_id}")["model_state"] == "DEPLOYED")
        return str(model_id)

    # ---- reconciliation

    def reconciled(self) -> None:
        """A plan that is reported, one that is rejected, and one that is approved: it creates and adopts."""
        self.runs.run("reconcile_never", RECONCILE, "failed", apply="never")  # a blueprint has a finding
        change_target(self.stack, blueprints=LIVING)
        self._asked("reconcile_rejected", "Reject")
        self._asked("reconcile_approved", "Approve")
        self.recording.target = yaml.safe_load(self.stack.target_path.read_text())
        self.recording.cluster["fleet"] = {
            **documents(self.cluster, LIVING, extra=[BY_HAND]),
            **cluster_documents.settings(self.cluster),
        }

    def _asked(self, label: str, option: str) -> None:
        run = self.runs.start(label, RECONCILE, apply="with approval")
        self._until(lambda: any(one["task_id"] == "local.approve" for one in self.rows.questions(run)))
        self._until(lambda: bool(self.rows.waiting_tasks(run)))
        self.runs.record(label, moment=f"{label}, while it waits")
        waiting = {"tasks": self.rows.waiting_tasks(run), "questions": self.rows.questions(run)}
        self.recording.waiting[label] = waiting
        self._answer_until_ended(run, label, option)
        self.runs.finish(label)
        answers = [{key: one[key] for key in ANSWER} for one in self.rows.questions(run)]
        self.recording.waiting[label]["answers"] = answers
        self.recording.task_state[label] = self.rows.task_state(run)

    def _answer_until_ended(self, run: DagRun, label: str, option: str) -> None:
        # Airflow asks again if the answer arrives before its scheduler has seen the asking process end.
        while run.state not in ENDED:
            if self.rows.waiting_tasks(run):
                time.sleep(READS_S)
                with suppress(httpx.HTTPStatusError):  # it is answered already
                    run.answer("local.approve", option)
            owed = self.rows.asset_state()
            if owed and json.loads(owed[0]["value"]):
                self.recording.asset_state.setdefault(f"{label}, before its announce", owed)
            time.sleep(0.1)

    def changed(self) -> None:
        """A run that updates, rotates and redeploys at once."""
        self._describe("embedding", "OpenAI text embeddings, described anew")
        change_target(self.stack, variables={"chat_model": "gpt-4o"})
        [plain] = self.cluster.search("models", {"term": {"name.keyword": "plain"}})
        self._ml(f"models/{plain['id']}/_undeploy", None)
        self._until(lambda: self._state_of("plain") == "UNDEPLOYED")
        self.runs.run("reconcile_always", RECONCILE, apply="always")
        self.recording.task_state["reconcile_always"] = self.rows.task_state(self.runs.by_label["reconcile_always"])
        self.runs.run("reconcile_unchanged", RECONCILE, apply="always")

    def interrupted(self) -> None:
        """A run that is marked as failed in the middle of a rotation, and the next one, which completes its work."""
        self._describe("embedding", "OpenAI text embeddings")
        change_target(self.stack, variables={"chat_model": "gpt-4o-mini"})
        self.endpoints.behave(family="openai", delay_s=SLOW_S)
        with Watcher(self.cluster, ["chat", "embedding"], {"tested": is_tested("chat")}) as watcher:
            run = self.runs.start("reconcile_interrupted", RECONCILE, apply="always")
            watcher.wait_for("tested")
            self.runs.airflow.api.patch(run.path, json={"state": "failed"}).raise_for_status()
            self._until(lambda: not any(task["pid"] and self._runs(task) for task in run.tasks()))
        self._interrupted_at = time.monotonic()
        self.endpoints.behave_normally()
        self.runs.record("reconcile_interrupted")
        self.recording.cluster["interrupted"] = documents(self.cluster, ["chat"])
        self.recording.asset_state["reconcile_interrupted"] = self.rows.asset_state()
        self.recording.task_state["reconcile_interrupted"] = self.rows.task_state(run)
        self.runs.run("reconcile_after_an_interruption", RECONCILE, apply="always")
        self.recording.asset_state["reconcile_after_an_interruption"] = self.rows.asset_state()

    def _runs(self, task: dict[str, Any]) -> bool:
        return Path("/proc", str(task["pid"])).exists()

    def pruned(self) -> None:
        """Orphans: reported, then deleted (the adopted model only loses its mark); then both are made ours again."""
        adopt = yaml.safe_load(self.stack.target_path.read_text())["adopt"]
        change_target(self.stack, blueprints=["embedding", "inside", "chat"], adopt={})
        self.runs.run("reconcile_orphans", RECONCILE, apply="always")
        self.runs.run("reconcile_prune", RECONCILE, apply="always", prune=True)
        self.recording.cluster["pruned"] = documents(self.cluster, ["plain", "adopted"], extra=[BY_HAND])
        change_target(self.stack, blueprints=LIVING, adopt=adopt)
        self.runs.run("reconcile_adopted_again", RECONCILE, apply="always")

    def taken_up(self) -> None:
        """The interrupted rotation is finished once its run is taken for dead."""
        time.sleep(max(0.0, self._interrupted_at + DEAD_S - time.monotonic()))
        self.runs.run("reconcile_taken_up", RECONCILE, apply="always")
        self.recording.task_state["reconcile_taken_up"] = self.rows.task_state(self.runs.by_label["reconcile_taken_up"])
        self.recording.asset_state["reconcile_taken_up"] = self.rows.asset_state()

    # ---- rotation

    def rotated(self) -> None:
        """A rotation with nothing to do, one with a new key, and one whose new key the platform refuses."""
        asked = [*ROTATED, "chat"]
        self.runs.run("rotation_unchanged", ROTATE, blueprints=asked)
        self.runs.airflow.write_connection(KEY, password=SECOND)
        self.endpoints.behave(family="openai", fingerprint=bearer_fingerprint(SECOND), delay_s=SLOW_S)
        conditions = {
            "claimed": is_claimed("embedding"),
            "tested": is_tested(*ROTATED),
            "switched": is_switched(*ROTATED),
        }
        with Watcher(self.cluster, ROTATED, conditions) as watcher:
            self.runs.run("rotation", ROTATE, blueprints=list(ROTATED))
        self.endpoints.behave_normally()
        self.recording.cluster |= {name: watcher.moments[name] for name in conditions}
        self.recording.cluster["rotated"] = documents(self.cluster, ROTATED)
        self.runs.airflow.write_connection(KEY, password=REFUSED)
        self.runs.run("rotation_refused", ROTATE, "failed", blueprints=["chat"])
        self.runs.airflow.write_connection(KEY, password=SECOND)

    def sources(self) -> None:
        """Credentials that AWS gives: an IAM user's access keys, sessions of a role, a secret."""
        account = self.stack.moto
        assert account
        self._fill_account(account)
        for name in SOURCES:
            self.runs.run(f"provision_{name}", PROVISION, blueprint=name)
        self.recording.aws["provisioned"] = self._aws(account)
        account.client("secretsmanager").put_secret_value(
            SecretId=SECRET, SecretString=json.dumps({"api_key": SECOND}), VersionStages=["AWSPENDING"]
        )
        self.recording.aws["pending"] = self._aws(account)
        self.runs.start("rotation_sources", ROTATE, blueprints=list(SOURCES), force=True)
        iam, deadline = account.client("iam"), time.monotonic() + INTENDED_WITHIN_S
        while "intended" not in self.recording.aws and time.monotonic() < deadline:
            tags = iam.list_user_tags(UserName=USER)["Tags"]
            if any("intent:" in tag["Value"] for tag in tags):
                self.recording.aws["intended"] = {"user": {"tags": tags}}
        self.runs.finish("rotation_sources")
        self.recording.aws["rotated"] = self._aws(account)
        self.recording.cluster["sources"] = documents(self.cluster, SOURCES)
        self.secrets += [one[part] for one in account.sessions() for part in ("secret_access_key", "session_token")]
        for name in SOURCES:
            self.runs.run(f"teardown_{name}", TEARDOWN, blueprint=name)

    def _fill_account(self, account: AwsAccount) -> None:
        self.endpoints.use_account(account.url)
        account.create_sagemaker_endpoint("opensearch-embedding")
        account.client("iam").create_user(UserName=USER)
        account.set_user_statements(USER, [INVOKE])
        account.create_role(SESSION_ROLE, [ANYBODY], [INVOKE])
        text = json.dumps({"api_key": FIRST})
        account.client("secretsmanager").create_secret(Name=SECRET, SecretString=text)

    def _aws(self, account: AwsAccount) -> dict[str, Any]:
        iam = account.client("iam")
        keys = iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]
        secret = account.client("secretsmanager").describe_secret(SecretId=SECRET)
        return {
            "user": {
                "tags": iam.list_user_tags(UserName=USER)["Tags"],
                "access_keys": [{**one, "CreateDate": one["CreateDate"].isoformat()} for one in keys],
            },
            "secret": {"name": secret["Name"], "stages": secret["VersionIdsToStages"]},
        }

    # ---- the rest

    def waits_for_a_deployment(self) -> None:
        """A sensor that waits in the triggerer."""
        [model] = self.cluster.search("models", {"term": {"name.keyword": "embedding"}})
        self._sync_up_every(0)  # the server would correct its record by itself
        record = f"/.plugins-ml-model/_update/{model['id']}?refresh=true"
        self.cluster.request("POST", record, {"doc": {"model_state": "DEPLOYING"}}).raise_for_status()
        run = self.runs.start("waits_for_a_deployment", "waits_for_a_deployment", model_id=model["id"])
        self._until(lambda: any(one["classpath"] for one in self.rows.waiting_tasks(run)))
        self.recording.waiting["waits_for_a_deployment"] = {"tasks": self.rows.waiting_tasks(run)}
        self._ml(f"models/{model['id']}/_deploy", None)
        self._sync_up_every(None)
        self.runs.finish("waits_for_a_deployment")

    def _sync_up_every(self, seconds: int | None) -> None:
        body = {"persistent": {"plugins.ml_commons.sync_up_job_interval_in_seconds": seconds}}
        self.cluster.request("PUT", "/_cluster/settings", body).raise_for_status()

    def torn_down(self) -> None:
        """A teardown of a standalone and of an internal connector."""
        for name in ROTATED:
            self.runs.run(f"teardown_{name}", TEARDOWN, blueprint=name)
        self.recording.cluster["torn_down"] = {
            **documents(self.cluster, ROTATED),
            **cluster_documents.settings(self.cluster),
        }

    def ended(self) -> Recording:
        """Return what was recorded, without what belongs to this machine."""
        told = self.recording
        told.runs, told.asset_events = self.runs.recorded, self.rows.asset_events(self.runs.by_label)
        ports = ports_of(self.stack)
        for name, value in vars(told).items():
            setattr(told, name, neutral(value, folder=self.stack.folder, ports=ports, secrets=self.secrets))
        return told

    def _describe(self, name: str, description: str) -> None:
        path = self.stack.folder / "blueprints" / f"{name}.yaml"
        blueprint = yaml.safe_load(path.read_text())
        blueprint["model"]["description"] = description
        path.write_text(yaml.safe_dump(blueprint, sort_keys=False))

    def _state_of(self, name: str) -> str:
        [model] = self.cluster.search("models", {"term": {"name.keyword": name}})
        return str(model["model_state"])

    def _ml(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        answer = self.cluster.request("POST", f"/_plugins/_ml/{path}", json=body)
        answer.raise_for_status()
        return dict(answer.json())

    def _until(self, holds: Callable[[], bool], timeout_s: float = 180.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                raise RuntimeError("what the recorder waits for does not happen")
            time.sleep(0.1)
