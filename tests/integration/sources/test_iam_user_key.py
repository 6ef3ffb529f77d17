"""An IAM user's keys: whatever happens, no key is lost, none of another's is touched, and one that works serves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.errors import (
    Conflict,
    NotFound,
    NotYetEffective,
    PermissionDenied,
    RequestRefused,
    RotationFailed,
    SmokeTestFailed,
)
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import no_journal
from opensearch_ml.rotation.sources import iam_user_key
from opensearch_ml.rotation.sources.iam_user_client import ACTIONS, UserInIam
from opensearch_ml.rotation.sources.iam_user_key import IamUserKeySource, KeyStep
from opensearch_ml.rotation.sources.journal import SourceJournal
from opensearch_ml.rotation.sources.key_notes import key_of
from tests.support.credential_sources import EITHER_SIDE, USER, killed_at, signing
from tests.support.iam_roles import Connect

pytestmark = pytest.mark.slow  # make test-rotation

TAG = "opensearch_ml:test:embedding"
MayFail = Callable[[], object]


def refuses() -> None:
    raise SmokeTestFailed("the model does not answer", evidence="401", fix="")


@pytest.fixture(autouse=True)
def _user(account: AwsAccount) -> None:
    account.client("iam").create_user(UserName=USER)


Make = Callable[..., IamUserKeySource]


@pytest.fixture
def make(nowhere: OpenSearchMLHook, access: AwsAccess) -> Make:
    """Makes the source of a run."""
    accesses = {os.getpid(): access}

    def made(
        *, verify: MayFail = lambda: None, on_step: SourceJournal = no_journal, tag: str = TAG, **rotation: Any
    ) -> IamUserKeySource:
        blueprint = signing(source="iam_user_key", user_name=USER, **rotation)
        # A process that was forked may not use the connections of the one before.
        user = UserInIam(accesses.setdefault(os.getpid(), AwsAccess(access.aws_conn_id)), USER, lambda: tag)
        return IamUserKeySource(blueprint, nowhere, user, verify=verify, verify_s=0, on_step=on_step)

    return made


def keys(account: AwsAccount) -> dict[str, str]:
    """The user's keys and what they are: Active or Inactive."""
    found = account.client("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]
    return {key["AccessKeyId"]: key["Status"] for key in found}


@dataclass
class Swap:
    """What a swap does with a source, its cluster being a file that survives a kill."""

    make: Make
    file: Path
    options: dict[str, Any] = field(default_factory=dict)

    def source(self) -> IamUserKeySource:
        return self.make(**self.options)

    def connectors(self) -> tuple[str | None, list[str]]:
        found = json.loads(self.file.read_text()) if self.file.exists() else {"live": None, "others": []}
        return found["live"], found["others"]

    def has(self, live: str | None, *others: str) -> None:
        self.file.write_text(json.dumps({"live": live, "others": [one for one in others if one]}))

    def run(self, journal: SourceJournal = no_journal, *, force: bool = False) -> None:
        """Rotate, or go on where a killed run stopped."""
        source = self.make(on_step=journal, **self.options)
        live, others = self.connectors()
        source.recover(live, others)
        if not others and source.serves(live) and not force:
            return
        candidate = next((one for one in others if source.resume(one)), None) if source.serves(live) else None
        if candidate is None or candidate == live:
            new = source.next()
            self.has(live, new.mark)
        else:
            found = source.resume(candidate)
            assert found
            new = found
        self.has(new.mark, str(live) if live else "")
        source.promote(new)
        source.retire(live)
        self.has(new.mark)

    def run_and_abandon(self, journal: SourceJournal = no_journal) -> None:
        """Rotate, and have the new key refused."""
        source = self.make(on_step=journal, **self.options)
        source.recover(*self.connectors())
        source.abandon(source.next())


@pytest.fixture
def swap(make: Make, tmp_path: Path) -> Swap:
    return Swap(make, tmp_path / "cluster.json", {"delete_after_h": 0})


# ---- the way that works


def test_a_key_is_made_replaced_and_deleted(swap: Swap, account: AwsAccount) -> None:
    swap.run()
    first = key_of(swap.connectors()[0])
    assert keys(account) == {first: "Active"}
    swap.run()
    assert keys(account) == {first: "Active"}  # nothing to do
    swap.run(force=True)
    second = key_of(swap.connectors()[0])
    assert second != first
    assert keys(account) == {second: "Active"}


def test_nothing_to_do_writes_nothing(swap: Swap, account: AwsAccount) -> None:
    swap.run()
    account.forget_writes()
    swap.run()
    assert account.writes() == {}


def test_a_new_key_is_handed_over_once_aws_knows_it(make: Make, account: AwsAccount) -> None:
    account.set(key_propagation_s=1.5)
    started = time.monotonic()
    new = make().next()
    assert 1.5 <= time.monotonic() - started < 12
    made = {"aws_access_key_id": new.credential["access_key"], "aws_secret_access_key": new.credential["secret_key"]}
    assert account.client("sts", **made).get_caller_identity()["Arn"].endswith(f":user/{USER}")


def test_a_key_that_aws_does_not_come_to_know_is_deleted(
    make: Make, account: AwsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.set(key_propagation_s=60)
    monkeypatch.setattr(iam_user_key, "WORKS_S", 1.0)
    with pytest.raises(NotYetEffective, match="does not know the new key"):
        make().next()
    assert keys(account) == {}


def test_the_old_key_is_off_for_a_while_before_it_is_deleted(swap: Swap, account: AwsAccount) -> None:
    swap.options = {"delete_after_h": 24}
    swap.run()
    first = key_of(swap.connectors()[0])
    swap.run(force=True)
    second = key_of(swap.connectors()[0])
    assert keys(account) == {first: "Inactive", second: "Active"}
    swap.run()
    assert keys(account) == {first: "Inactive", second: "Active"}
    assert swap.source().left_over() is None
    assert "will be deleted by the first run after" in swap.source().tidy(swap.connectors()[0])[0]
    swap.options = {"delete_after_h": 0}  # the time has come
    assert swap.source().left_over() == f"the old key {first} is to be deleted"
    assert swap.source().tidy(swap.connectors()[0]) == [f"key {first}, which was off, was deleted"]
    assert swap.source().left_over() is None
    assert keys(account) == {second: "Active"}


def test_a_key_is_due_by_its_age(make: Make) -> None:
    new = make(max_age_d=30).next()
    due = make(max_age_d=30).due(new.mark)
    assert due
    assert 29.9 < (due.timestamp() - time.time()) / 86400 <= 30
    assert make(max_age_d=30).serves(new.mark)
    assert make().stands(new.mark)


def test_a_mark_of_another_source_serves_not(make: Make) -> None:
    assert not make().serves("scrypt-v1:abc:def")
    assert not make().serves(None)
    assert make().due("scrypt-v1:abc:def") is None
    assert make().previous() is None


def test_what_can_be_asked_beforehand_is_asked(swap: Swap, account: AwsAccount) -> None:
    assert swap.source().check() == f"user {USER} has 0 of 2 access keys, 0 made here"
    swap.run()
    assert swap.source().check() == f"user {USER} has 1 of 2 access keys, 1 made here"
    account.client("iam").create_access_key(UserName=USER)
    assert swap.source().check() == f"user {USER} has 2 of 2 access keys, 1 made here"
    with pytest.raises(RequestRefused, match="IAM allows 2"):
        swap.make(tag="opensearch_ml:elsewhere:embedding").check()


# ---- what goes wrong


def test_a_model_that_does_not_answer_without_the_old_key_gets_it_back(swap: Swap, account: AwsAccount) -> None:
    swap.run()
    first = key_of(swap.connectors()[0])
    swap.options["verify"] = refuses
    with pytest.raises(RotationFailed, match=f"does not answer without the old key {first}"):
        swap.run(force=True)
    assert set(keys(account).values()) == {"Active"}
    assert first in keys(account)


def test_a_refused_key_is_deleted(swap: Swap, account: AwsAccount) -> None:
    swap.run()
    before = keys(account)
    swap.run_and_abandon()
    assert keys(account) == before


def test_a_key_that_somebody_deleted_is_not_promoted(make: Make, account: AwsAccount) -> None:
    source = make()
    new = source.next()
    account.client("iam").delete_access_key(UserName=USER, AccessKeyId=new.version)
    with pytest.raises(Conflict):
        source.promote(new)
    assert not source.stands(new.mark)


def test_a_key_that_we_did_not_make_is_never_touched(swap: Swap, account: AwsAccount) -> None:
    theirs = account.client("iam").create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]
    swap.has(f"iam_user_key:{theirs}")  # a mark can be written by anybody
    swap.run(force=True)
    assert keys(account)[theirs] == "Active"
    account.forget_writes()
    swap.make(delete_after_h=0).recover(swap.connectors()[0], [])
    assert account.writes() == {}


def test_two_keys_are_told_with_the_way_out(make: Make, account: AwsAccount) -> None:
    iam = account.client("iam")
    theirs = iam.create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]
    other = make(tag="opensearch_ml:elsewhere:embedding").next().version
    account.forget_writes()
    with pytest.raises(RequestRefused) as refusal:
        make().next()
    assert f"{theirs} (active, made" in refusal.value.evidence
    assert "was not made here, last used N/A" in refusal.value.evidence
    assert f"{other} (active" in refusal.value.evidence
    assert "another blueprint or cluster (tag opensearch_ml:elsewhere:embedding)" in refusal.value.evidence
    assert f"aws iam delete-access-key --user-name {USER} --access-key-id {theirs}" in refusal.value.fix
    assert other not in refusal.value.fix
    assert account.writes() == {}


