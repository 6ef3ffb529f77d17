"""AWS Secrets Manager: a pending version is tested and promoted, with the labels moved both or neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.credentials import fingerprint, resolver
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.errors import Conflict, PermissionDenied, Unreachable, UnresolvedCredential
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import no_journal
from opensearch_ml.rotation.sources import source_for
from opensearch_ml.rotation.sources.journal import SourceJournal
from opensearch_ml.rotation.sources.secrets_manager import SecretsManagerSource, SecretStep
from tests.support.credential_sources import EITHER_SIDE, SECRET, killed_at, with_secret
from tests.support.iam_roles import Connect

pytestmark = pytest.mark.slow  # make test-rotation

OLD, NEW, NEWER = "sk-old-c4n4ry", "sk-new-c4n4ry", "sk-newer-c4n4ry"
ALLOWED = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:UpdateSecretVersionStage"]


class Kept:
    """The secret in the account."""

    def __init__(self, account: AwsAccount) -> None:
        self.client = account.client("secretsmanager")
        self.arn = self.client.create_secret(Name=SECRET, SecretString=json.dumps({"api_key": OLD}))["ARN"]

    def put(self, api_key: str, *labels: str) -> str:
        """A new version with these labels; its id."""
        text = json.dumps({"api_key": api_key})
        made = self.client.put_secret_value(SecretId=SECRET, SecretString=text, VersionStages=list(labels))
        return str(made["VersionId"])

    def pend(self, api_key: str = NEW) -> str:
        return self.put(api_key, "AWSPENDING")

    def labelled(self, label: str) -> str:
        """The key that a label is on."""
        found = self.client.get_secret_value(SecretId=SECRET, VersionStage=label)["SecretString"]
        return str(json.loads(found)["api_key"])

    def labels(self) -> dict[str, str]:
        return {label: self.labelled(label) for label in ("AWSCURRENT", "AWSPREVIOUS")}


@pytest.fixture
def secret(account: AwsAccount, connect: Connect) -> Kept:
    connect([{"Effect": "Allow", "Action": ALLOWED, "Resource": "*"}])
    return Kept(account)


Make = Callable[..., SecretsManagerSource]


@pytest.fixture
def make(secret: Kept, nowhere: OpenSearchMLHook) -> Make:
    def made(on_step: SourceJournal = no_journal, **blueprint: Any) -> SecretsManagerSource:
        return SecretsManagerSource(with_secret(**blueprint), OpenSearchMLHook(), on_step=on_step)

    return made


def mark(api_key: str) -> str:
    return fingerprint.fingerprint({"openAI_key": api_key})


def is_of(new: NextCredential | None, api_key: str) -> bool:
    return new is not None and new.credential == {"openAI_key": api_key}


# ---- references


@pytest.mark.parametrize("source", ["connection", "secrets_manager"])
def test_a_reference_is_resolved_from_the_current_version(source: str, secret: Kept, nowhere: OpenSearchMLHook) -> None:
    secret.pend()
    assert resolver.resolve(with_secret(source=source), nowhere) == {"openAI_key": OLD}
    assert nowhere.redact(f"Bearer {OLD}") == "Bearer ***"


def test_a_secret_named_by_its_arn_is_asked_for_in_the_arns_region(
    secret: Kept, nowhere: OpenSearchMLHook, account: AwsAccount
) -> None:
    elsewhere = account.client("secretsmanager", "eu-west-1")
    arn = elsewhere.create_secret(Name="only-there", SecretString=json.dumps({"api_key": NEW}))["ARN"]
    assert resolver.resolve(with_secret(secret_id=arn), nowhere) == {"openAI_key": NEW}


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("plain-c4n4ry", None, "plain-c4n4ry"),
        ('{"api_key": "a"}', None, '{"api_key": "a"}'),
        ('{"api_key": 7}', "api_key", "7"),
    ],
)
def test_what_a_secret_holds(
    text: str, key: str | None, value: str, secret: Kept, nowhere: OpenSearchMLHook, account: AwsAccount
) -> None:
    account.client("secretsmanager").create_secret(Name="other", SecretString=text)
    assert resolver.resolve(with_secret(secret_id="other", key=key), nowhere) == {"openAI_key": value}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"SecretString": "no JSON c4n4ry"}, "is no JSON object"),
        ({"SecretString": '["c4n4ry"]'}, "is no JSON object"),
        ({"SecretString": '{"key": "c4n4ry"}'}, "has no such key"),
        ({"SecretString": '{"api_key": "", "b": "c4n4ry"}'}, "has no such key"),
        ({"SecretBinary": b"c4n4ry"}, "holds bytes"),
        ({}, "is not there"),
    ],
)
def test_what_a_secret_lacks_is_told_without_what_it_holds(
    made: dict[str, Any], words: str, secret: Kept, nowhere: OpenSearchMLHook, account: AwsAccount
) -> None:
    if made:
        account.client("secretsmanager").create_secret(Name="other", **made)
    with pytest.raises(UnresolvedCredential, match=words) as lacking:
        resolver.resolve(with_secret(secret_id="other"), nowhere)
    assert "key api_key of secret other" in lacking.value.evidence
    assert "c4n4ry" not in str(lacking.value)


def test_who_may_not_read_is_told_the_statement_to_copy(
    secret: Kept, nowhere: OpenSearchMLHook, account: AwsAccount
) -> None:
    account.set_user_statements("caller-of-aws_default", [])
    with pytest.raises(PermissionDenied) as refusal:
        resolver.resolve(with_secret(), nowhere)
    assert f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{SECRET}-??????" in refusal.value.fix
    document = json.loads(refusal.value.fix.split("--policy-document '")[1].split("'")[0])
    account.set_user_statements("caller-of-aws_default", document["Statement"])
    assert resolver.resolve(with_secret(), nowhere) == {"openAI_key": OLD}


# ---- which is next


def test_without_a_pending_version_the_current_one_is_next(make: Make) -> None:
    assert make().serves(mark(OLD))
    assert not make().serves(mark(NEW))
    assert is_of(make().next(), OLD)


def test_a_current_version_that_changed_is_next(make: Make, secret: Kept) -> None:
    secret.put(NEW, "AWSCURRENT")
    source = make()
    source.recover(live := mark(OLD), [])
    assert not source.serves(live)
    new = source.next()
    assert is_of(new, NEW)
    assert source.previous() == {"openAI_key": OLD}
    before = secret.labels()
    source.promote(new)
    source.abandon(new)  # who changed it in place takes it back
    assert secret.labels() == before == {"AWSCURRENT": NEW, "AWSPREVIOUS": OLD}


def test_a_pending_version_is_next_and_promoted(make: Make, secret: Kept) -> None:
    version = secret.pend()
    source = make()
    assert source.recover(mark(OLD), []) == []
    assert not source.serves(mark(OLD))
    new = source.next()
    assert is_of(new, NEW)
    assert new.version == version
    assert source.previous() == {"openAI_key": OLD}
    source.promote(new)
    source.promote(new)
    assert secret.labels() == {"AWSCURRENT": NEW, "AWSPREVIOUS": OLD}
    assert make().serves(new.mark)
    assert make().retire(mark(OLD)) == []
    assert secret.pend(NEWER)
    assert is_of(make().next(), NEWER)  # and the next one after that


def test_a_pending_version_with_the_same_key_is_no_news(make: Make, secret: Kept) -> None:
    secret.pend(OLD)
    assert make().serves(mark(OLD))


def test_a_rotation_of_aws_own_promotes_by_itself(make: Make, secret: Kept) -> None:
    secret.client.rotate_secret(SecretId=SECRET, RotateImmediately=False, RotationRules={"AutomaticallyAfterDays": 30})
    secret.pend()
    (told,) = make().recover(mark(OLD), [])
    assert "AWS's own" in told
    assert make().serves(mark(OLD))


# ---- what goes wrong


def test_a_refused_version_stays_pending_for_whoever_made_it(make: Make, secret: Kept) -> None:
    secret.pend()
    source = make()
    source.recover(mark(OLD), [])
    source.abandon(source.next())
    assert secret.labelled("AWSCURRENT") == OLD
    assert secret.labelled("AWSPENDING") == NEW


def test_a_swap_that_goes_back_takes_the_promotion_back(make: Make, secret: Kept) -> None:
    secret.pend()
    source = make()
    source.recover(mark(OLD), [])
    new = source.next()
    source.promote(new)
    source.abandon(new)
    source.abandon(new)
    assert secret.labelled("AWSCURRENT") == OLD
    assert secret.labelled("AWSPENDING") == NEW


def test_a_new_definition_that_is_refused_leaves_the_labels(make: Make, secret: Kept) -> None:
    secret.pend()
    source = make()
    source.recover(mark(OLD), [])
    source.promote(source.next())  # some rotation before
    later = make()
    later.recover(mark(NEW), [mark(NEW)])  # what serves, and a candidate with another definition
    later.abandon(later.next())
    assert secret.labels() == {"AWSCURRENT": NEW, "AWSPREVIOUS": OLD}


def test_labels_that_moved_meanwhile_are_left(make: Make, secret: Kept) -> None:
    secret.pend()
    source = make()
    new = source.next()
    secret.pend(NEWER)
    with pytest.raises(Conflict, match="moved the labels"):
        source.promote(new)
    assert secret.labelled("AWSCURRENT") == OLD


def test_a_pending_version_that_is_no_credential_is_told(make: Make, secret: Kept) -> None:
    secret.client.put_secret_value(SecretId=SECRET, SecretString="no JSON", VersionStages=["AWSPENDING"])
    with pytest.raises(UnresolvedCredential, match="is no JSON object"):
        make().next()


@contextmanager
def answers_lost(source: SecretsManagerSource, *, done: bool) -> Iterator[None]:
    """Have the next promotion done or not, and its answer lost in any case."""
    really = source._secret.make_current
    left = [1]

    def make_current(version_id: str, *, instead_of: str) -> None:
        if left and left.pop():
            if done:
                really(version_id, instead_of=instead_of)
            raise Unreachable("the answer was lost", evidence="read time-out", fix="run again")
        really(version_id, instead_of=instead_of)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source._secret, "make_current", make_current)
        yield


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_is_looked_up(done: bool, make: Make, secret: Kept) -> None:
    secret.pend()
    source = make()
    new = source.next()
    with answers_lost(source, done=done):
        source.promote(new)
    assert secret.labels() == {"AWSCURRENT": NEW, "AWSPREVIOUS": OLD}


# ---- killed


@EITHER_SIDE
@pytest.mark.parametrize("step", SecretStep)
def test_a_run_killed_anywhere_is_finished_by_the_next(step: SecretStep, when: str, make: Make, secret: Kept) -> None:
    secret.pend()

    def promote(journal: SourceJournal) -> None:
        source = make(journal)
        source.recover(mark(OLD), [])
        new = source.next()
        source.promote(new)
        if step is SecretStep.DEMOTE:
            source.abandon(new)

    assert killed_at(promote, step, when)
    assert secret.labelled("AWSCURRENT") in (OLD, NEW)
    # The model was switched before PROMOTE; before DEMOTE it was switched back, and then is switched anew.
    source = make()
    live = mark(NEW) if step is SecretStep.PROMOTE else mark(OLD)
    source.recover(live, [mark(OLD)])
    new = source.resume(live) or source.next()
    assert is_of(new, NEW)
    source.promote(new)
    assert secret.labels() == {"AWSCURRENT": NEW, "AWSPREVIOUS": OLD}


def test_what_serves_already_is_promoted_when_nothing_else_is_left_of_the_swap(make: Make, secret: Kept) -> None:
    version = secret.pend()
    assert make().recover(mark(NEW), [mark(OLD)]) == []  # the swap goes on, and promotes
    assert secret.labelled("AWSCURRENT") == OLD
    assert make().recover(mark(NEW), []) == [f"version {version}, which serves already, was promoted to AWSCURRENT"]
    assert secret.labels() == {"AWSCURRENT": NEW, "AWSPREVIOUS": OLD}


def test_a_changed_secret_is_seen_by_source_connection_too(
    secret: Kept, nowhere: OpenSearchMLHook, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect([{"Effect": "Allow", "Action": ALLOWED, "Resource": "*"}], conn_id="aws_of_secrets")
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    blueprint = with_secret(source="connection")
    assert source_for(blueprint, nowhere, "aws_of_secrets").serves(mark(OLD))
    secret.put(NEW, "AWSCURRENT")
    changed = source_for(blueprint, nowhere, "aws_of_secrets")
    assert not changed.serves(mark(OLD))
    assert is_of(changed.next(), NEW)
