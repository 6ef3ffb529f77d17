"""Runs that meet at one role."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.aws_account.process import AwsAccount, document
from opensearch_ml.base.outcome import Changed
from opensearch_ml.errors import Conflict
from opensearch_ml.iam.ensure_role import delete_iam_role, ensure_iam_role
from opensearch_ml.iam.role_client import RoleInIam
from tests.support.iam_roles import (
    DOMAIN,
    INVOKE,
    NAME,
    OTHER_DOMAIN,
    POLICY,
    Connect,
    assume,
    policies_of,
    role,
    trust,
    trust_of,
)
from tests.support.threads import at_once


@pytest.mark.parametrize("attempt", range(3))
def test_two_runs_on_an_empty_account_make_one_role(account: AwsAccount, connect: Connect, attempt: int) -> None:
    accesses = iter([connect(conn_id="first"), connect(conn_id="second")])
    changes = at_once(2, lambda: ensure_iam_role(next(accesses), role()))
    assert [change.action for change in changes].count("created") == 1
    assert [found["RoleName"] for found in account.client("iam").list_roles()["Roles"]] == [NAME]
    assert len(trust_of(account)) == 1
    assert policies_of(account) == {POLICY: [INVOKE]}


@pytest.mark.parametrize("there", [False, True], ids=["empty account", "existing role"])
@pytest.mark.parametrize("attempt", range(3))
def test_two_domains_at_once_both_end_in_the_trust_policy(
    account: AwsAccount, connect: Connect, there: bool, attempt: int
) -> None:
    if there:
        account.create_role(NAME, [trust(DOMAIN.replace("search", "third"))])
    wanted = iter([(connect(conn_id="a"), role()), (connect(conn_id="b"), role(domain=OTHER_DOMAIN))])
    at_once(2, lambda: ensure_iam_role(*next(wanted)))
    for domain in (DOMAIN, OTHER_DOMAIN):
        assume(account, domain)
    assert len(policies_of(account)) == 2
    assert len(trust_of(account)) == 1 + there


def test_a_statement_that_others_add_meanwhile_survives(
    account: AwsAccount, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer's whole document, read before ours was written, arrives after it."""
    first, foreign = trust(OTHER_DOMAIN, Sid="First"), trust(OTHER_DOMAIN, Sid="Meanwhile")
    account.create_role(NAME, [first], [INVOKE])
    put, meanwhile = RoleInIam.put_trust, iter([[first, foreign]])

    def put_and_lose(iam: RoleInIam, wanted: Any) -> None:
        put(iam, wanted)
        for statements in itertools.islice(meanwhile, 1):
            account.client("iam").update_assume_role_policy(RoleName=NAME, PolicyDocument=document(statements))

    monkeypatch.setattr(RoleInIam, "put_trust", put_and_lose)
    assert ensure_iam_role(connect(), role()).action == "updated"
    assert [statement["Sid"] for statement in trust_of(account)] == ["First", "Meanwhile", "OpenSearchML"]
    assume(account)


def test_a_writer_who_never_lets_go_ends_as_a_conflict(
    account: AwsAccount, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.create_role(NAME, [trust(OTHER_DOMAIN, Sid="First")], [INVOKE])
    put, number = RoleInIam.put_trust, itertools.count()

    def put_and_lose(iam: RoleInIam, wanted: Any) -> None:
        put(iam, wanted)
        statements = [trust(OTHER_DOMAIN, Sid=f"Again{next(number)}")]
        account.client("iam").update_assume_role_policy(RoleName=NAME, PolicyDocument=document(statements))

    monkeypatch.setattr(RoleInIam, "put_trust", put_and_lose)
    with pytest.raises(Conflict, match="another writer overwrote our trust policy"):
        ensure_iam_role(connect(), role())


def test_a_role_that_another_run_deletes_before_our_write_is_created_again(
    account: AwsAccount, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.create_role(NAME, [trust(OTHER_DOMAIN, Sid="First")])
    put, deletions = RoleInIam.put_trust, iter([NAME])

    def put_too_late(iam: RoleInIam, wanted: Any) -> None:
        for name in deletions:
            account.client("iam").delete_role(RoleName=name)
        put(iam, wanted)

    monkeypatch.setattr(RoleInIam, "put_trust", put_too_late)
    assert ensure_iam_role(connect(), role()).action == "created"
    assume(account)
    assert policies_of(account) == {POLICY: [INVOKE]}


@pytest.mark.parametrize("attempt", range(3))
def test_a_teardown_and_another_domains_run_at_once_leave_the_other_domain_working(
    account: AwsAccount, connect: Connect, attempt: int
) -> None:
    first, second = connect(conn_id="a"), connect(conn_id="b")
    ensure_iam_role(first, role())
    other = role(domain=OTHER_DOMAIN)
    work: Iterator[Callable[[], Changed]] = iter(
        [lambda: delete_iam_role(first, role()), lambda: ensure_iam_role(second, other)]
    )

    def one_of_them() -> Changed:
        return next(work)()

    at_once(2, one_of_them)
    assume(account, OTHER_DOMAIN)
    assert other.policy_name in policies_of(account)
