"""Every mistake on the way from an empty account to an answer is named as what it is, and mistaken for no other.

Each row breaks one thing. ``preflight`` tells it before anything is written, or, where nobody can know before, the task
that meets it. What no preflight saw in time, the explainer finds afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.domain_world import (
    ACCOUNT,
    ENDPOINT_ARN,
    ROLE_ARN,
    ROLE_NAME,
    SERVICE,
    USER_ARN,
    TaskFailed,
    World,
)
from tests.support.domains import REGION

FOREIGN = "999999999999"
DOMAIN = f"arn:aws:es:{REGION}:{ACCOUNT}:domain/search"


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    :param words: all of them stand in what the task tells, and together in no other mistake's.
    :param fix: what stands behind ``fix:``.
    :param task: the task that tells it.
    """

    name: str
    seed: Callable[[World], object]
    words: tuple[str, ...]
    fix: str
    task: str = "preflight"

    def __str__(self) -> str:
        return self.name


def _all_of(*seeds: Callable[[World], object]) -> Callable[[World], object]:
    def seed(world: World) -> None:
        for one in seeds:
            one(world)

    return seed


def _without(action: str) -> Callable[[World], object]:
    return lambda world: world.forbid(action)


def _extra(world: World, **changed: object) -> None:
    extra = world.connection["extra"] | changed
    world.connection["extra"] = {name: value for name, value in extra.items() if value is not None}


def _login(world: World, **changed: str) -> None:
    world.aws |= changed


def _session(world: World, **left: str) -> dict[str, str]:
    """Let the AWS connection hold a pasted session of a role that may do all that the user may."""
    trust = [{"Effect": "Allow", "Principal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"}]
    world.account.create_role("pasted", trust, [one for given in world.may.values() for one in given])
    key = {"access_key_id": world.aws["login"], "secret_access_key": world.aws["password"]}
    world.account.set_user_statements("airflow", [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}])
    session = world.domain.session(f"arn:aws:iam::{ACCOUNT}:role/pasted", key)
    world.aws |= {"login": session["access_key_id"], "password": session["secret_access_key"]}
    return session


def _expired_session(world: World) -> None:
    world.aws["extra"]["aws_session_token"] = _session(world)["session_token"]
    world.account.expire_sessions()


def _foreign_caller(world: World) -> None:
    world.aws["extra"]["role_arn"] = _foreign_role(world)
    world.connection["host"] = world.domain.gateway.url


def _foreign_role(world: World) -> str:
    trust = [{"Effect": "Allow", "Principal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"}]
    may = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    return world.account.create_role("foreign", trust, may, account_id=FOREIGN)


def _wrong_trust(**trust: object) -> Callable[[World], object]:
    return lambda world: world.make_role(dict(trust))


def _condition(domain: str = DOMAIN, account: str = ACCOUNT, **more: object) -> dict[str, object]:
    return {"StringEquals": {"aws:SourceAccount": account, **more}, "ArnLike": {"aws:SourceArn": domain}}


def _bounded_role(world: World) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    made = world.account.client("iam").create_policy(PolicyName="only-s3", PolicyDocument=json.dumps(document))
    world.make_role(PermissionsBoundary=made["Policy"]["Arn"])


def _pass_only_to_ec2(world: World) -> None:
    world.may["pass"][0]["Condition"] = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def _ml_user_only(world: World) -> None:
    """Airflow's user has ml_full_access, and nobody else writes for it."""
    world.domain.map_role("ml_full_access", users=[USER_ARN])
    world.admin = ""


def _no_settings(world: World) -> None:
    _ml_user_only(world)
    world.target["settings"] = {}


def _connector(world: World, **changed: object) -> None:
    world.document["connector"] |= changed


def _parameters(world: World, **changed: object) -> None:
    world.document["connector"]["parameters"] |= changed


def _keys_in_place_of_the_role(world: World) -> None:
    reference = {"conn_id": "aws_default"}
    keys = {"access_key": reference | {"field": "login"}, "secret_key": reference | {"field": "password"}}
    world.document["connector"]["credential"] = keys
    del world.document["iam_role"]


