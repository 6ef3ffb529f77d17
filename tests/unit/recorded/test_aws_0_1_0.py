"""What version 0.1.0 wrote into an AWS account, and into a domain's connectors, means today what it meant then."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from opensearch_ml.base.arns import OPENSEARCH_SERVICE, DomainArn
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials import fingerprint
from opensearch_ml.credentials.secrets_manager import Secret
from opensearch_ml.iam import policies
from opensearch_ml.iam.role import IamRole, is_policy_for, role_for
from opensearch_ml.iam.role_client import RoleInIam
from opensearch_ml.resources.read import read_fleet
from opensearch_ml.rotation.read_state import read_rotation_state
from opensearch_ml.rotation.sources.assume_role import AssumeRoleSource
from opensearch_ml.rotation.sources.iam_user_client import UserInIam
from opensearch_ml.rotation.sources.iam_user_key import IamUserKeySource
from opensearch_ml.rotation.sources.key_notes import KeyNotes, key_of, tag_name
from opensearch_ml.rotation.sources.role_arn import RoleArnSource
from opensearch_ml.rotation.sources.session_label import SessionLabel
from tests.support.recorded import SECOND, AwsAt, ClusterAt, Document, Recording

RECORDING = Recording("0.1.0")
DOMAIN = "arn:aws:es:us-east-1:123456789012:domain/search"
ROLES = {"role": True, "existing_role": False}  # whether we created it
SESSION_ROLE = "arn:aws:iam::123456789012:role/sagemaker-session"


# ---- IAM roles


def role_of(name: str, folder: Path) -> IamRole:
    """The role that the blueprint wants today."""
    role = role_for(domain_blueprint(name, folder), DomainArn.parse(DOMAIN))
    assert role
    return role


def domain_blueprint(name: str, folder: Path) -> Blueprint:
    catalog = RECORDING.catalog(folder, "airflow-domain/target")
    return catalog.blueprint(name, domain_arn=DomainArn.parse(DOMAIN))


def recorded_role(name: str, role: IamRole) -> Document:
    found: Document = RECORDING.load("iam")[name][role.name]
    return found


@pytest.mark.parametrize(("name", "is_ours"), ROLES.items())
def test_the_tag_tells_whether_we_created_a_role(name: str, is_ours: bool, tmp_path: Path) -> None:
    role = role_of(name, tmp_path)
    recorded = recorded_role("provisioned", role)
    answer = {"Role": {key: value for key, value in recorded.items() if value is not None}}
    found = RoleInIam(AwsAt({"get_role": lambda RoleName: answer}).access, role, 1.0).look()  # noqa: N803
    assert found
    assert found.ours is is_ours
    assert role.description == "Amazon OpenSearch Service assumes it to call remote models"
    assert recorded["Description"] == (role.description if is_ours else None)


@pytest.mark.parametrize("name", ROLES)
def test_our_trust_statement_is_recognised_and_complete(name: str, tmp_path: Path) -> None:
    role = role_of(name, tmp_path)
    trust = recorded_role("provisioned", role)["AssumeRolePolicyDocument"]
    assert policies.trust_problem(trust, OPENSEARCH_SERVICE, role.domain) is None
    assert policies.trust_warning(trust, OPENSEARCH_SERVICE) is None
    assert policies.with_trust(trust, role.domain, role.services) == trust
    left = policies.without_trust(trust, role.domain)
    assert left
    assert [one["Sid"] for one in left["Statement"]] == ([] if ROLES[name] else ["Theirs"])


@pytest.mark.parametrize("name", ROLES)
def test_our_policy_is_recognised_and_as_the_blueprint_needs_it(name: str, tmp_path: Path) -> None:
    role = role_of(name, tmp_path)
    found = recorded_role("provisioned", role)["policies"]
    assert [one for one in found if is_policy_for(one, role.domain)] == [role.policy_name]
    assert policies.same(found[role.policy_name], role.permissions)


def test_the_recorded_teardown_left_what_others_wrote() -> None:
    recorded = RECORDING.load("iam")
    assert recorded["torn_down"] == recorded["before"]


@pytest.mark.parametrize("name", ROLES)
def test_a_connector_with_a_role_is_recognised(name: str, tmp_path: Path) -> None:
    cluster = RECORDING.cluster("provisioned", name="domain")
    blueprint = domain_blueprint(name, tmp_path)
    found = read_rotation_state(cluster.hook, blueprint)
    assert found.live
    assert found.live.differs == ()
    assert read_fleet(cluster.hook).blueprints == set(ROLES)
    source = RoleArnSource(blueprint, cluster.hook, AwsAt({}).access)
    assert source.serves(found.live.mark)
    assert not source.serves(fingerprint.fingerprint(SECOND))


# ---- sources of credentials


def blueprint_of_source(name: str, folder: Path) -> Blueprint:
    return RECORDING.catalog(folder).blueprint(name)


def live_mark(name: str, folder: Path) -> str:
    found = read_rotation_state(RECORDING.cluster("sources").hook, blueprint_of_source(name, folder))
    assert found.live
    assert found.live.differs == ()
    assert found.live.mark
    assert found.live.run
    return found.live.mark


def user_at(moment: str) -> UserInIam:
    """The IAM user at a moment; the cluster's UUID is recorded with the fleet."""
    recorded = RECORDING.load("aws-credentials")[moment]["user"]
    keys = [{**one, "CreateDate": datetime.fromisoformat(one["CreateDate"])} for one in recorded.get("access_keys", ())]
    answers = {
        "list_user_tags": lambda **_: {"Tags": recorded["tags"]},
        "list_access_keys": lambda **_: {"AccessKeyMetadata": keys},
    }
    cluster: ClusterAt = RECORDING.cluster("fleet")
    return UserInIam(AwsAt(answers).access, "sagemaker-caller", lambda: tag_name(cluster.cluster_uuid(), "user_key"))