def test_a_key_that_waits_to_be_deleted_is_told_with_its_time(swap: Swap, account: AwsAccount) -> None:
    swap.options = {"delete_after_h": 24}
    swap.run()
    first = key_of(swap.connectors()[0])
    swap.run(force=True)
    with pytest.raises(RequestRefused) as refusal:
        swap.run(force=True)
    assert "serves" in refusal.value.evidence
    assert f"{first} (inactive" in refusal.value.evidence
    assert (
        f"or delete it now: aws iam delete-access-key --user-name {USER} --access-key-id {first}" in refusal.value.fix
    )


def test_keys_of_another_cluster_are_left(make: Make, account: AwsAccount) -> None:
    other = make(tag="opensearch_ml:elsewhere:embedding").next()
    assert make().recover(None, []) == []
    assert list(keys(account)) == [other.version]


def test_a_key_that_somebody_made_and_used_meanwhile_is_left(make: Make, account: AwsAccount) -> None:
    def stop(step: Enum, when: str) -> None:
        if (step, when) == (KeyStep.CREATE, "before"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(on_step=stop).next()
    made = account.client("iam").create_access_key(UserName=USER)["AccessKey"]
    own = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    account.client("sts", **own).get_caller_identity()
    (told,) = make().recover(None, [])
    assert "was made meanwhile by somebody who used it" in told
    assert list(keys(account)) == [made["AccessKeyId"]]


def test_a_user_that_is_not_there_is_told(make: Make, account: AwsAccount) -> None:
    account.delete_user(USER)
    with pytest.raises(NotFound, match=USER):
        make().next()


@pytest.mark.parametrize("allowed", [[], ["iam:ListAccessKeys", "iam:ListUserTags", "iam:TagUser"]])
def test_what_is_not_allowed_is_told_with_the_statement_to_copy(
    allowed: list[str], make: Make, connect: Connect, account: AwsAccount
) -> None:
    statements = [{"Effect": "Allow", "Action": allowed, "Resource": "*"}] if allowed else []
    account.delete_user("caller-of-aws_default")
    connect(statements)
    with pytest.raises(PermissionDenied) as refusal:
        make().next()
    assert "aws iam put-user-policy --user-name caller-of-aws_default" in refusal.value.fix
    assert f'"Resource": "arn:aws:iam::123456789012:user/{USER}"' in refusal.value.fix
    assert all(f"iam:{action}" in refusal.value.fix for action in ACTIONS)
    assert keys(account) == {}
    document = json.loads(refusal.value.fix.split("--policy-document '")[1].rstrip("'"))
    account.set_user_statements("caller-of-aws_default", document["Statement"])
    assert make().next().version in keys(account)  # and that statement is enough


# ---- killed


def scenario(step: KeyStep, swap: Swap) -> Callable[[SourceJournal], None]:
    if step is KeyStep.ACTIVATE:
        swap.options["verify"] = refuses
    if step is KeyStep.DELETE_NEW:
        return swap.run_and_abandon
    return lambda journal: swap.run(journal, force=True)


@EITHER_SIDE
@pytest.mark.parametrize("step", KeyStep)
def test_a_run_killed_anywhere_is_finished_by_the_next(
    step: KeyStep, when: str, swap: Swap, account: AwsAccount
) -> None:
    swap.run()
    assert killed_at(scenario(step, swap), step, when)
    serving = key_of(swap.connectors()[0])
    assert serving is not None
    assert keys(account)[serving] == "Active"
    swap.options.pop("verify", None)
    swap.run()
    serving = key_of(swap.connectors()[0])
    assert keys(account) == {serving: "Active"}
    tag = {one["Key"]: one["Value"] for one in account.client("iam").list_user_tags(UserName=USER)["Tags"]}
    assert tag == {TAG: f"made:{serving}"}
    account.forget_writes()
    swap.run()
    assert account.writes() == {}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [KeyStep.INTEND, KeyStep.CREATE, KeyStep.NOTE_MADE, KeyStep.WAIT])
def test_a_first_run_killed_anywhere_leaves_no_orphan(
    step: KeyStep, when: str, swap: Swap, account: AwsAccount
) -> None:
    assert killed_at(swap.run, step, when)
    swap.run()
    assert keys(account) == {key_of(swap.connectors()[0]): "Active"}


def test_a_teardown_deletes_our_keys_that_no_connector_has_and_no_other(make: Make, account: AwsAccount) -> None:
    others = account.client("iam").create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]
    source = make()
    made = source.next()
    assert source.withdraw([made.mark]) == []
    assert keys(account).keys() == {others, made.version}
    assert source.withdraw([None, "fingerprint of something else"]) == [
        f"key {made.version} of user {USER}, which no connector has, was deleted"
    ]
    assert keys(account) == {others: "Active"}
    assert source.withdraw([]) == []


def test_a_teardown_deletes_an_old_key_that_waits_too(make: Make, account: AwsAccount, tmp_path: Path) -> None:
    swap = Swap(make, tmp_path / "cluster", {"delete_after_h": 24})
    swap.run()
    swap.run(force=True)
    assert sorted(keys(account).values()) == ["Active", "Inactive"]
    make().withdraw([])
    assert keys(account) == {}