def _self_managed(world: World) -> None:
    cluster = world.domain.cluster
    world.connection = {
        "conn_type": "opensearch",
        "host": cluster.url,
        "login": cluster.admin_user,
        "password": cluster.admin_password,
        "extra": {"ca_certs": str(cluster.ca_path)},
    }
    world.document["variables"] |= {"account_id": ACCOUNT}


def _endpoint(world: World, **override: object) -> None:
    world.account.override_domain(REGION, "search", **override)


MISTAKES = (
    # ---- who signs
    Mistake(
        "wrong secret key",
        lambda world: _login(world, password="wrong-canary-secret-key"),
        ("AWS computes another signature",),
        "correct the secret key of connection aws_default",
    ),
    Mistake(
        "unknown access key",
        lambda world: _login(world, login="AKIAIOSFODNN7EXAMPLE"),
        ("AWS does not know the access key of connection aws_default",),
        "correct the access key of connection aws_default",
    ),
    Mistake(
        "expired session", _expired_session, ("the session's keys of connection aws_default have expired",), "role_arn"
    ),
    Mistake("session without its token", _session, ("holds half a session",), "aws_session_token"),
    Mistake(
        "clock is slow",
        lambda world: world.domain.gateway.set_clock_offset(600),
        ("the clock of Airflow's worker is wrong", "Signature expired"),
        "NTP",
    ),
    Mistake(
        "clock is fast",
        lambda world: world.domain.gateway.set_clock_offset(-600),
        ("the clock of Airflow's worker is wrong", "Signature not yet current"),
        "NTP",
    ),
    Mistake(
        "signed for another region",
        _all_of(
            lambda world: _extra(world, domain_arn=None, region_name="us-west-2"),
            lambda world: world.connection.update(host=world.domain.gateway.url),
            _keys_in_place_of_the_role,
        ),
        ("the request is signed for another region than the domain's",),
        "region_name",
    ),
    Mistake(
        "no domain_arn",
        _all_of(
            lambda world: _extra(world, domain_arn=None, region_name=REGION),
            lambda world: world.connection.update(host=world.domain.gateway.url),
            lambda world: world.document["variables"].update(account_id=ACCOUNT),
        ),
        ("connection opensearch_default does not say which domain it is for",),
        '{"domain_arn": "arn:aws:es:REGION:ACCOUNT:domain/NAME"}',
    ),
    Mistake(
        "login in place of a signature",
        _all_of(
            lambda world: _extra(world, aws_conn_id=None),
            lambda world: world.connection.update(
                host=world.domain.gateway.url,
                login=world.domain.cluster.admin_user,
                password=world.domain.cluster.admin_password,
            ),
        ),
        ("logs in as an internal user, who has no IAM identity to pass a role with",),
        '{"aws_conn_id": "aws_default"}',
    ),
    # ---- the domain
    Mistake(
        "domain of another name",
        lambda world: _extra(world, domain_arn=f"arn:aws:es:{REGION}:{ACCOUNT}:domain/serch"),
        (f"there is no domain serch in {REGION}",),
        "the account has search there",
    ),
    Mistake(
        "domain of another region",
        lambda world: _extra(world, domain_arn=f"arn:aws:es:us-west-2:{ACCOUNT}:domain/search"),
        ("there is no domain search in us-west-2",),
        "the account has none there",
    ),
    Mistake(
        "domain of a foreign account",
        _foreign_caller,
        ("is of another account than the domain, whose access policy does not let it in",),
        f"add to the access policy of {DOMAIN}",
    ),
    Mistake(
        "endpoint of a foreign account's domain",
        _all_of(_foreign_caller, lambda world: world.connection.pop("host")),
        ("the endpoint of domain search cannot be looked up from account 999999999999",),
        "field Host",
    ),
    Mistake(
        "VPC name that does not resolve",
        lambda world: _endpoint(world, vpc_endpoint="vpc-search-abc.no-such-region.es.invalid"),
        ("cannot be reached from here", "does not resolve"),
        "run Airflow's workers and triggerer inside a VPC",
    ),
    Mistake(
        "VPC endpoint that does not connect",
        lambda world: _endpoint(world, vpc_endpoint="127.0.0.1:9"),
        ("cannot be reached from here", "no connection"),
        "security group",
    ),
    Mistake(
        "public endpoint that does not connect",
        lambda world: _endpoint(world, endpoint="127.0.0.1:9"),
        ("domain search cannot be reached",),
        "connect to the internet",
    ),
    Mistake(
        "host of another domain",
        lambda world: world.connection.update(host="search-other-abc.eu-west-1.es.invalid"),
        ("host is search-other-abc.eu-west-1.es.invalid, and the domain's endpoint is",),
        "Leave host empty",
    ),
    # ---- what the caller may do
    *(
        Mistake(
            f"no {action}",
            _without(action),
            (f"{USER_ARN} may not {action} on {DOMAIN}/*", "implicitDeny"),
            f'"Action": "{action}"',
        )
        for action in ("es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut", "es:ESHttpDelete")
    ),
    Mistake(
        "es:ESHttpPost is denied",
        lambda world: world.deny("es:ESHttpPost"),
        (f"{USER_ARN} may not es:ESHttpPost on", "explicitDeny (policy allowed denies it)"),
        "allowing it elsewhere does not help",
    ),
    Mistake(
        "no iam:PassRole",
        lambda world: world.forbid("iam:PassRole"),
        (f"{USER_ARN} may not iam:PassRole on {ROLE_ARN}", "its policies -> implicitDeny\n"),
        f'"Condition": {{"StringEquals": {{"iam:PassedToService": "{SERVICE}"}}}}',
    ),
    Mistake(
        "iam:PassRole to another service only",
        _pass_only_to_ec2,
        ("may not iam:PassRole on", "allows it only if StringEquals iam:PassedToService ec2.amazonaws.com"),
        f'"iam:PassedToService": "{SERVICE}"',
    ),
    Mistake(
        "iam:PassRole is denied",
        lambda world: world.deny("iam:PassRole"),
        ("may not iam:PassRole on", "explicitDeny (policy allowed denies it)"),
        "allowing it elsewhere does not help",
    ),
    Mistake(
        "may not make the role",
        lambda world: world.forbid("iam:CreateRole", "iam:PutRolePolicy"),
        ("may not iam:CreateRole, iam:PutRolePolicy on",),
        '"Action": ["iam:CreateRole", "iam:PutRolePolicy"]',
    ),
    # ---- the role
    Mistake(
        "role is missing",
        lambda world: world.document.update(iam_role={"manage": False}),
        (f"there is no IAM role {ROLE_NAME}",),
        "aws iam create-role",
    ),
    Mistake(
        "role of another account",
        _all_of(
            lambda world: world.document["variables"].update(account_id=FOREIGN),
            lambda world: world.target.update(variables=world.target["variables"] | {"account_id": FOREIGN}),
        ),
        (f"is a role of account {FOREIGN}, and the domain {DOMAIN} can be passed only its own",),
        "externalAccountRoleArn",
    ),
    Mistake(
        "trust in another service",
        _wrong_trust(Principal={"Service": "ec2.amazonaws.com"}),
        ("the trust policy names other principals only (ec2.amazonaws.com)",),
        "update-assume-role-policy",
    ),
    Mistake(
        "trust for another account",
        _wrong_trust(Condition=_condition(account=FOREIGN)),
        (f"asks for StringEquals aws:SourceAccount {FOREIGN}",),
        "update-assume-role-policy",
    ),
    Mistake(
        "trust for another domain",
        _wrong_trust(Condition=_condition(domain=f"{DOMAIN}-2")),
        (f"asks for ArnLike aws:SourceArn {DOMAIN}-2",),
        "update-assume-role-policy",
    ),
    Mistake(
        "trust that is compared literally",
        _wrong_trust(Condition={"StringEquals": {"aws:SourceArn": f"arn:aws:es:{REGION}:{ACCOUNT}:domain/*"}}),
        ("StringEquals takes a wildcard literally; use ArnLike",),
        "update-assume-role-policy",
    ),
    Mistake(
        "trust is denied",
        _wrong_trust(Effect="Deny", Condition={}),
        ("denies it", "trust policy"),
        "correct that statement of the trust policy",
    ),
    Mistake(
        "trust asks for an external id",
        _wrong_trust(Condition=_condition(**{"sts:ExternalId": "x"})),
        ("asks for StringEquals sts:ExternalId x",),
        "update-assume-role-policy",
    ),
    Mistake(
        "role may not invoke",
        lambda world: world.make_role(statements=[]),
        (f"role {ROLE_NAME} may not sagemaker:InvokeEndpoint on {ENDPOINT_ARN}", "its policies (none)"),
        "put-role-policy",
    ),
    Mistake(
        "role may invoke another endpoint",
        lambda world: world.make_role(
            statements=[{"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": f"{ENDPOINT_ARN}-2"}]
        ),
        (f"role {ROLE_NAME} may not sagemaker:InvokeEndpoint on {ENDPOINT_ARN}", "its policies (allowed)"),
        "put-role-policy",
    ),
    Mistake(
        "boundary does not let the role invoke", _bounded_role, ("boundary", "sagemaker:InvokeEndpoint"), "only-s3"
    ),
    # ---- the cluster
    Mistake(
        "role is not mapped",
        lambda world: setattr(world, "admin", ""),
        (f"{USER_ARN} is mapped to no role that may use ML Commons",),
        f'"users": ["{USER_ARN}"]',
    ),
    Mistake(
        "who is to map others may not",
        _all_of(_ml_user_only, lambda world: world.target.update(role_mapping={"ml_read_access": {"users": ["x"]}})),
        ("opensearch_default may not map anybody to ml_read_access",),
        "the master user",
    ),
    Mistake(
        "settings by who may not",
        _ml_user_only,
        ("cluster:admin/settings/update, which is not in ml_full_access",),
        "opensearch_admin_conn_id",
        task="ml_settings",
    ),
    Mistake(
        "untrusted URL",
        _no_settings,
        ("the cluster does not trust",),
        "let an administrator send PUT /_cluster/settings",
        task="trusted_endpoints",
    ),
    Mistake(
        "access control is off",
        lambda world: _connector(world, access_mode="public"),
        ("access control is off on the cluster",),
        "connector_access_control_enabled: true",
    ),
    Mistake(
        "role on a self-managed cluster",
        _self_managed,
        ("roleArn works on Amazon OpenSearch Service alone",),
        "access_key, secret_key and, of an STS session, session_token",
    ),
    # ---- the model
    Mistake(
        "endpoint of another name",
        lambda world: world.target["variables"].update(endpoint_name="no-such-endpoint"),
        (f"SageMaker has no endpoint no-such-endpoint in {REGION}",),
        "correct the endpoint's name",
    ),
    Mistake(
        "service of another name",
        lambda world: _parameters(world, service_name="sagemaker-runtime"),
        ("service_name: is sagemaker-runtime, which is a host's name",),
        "sagemaker",
    ),
    Mistake(
        "URL of another region",
        lambda world: world.target["variables"].update(
            sagemaker_url="https://runtime.sagemaker.us-west-2.amazonaws.com"
        ),
        ("is in us-west-2, and the connector signs for eu-west-1",),
        "Write the same region in both",
    ),
)

