"""What a refused principal needs: a statement that is exact, and a command that a shell and IAM take as it is."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from opensearch_ml.aws.policy_evaluation import decide
from opensearch_ml.base.arns import principal_of
from opensearch_ml.iam import grants

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/opensearch-sagemaker-role"
SERVICE = "opensearchservice.amazonaws.com"
OTHERS_WORDS = 'it\'s "quoted" $HOME `id` \\'


def copied(told: str) -> tuple[list[str], dict[str, Any]]:
    """The command that is to be copied, as a shell splits it, and the policy in it."""
    command = shlex.split(told.partition(": aws ")[2])
    return command, json.loads(command[command.index("--policy-document") + 1])


@pytest.mark.parametrize("actions", ["es:ESHttpGet", ["es:ESHttpGet"]])
def test_one_action_stands_without_a_list(actions: str | list[str]) -> None:
    assert grants.statement(actions, "*") == {"Effect": "Allow", "Action": "es:ESHttpGet", "Resource": "*"}


def test_several_actions_and_a_condition_stand_as_they_are() -> None:
    made = grants.statement(["iam:CreateRole", "iam:TagRole"], ROLE, {"Bool": {"aws:SecureTransport": "true"}})
    assert made["Action"] == ["iam:CreateRole", "iam:TagRole"]
    assert made["Condition"] == {"Bool": {"aws:SecureTransport": "true"}}


@pytest.mark.parametrize("condition", [None, {}])
def test_no_condition_is_no_field(condition: dict[str, Any] | None) -> None:
    assert "Condition" not in grants.statement("es:ESHttpGet", "*", condition)


@pytest.mark.parametrize(
    ("service", "resource", "decision"),
    [
        (SERVICE, ROLE, "allowed"),
        ("ec2.amazonaws.com", ROLE, "implicitDeny"),
        (SERVICE, f"{ROLE}-2", "implicitDeny"),
    ],
    ids=["the service", "another service", "another role"],
)
def test_a_role_may_be_passed_to_one_service_and_no_other(service: str, resource: str, decision: str) -> None:
    policy = {"Version": "2012-10-17", "Statement": [grants.pass_role(ROLE, SERVICE)]}
    context = {"iam:PassedToService": service}
    assert decide([policy], "iam:PassRole", resource, context) == decision


@pytest.mark.parametrize(
    ("caller", "command"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/airflow", ["put-user-policy", "--user-name", "airflow"]),
        (f"arn:aws:iam::{ACCOUNT}:user/team/airflow", ["put-user-policy", "--user-name", "airflow"]),
        (f"arn:aws:iam::{ACCOUNT}:role/service/airflow", ["put-role-policy", "--role-name", "airflow"]),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/airflow/task-7", ["put-role-policy", "--role-name", "airflow"]),
    ],
    ids=["user", "user with a path", "role with a path", "session of a role"],
)
def test_a_user_or_role_gets_a_policy_of_its_own_by_its_name(caller: str, command: list[str]) -> None:
    principal = principal_of(caller)
    told = grants.how_to_allow(principal, [grants.pass_role(ROLE, SERVICE)])
    assert told.startswith(f"add this policy to {principal.arn}: aws iam ")
    words, policy = copied(told)
    assert words[:4] == ["iam", *command]
    assert words[4] == "--policy-name"
    assert re.fullmatch(r"opensearch-ml-iam-PassRole-[0-9a-f]{8}", words[5])
    assert policy == {"Version": "2012-10-17", "Statement": [grants.pass_role(ROLE, SERVICE)]}


def test_two_commands_for_one_principal_do_not_replace_each_other() -> None:
    principal = principal_of(f"arn:aws:iam::{ACCOUNT}:user/airflow")
    needed = [("es:ESHttp*", "*"), ("iam:PassRole", ROLE), ("iam:PassRole", f"{ROLE}-2"), ("iam:PassRole", ROLE)]
    names = [copied(grants.how_to_allow(principal, [grants.statement(*one)]))[0][5] for one in needed]
    assert len(set(names)) == 3
    assert names[1] == names[3]  # the same once more is no second policy


def test_all_statements_go_into_one_policy() -> None:
    needed = [grants.statement("es:ESHttpGet", "a"), grants.statement("es:ESHttpPost", "b")]
    told = grants.how_to_allow(principal_of(f"arn:aws:iam::{ACCOUNT}:user/airflow"), iter(needed))
    assert copied(told)[1]["Statement"] == needed


def test_no_text_of_a_statement_is_read_by_the_shell() -> None:
    needed = [grants.statement("es:ESHttpGet", "*", {"StringEquals": {"aws:PrincipalTag/words": OTHERS_WORDS}})]
    told = grants.how_to_allow(principal_of(f"arn:aws:iam::{ACCOUNT}:user/airflow"), needed)
    assert copied(told)[1]["Statement"] == needed


def test_an_account_itself_is_told_in_words_because_no_command_gives_it_a_policy() -> None:
    root = f"arn:aws:iam::{ACCOUNT}:root"
    told = grants.how_to_allow(principal_of(root), [grants.pass_role(ROLE, SERVICE)])
    assert told.startswith(f"allow it to {root}: {{")
    assert "aws iam" not in told
