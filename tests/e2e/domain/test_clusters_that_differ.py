"""One run for clusters that differ in version and authentication.

A domain, whose requests are signed and whose models a role calls, and an older cluster of one's own, with a password.
In this order: each test goes on with what those before it have made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from local.airflow_standalone import AirflowStandalone, DagRun
from local.aws_account.process import AwsAccount
from local.distribution import VERSIONS
from local.domain_stack import DOMAIN_NAME, ROLE_ARN, DomainStack
from local.model_endpoints.keys import bearer_fingerprint
from local.opensearch import OpenSearchCluster
from tests.support.cluster import Cluster
from tests.support.domain_stacks import local_target, running
from tests.support.scheduler_runs import ONE_OF_EACH, objects, state_of, told

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # make test-fleets

RECONCILE = "opensearch_ml_reconcile"
DOMAIN, OLD = "local", "old"  # targets; the stack writes the first one, and keeps what it finds there
MADE_ON = {DOMAIN: "sagemaker_embedding", OLD: "openai_embedding"}
ROLE = "opensearch-sagemaker-role"
MAPPING = "/_plugins/_security/api/rolesmapping/ml_full_access"


@dataclass(frozen=True)
class Both:
    """The two clusters, each by the name of its target, and the one Airflow that sees to both."""

    stack: DomainStack
    clusters: dict[str, Cluster]

    @property
    def airflow(self) -> AirflowStandalone:
        assert self.stack.airflow
        return self.stack.airflow

    @property
    def account(self) -> AwsAccount:
        return self.stack.account

    def reconcile(self) -> DagRun:
        return self.airflow.run(RECONCILE, {"apply": "always", "max_change_percent": 100})

    def model_id(self, target: str) -> str:
        [model] = self.clusters[target].search("models", {"term": {"name.keyword": MADE_ON[target]}})
        return str(model["id"])

    def state(self, target: str) -> str:
        return str(self.clusters[target].get(f"/_plugins/_ml/models/{self.model_id(target)}")["model_state"])

    def policies(self) -> list[str]:
        found: list[str] = self.account.client("iam").list_role_policies(RoleName=ROLE)["PolicyNames"]
        return found

    def written(self) -> list[object]:
        return [*(cluster.writes() for cluster in self.clusters.values()), self.account.writes()]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("clusters-that-differ")
    targets = folder / "targets"
    targets.mkdir()
    # With the DAG's file the targets are read: before Airflow starts.
    on_domain = {"opensearch_admin_conn_id": "opensearch_master", "blueprints": [MADE_ON[DOMAIN]]}
    (targets / f"{DOMAIN}.yaml").write_text(yaml.safe_dump(on_domain))
    on_old = {"opensearch_conn_id": "opensearch_old", "blueprints": [MADE_ON[OLD]]}
    (targets / f"{OLD}.yaml").write_text(yaml.safe_dump(on_old))
    old = OpenSearchCluster(folder / "old", version=VERSIONS[-1], preferred_port=0, heap="512m")
    stack = DomainStack(folder)
    try:
        old.start()
        old.wait_until_healthy()
        cluster = Cluster(old, old.version)
        stack.environment = {"AIRFLOW_CONN_OPENSEARCH_OLD": cluster.connection()}
        with running(stack):
            shared = {name: local_target(stack)[name] for name in ("variables", "settings")}
            (targets / f"{OLD}.yaml").write_text(yaml.safe_dump({**on_old, **shared}))
            yield Both(stack, {DOMAIN: Cluster(stack.opensearch, stack.version), OLD: cluster})
    finally:
        old.delete()


def test_one_run_makes_what_each_cluster_lacks(both: Both) -> None:
    run = both.reconcile()
    assert run.state == "success", [told(run, f"{target}.summary") for target in MADE_ON]
    for target, blueprint in MADE_ON.items():
        assert objects(both.clusters[target], blueprint) == ONE_OF_EACH
        assert both.state(target) == "DEPLOYED"
    endpoints = both.stack.model_endpoints
    assert endpoints
    assert {one.principal for one in endpoints.requests(family="sagemaker") if one.status == 200} == {
        f"{ROLE_ARN}/{ROLE}/{DOMAIN_NAME}".replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
    }
    key = bearer_fingerprint(both.stack.keys["openai"][0])
    assert {(one.credential_fingerprint, one.status) for one in endpoints.requests(family="openai")} == {(key, 200)}
    versions = {target: told(run, f"{target}.plan") for target in MADE_ON}
    assert "OpenSearch 3.6.0" in versions[DOMAIN]
    assert f"OpenSearch {VERSIONS[-1]}" in versions[OLD]


def test_what_drifts_on_both_and_in_iam_is_mended_by_one_run(both: Both) -> None:
    [policy] = both.policies()
    both.account.client("iam").delete_role_policy(RoleName=ROLE, PolicyName=policy)
    both.clusters[DOMAIN].request("PUT", MAPPING, json={"backend_roles": ["others"]}).raise_for_status()
    old = both.clusters[OLD]
    old.request("POST", f"/_plugins/_ml/models/{both.model_id(OLD)}/_undeploy").raise_for_status()
    trusted = {"plugins.ml_commons.trusted_connector_endpoints_regex": ["^https://theirs/.*$"]}
    old.request("PUT", "/_cluster/settings", json={"persistent": trusted}).raise_for_status()
    run = both.reconcile()
    assert run.state == "success", [told(run, f"{target}.summary") for target in MADE_ON]
    assert both.policies() == [policy]
    assert "~ role" in told(run, f"{DOMAIN}.plan")
    assert both.state(OLD) == "DEPLOYED"
    known = old.get("/_cluster/settings?flat_settings=true")["persistent"][next(iter(trusted))]
    assert "^https://theirs/.*$" in known
    assert len(known) == 2


def test_then_nothing_is_left_to_do_and_nothing_is_written(both: Both) -> None:
    before = both.written()
    run = both.reconcile()
    assert run.state == "success"
    assert both.written() == before
    for target in MADE_ON:
        assert "No changes" in told(run, f"{target}.plan")
        assert state_of(run, f"{target}.apply") == "skipped"


def test_a_cluster_that_is_down_keeps_nobody_from_mending_the_other(both: Both) -> None:
    domain = both.clusters[DOMAIN]
    domain.request("POST", f"/_plugins/_ml/models/{both.model_id(DOMAIN)}/_undeploy").raise_for_status()
    both.clusters[OLD].opensearch.stop()
    run = both.reconcile()
    assert run.state == "failed"
    assert "the cluster cannot be reached" in told(run, f"{OLD}.summary")
    assert state_of(run, f"{DOMAIN}.summary") == "success"
    assert both.state(DOMAIN) == "DEPLOYED"