def test_the_notes_about_a_key_that_was_made_are_read() -> None:
    user = user_at("provisioned")
    [key] = user.keys()
    assert user.notes() == KeyNotes(made=(key.key_id,))


def test_the_notes_about_a_key_that_is_about_to_be_made_are_read() -> None:
    [first] = user_at("provisioned").keys()
    notes = user_at("intended").notes()
    assert notes.made == (first.key_id,)
    assert notes.intent
    assert notes.intent.before == (first.key_id,)
    _, second = user_at("rotated").keys()
    assert notes.meant([first, second]) == [second]


def test_the_notes_about_a_key_that_was_taken_out_of_use_are_read() -> None:
    user = user_at("rotated")
    old, new = user.keys()
    notes = user.notes()
    assert (old.active, new.active) == (False, True)
    assert notes.made == (old.key_id, new.key_id)
    assert notes.off
    assert (notes.off.key_id, notes.off.verified) == (old.key_id, True)
    assert notes.orphans([old, new], {new.key_id}) == []
    assert notes.orphans([old, new], set()) == [new]


def test_a_connector_names_the_access_key_that_it_signs_with(tmp_path: Path) -> None:
    mark, user = live_mark("user_key", tmp_path), user_at("rotated")
    old, new = user.keys()
    assert key_of(mark) == new.key_id
    hook = RECORDING.cluster("sources").hook
    source = IamUserKeySource(blueprint_of_source("user_key", tmp_path), hook, user, verify=lambda: None)
    resumed = source.resume(mark)
    assert resumed
    assert resumed.version == new.key_id
    assert source.stands(mark)
    assert not source.stands(mark.replace(new.key_id, old.key_id))


def test_a_connector_names_the_session_that_it_signs_with(tmp_path: Path) -> None:
    mark = live_mark("session", tmp_path)
    session = SessionLabel.parse(mark)
    assert session
    assert session.role_arn == SESSION_ROLE
    assert 3590 <= (session.until - session.since).total_seconds() <= 3610
    times = {"lives": session.since, "due": session.part(0.6), "ended": session.until}
    serves = {name: assume_role_source(tmp_path, at).serves(mark) for name, at in times.items()}
    stands = {name: assume_role_source(tmp_path, at).stands(mark) for name, at in times.items()}
    assert serves == {"lives": True, "due": False, "ended": False}
    assert stands == {"lives": True, "due": True, "ended": False}


def assume_role_source(folder: Path, now: datetime) -> AssumeRoleSource:
    blueprint, hook = blueprint_of_source("session", folder), RECORDING.cluster("sources").hook
    return AssumeRoleSource(blueprint, hook, AwsAt({}).access, now=lambda: now.astimezone(timezone.utc))


def test_a_connector_tells_which_version_of_a_secret_it_has(tmp_path: Path) -> None:
    assert fingerprint.matches(live_mark("secret", tmp_path), SECOND)


def test_the_stages_of_a_secret_are_read() -> None:
    def labels(moment: str) -> Any:
        recorded = RECORDING.load("aws-credentials")[moment]["secret"]
        answer = {"VersionIdsToStages": recorded["stages"]}
        return Secret(AwsAt({"describe_secret": lambda SecretId: answer}).access, recorded["name"]).labels()  # noqa: N803

    pending, rotated = labels("pending"), labels("rotated")
    assert pending.pending
    assert pending.pending != pending.current
    assert (rotated.current, rotated.pending, rotated.previous) == (pending.pending, pending.pending, pending.current)
    [record] = [
        one["value"]
        for one in RECORDING.run("rotation_sources").recorded["xcoms"]
        if one["key"] == "return_value" and one["task_id"] == "rotate" and one["value"]["source"] == "secrets_manager"
    ]
    assert record["version"] == rotated.current
