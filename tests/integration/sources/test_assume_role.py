"""Sessions of a role: with their real end, renewed in time, and told when they were not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.errors import PermissionDenied, RequestRefused
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.sources.assume_role import AssumeRoleSource
from tests.support.credential_sources import ROLE, ROLE_NAME, signing
from tests.support.iam_roles import Connect

pytestmark = pytest.mark.slow  # make test-rotation

ANYBODY = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
OF_AN_HOUR = f"assume_role:{ROLE}:2026-11-21T12:00:00Z/2026-11-21T13:00:00Z"

Make = Callable[..., AssumeRoleSource]


@pytest.fixture
def make(nowhere: OpenSearchMLHook, access: AwsAccess, account: AwsAccount) -> Make:
    account.create_role(ROLE_NAME, [ANYBODY])

    def made(now: datetime | None = None, **rotation: Any) -> AssumeRoleSource:
        blueprint = signing(**{"source": "assume_role", "role_arn": ROLE, **rotation})
        clock = {"now": lambda: now} if now else {}
        return AssumeRoleSource(blueprint, nowhere, access, **clock)

    return made


def test_a_session_carries_its_real_end(make: Make, account: AwsAccount, nowhere: OpenSearchMLHook) -> None:
    source = make(duration_s=900)
    new = source.next()
    assert sorted(new.credential) == ["access_key", "secret_key", "session_token"]
    (session,) = account.sessions()
    assert new.expires
    assert new.expires.timestamp() == pytest.approx(session["expires_at"], abs=1)
    assert new.expires.timestamp() - datetime.now(timezone.utc).timestamp() == pytest.approx(900, abs=5)
    assert new.mark.startswith(f"assume_role:{ROLE}:")
    assert not [secret for secret in (*new.credential.values(),) if secret in f"{new.mark} {new.version} {new!r}"]
    assert make().check().startswith(f"STS gives sessions of {ROLE}, now until ")
    assert nowhere.redact(new.credential["session_token"]) == "***"
    assert source.serves(new.mark)
    assert source.stands(new.mark)
    assert source.retire(new.mark)[0].startswith("the session before ends by itself at")
    assert source.previous() is None


def test_a_session_that_sts_shortened_is_due_by_its_own_end(make: Make, account: AwsAccount) -> None:
    account.set(longest_session_s=20)
    source = make(duration_s=3600, refresh_at=0.5)
    new = source.next()
    due = source.due(new.mark)
    assert new.expires
    assert due
    assert (new.expires - due).total_seconds() == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    ("minutes", "serves", "stands", "told"),
    [
        (0, True, True, None),
        (29, True, True, None),
        (30, False, True, None),
        (44, False, True, None),
        (46, False, True, "missed a refresh: its session was due at 2026-11-21T12:30:00+00:00"),
        (60, False, False, "ended at 2026-11-21T13:00:00+00:00"),
    ],
)
def test_a_missed_refresh_is_told_before_the_model_stops_answering(
    minutes: int, serves: bool, stands: bool, told: str | None, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    source = make(NOON + timedelta(minutes=minutes))
    assert source.due(OF_AN_HOUR) == NOON + timedelta(minutes=30)
    assert (source.serves(OF_AN_HOUR), source.stands(OF_AN_HOUR)) == (serves, stands)
    with caplog.at_level(logging.WARNING):
        lines = source.recover(OF_AN_HOUR, [])
    assert [told is not None and told in line for line in lines] == ([True] if told else [])
    assert len(caplog.records) == len(lines)
    resumed = source.resume(OF_AN_HOUR)
    assert (resumed is not None) == serves
    assert resumed is None or resumed.credential == {}


def test_the_part_of_its_life_is_the_blueprints_to_say(make: Make) -> None:
    assert make(NOON, refresh_at=0.8).due(OF_AN_HOUR) == NOON + timedelta(minutes=48)


@pytest.mark.parametrize("mark", [None, "claimed", "scrypt-v1:a:b", OF_AN_HOUR.replace(ROLE_NAME, "others")])
def test_what_is_not_of_this_role_serves_not(mark: str | None, make: Make) -> None:
    source = make(NOON)
    assert not source.serves(mark)
    assert not source.stands(mark)
    assert source.due(mark) is None
    assert source.recover(mark, []) == []


def test_a_role_that_asks_for_an_external_id_gets_it(make: Make, account: AwsAccount) -> None:
    account.delete_role(ROLE_NAME)
    account.create_role(ROLE_NAME, [{**ANYBODY, "Condition": {"StringEquals": {"sts:ExternalId": "abc"}}}])
    assert make(external_id="abc").next()
    with pytest.raises(PermissionDenied):
        make(external_id="other").next()


def test_who_may_not_assume_the_role_is_told_both_sides_of_it(make: Make, account: AwsAccount) -> None:
    account.set_user_statements("caller-of-aws_default", [])
    account.delete_role(ROLE_NAME)
    account.create_role(ROLE_NAME, [])
    with pytest.raises(PermissionDenied) as refusal:
        make(external_id="abc").next()
    assert "aws iam put-user-policy --user-name caller-of-aws_default" in refusal.value.fix
    assert f'"Action": "sts:AssumeRole", "Resource": "{ROLE}"' in refusal.value.fix
    assert f"trust policy of {ROLE} allow sts:AssumeRole to the same principal" in refusal.value.fix
    assert "sts:ExternalId abc" in refusal.value.fix
    document = json.loads(refusal.value.fix.split("--policy-document '")[1].split("'")[0])
    account.set_user_statements("caller-of-aws_default", document["Statement"])
    account.delete_role(ROLE_NAME)
    account.create_role(ROLE_NAME, [ANYBODY])
    assert make(external_id="abc").next()


def test_a_session_longer_than_the_role_allows_is_told(make: Make) -> None:
    with pytest.raises(RequestRefused, match=r"no session of .* for 7200 s") as refusal:
        make(duration_s=7200).next()
    assert "MaxSessionDuration" in refusal.value.evidence
    assert "lower rotation.duration_s" in refusal.value.fix


def test_asking_writes_nothing(make: Make, account: AwsAccount, connect: Connect) -> None:
    account.forget_writes()
    make(NOON).serves(OF_AN_HOUR)
    assert account.writes() == {}
    assert account.sessions() == []