TOLD: dict[str, str] = {}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_named_before_the_first_write(mistake: Mistake, world: World) -> None:
    mistake.seed(world)
    world.ready()
    world.account.forget_writes()
    world.domain.gateway.forget_requests()
    told = failure(world)
    assert (told.task_id, [word for word in mistake.words if word not in told.told]) == (mistake.task, []), told.told
    assert mistake.fix in told.told.partition("fix:")[2], told.told
    if mistake.task == "preflight":
        assert world.writes() == ({}, [])
    TOLD[mistake.name] = told.told


def test_no_mistake_is_taken_for_another() -> None:
    if len(TOLD) < len(MISTAKES):
        pytest.skip("looks at what the rows above have told, and not all of them ran")
    taken = [
        (told, other.name)
        for told, text in TOLD.items()
        for other in MISTAKES
        if other.name != told and all(word in text for word in other.words)
    ]
    assert taken == []


# What nobody saw in time: removed between preflight and use, or never asked for.
EXPLAINED = (
    Mistake(
        "VPC name that does not resolve",
        lambda world: _endpoint(world, vpc_endpoint="vpc-search-abc.no-such-region.es.invalid"),
        ("domain search is in a VPC, which cannot be reached from here",),
        "run Airflow's workers and triggerer inside a VPC",
        task="role_mapping",
    ),
    Mistake(
        "no es:ESHttpPost",
        lambda world: world.forbid("es:ESHttpPost"),
        (f"{USER_ARN} may not es:ESHttpPost on {DOMAIN}/*",),
        "aws iam put-user-policy --user-name airflow",
        task="role_mapping",
    ),
    Mistake(
        "es:ESHttpPost is denied",
        lambda world: world.deny("es:ESHttpPost"),
        (f"a policy denies es:ESHttpPost to {USER_ARN} in as many words", "policy allowed denies it"),
        "allowing it elsewhere does not help",
        task="role_mapping",
    ),
    Mistake(
        "no iam:PassRole",
        _all_of(World.make_role, _without("iam:PassRole")),
        (f"{USER_ARN} may not pass {ROLE_ARN} to {SERVICE}",),
        f'"iam:PassedToService": "{SERVICE}"',
        task="connector",
    ),
    Mistake(
        "iam:PassRole to another service only",
        _all_of(World.make_role, _pass_only_to_ec2),
        (f"may not pass {ROLE_ARN}", "allows it only if StringEquals iam:PassedToService ec2.amazonaws.com"),
        f'"iam:PassedToService": "{SERVICE}"',
        task="connector",
    ),
    Mistake(
        "role is missing",
        lambda world: None,
        (f"there is no IAM role {ROLE_ARN}",),
        "run task iam_role",
        task="connector",
    ),
    Mistake(
        "trust in another service",
        _wrong_trust(Principal={"Service": "ec2.amazonaws.com"}),
        (
            f"the trust policy of {ROLE_ARN} does not let the domain assume it",
            "other principals only (ec2.amazonaws.com)",
        ),
        "aws iam update-assume-role-policy",
        task="connector",
    ),
    Mistake(
        "trust for another account",
        _wrong_trust(Condition=_condition(account=FOREIGN)),
        ("does not let the domain assume it", f"aws:SourceAccount {FOREIGN}"),
        "aws iam update-assume-role-policy",
        task="connector",
    ),
    Mistake(
        "trust for another domain",
        _wrong_trust(Condition=_condition(domain=f"{DOMAIN}-2")),
        ("does not let the domain assume it", f"aws:SourceArn {DOMAIN}-2"),
        "aws iam update-assume-role-policy",
        task="connector",
    ),
    Mistake(
        "role may not invoke",
        lambda world: world.make_role(statements=[]),
        (f"{ROLE_ARN}, which the connector signs as, may not sagemaker:InvokeEndpoint on {ENDPOINT_ARN}",),
        f"aws iam put-role-policy --role-name {ROLE_NAME}",
        task="smoke_predict",
    ),
    Mistake(
        "endpoint of another name",
        _all_of(
            lambda world: world.target["variables"].update(endpoint_name="gone"),
            lambda world: world.make_role(
                statements=[
                    {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": f"{ENDPOINT_ARN[:-20]}gone"}
                ]
            ),
        ),
        ("has no SageMaker endpoint gone",),
        "aws sagemaker list-endpoints",
        task="smoke_predict",
    ),
    Mistake(
        "role is not mapped",
        _all_of(lambda world: setattr(world, "admin", ""), lambda world: world.target.update(settings={})),
        (f"{USER_ARN} is mapped to no role that may use ML Commons",),
        f'"users": ["{USER_ARN}"]',
        task="ml_settings",
    ),
)


@pytest.mark.parametrize("mistake", EXPLAINED, ids=str)
def test_a_refusal_is_explained_by_the_missing_link(mistake: Mistake, world: World) -> None:
    mistake.seed(world)
    world.ready()
    told = failure(world, without=("preflight", "iam_role"))
    assert (told.task_id, [word for word in mistake.words if word not in told.told]) == (mistake.task, []), told.told
    assert mistake.fix in told.told.partition("fix:")[2], told.told


def failure(world: World, *, without: tuple[str, ...] = ()) -> TaskFailed:
    """Provision, which must fail."""
    with pytest.raises(TaskFailed) as raised:
        world.provision(without=without)
    return raised.value
