"""The domain gateway in front of a real OpenSearch: who gets in, as whom, and what the others are told."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from typing import Any

import pytest
import requests

from local.domain_gateway.cluster import Cluster
from tests.support.domains import EVERYTHING, NAME, REGION, Domain, Key

AUTHINFO = "/_plugins/_security/authinfo"
USER_ARN = "arn:aws:iam::123456789012:user/airflow"
ROLE_TRUST = [{"Effect": "Allow", "Principal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"}]
FOREIGN_ACCOUNT = "210987654321"
FOREIGN_ARN = f"arn:aws:sts::{FOREIGN_ACCOUNT}:assumed-role/caller/airflow"
MATCH_ALL: dict[str, dict[str, dict[str, str]]] = {"query": {"match_all": {}}}
EXPIRED = "The security token included in the request is expired"
INVALID = "The security token included in the request is invalid."
MISMATCH = "The request signature we calculated does not match the signature you provided. "


def told(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 403
    found: dict[str, Any] = answer.json()
    return found


# Signatures


@pytest.mark.parametrize(
    "path",
    ["/_cat/indices/.plugins-*?h=index,health&v", "/no-such_index/_doc/-a%2Fb%20c?_source=a,b", "/_nodes/a,b/x*"],
)
def test_a_signed_request_reaches_the_cluster_with_its_path_and_query(domain: Domain, user: Key, path: str) -> None:
    domain.map_role(EVERYTHING, users=[USER_ARN])
    signed = domain.request("GET", path, user)
    direct = domain.as_admin("GET", path)
    assert signed.status_code != 403
    assert (signed.status_code, signed.text) == (direct.status_code, direct.text)


def test_an_unsigned_request_is_refused_as_anonymous(domain: Domain) -> None:
    sentence = (
        "is not authorized to perform: es:ESHttp{0} because no resource-based policy allows the es:ESHttp{0} action"
    )
    for method in ("Get", "Post", "Put", "Delete", "Patch"):
        refused = domain.request(method.upper(), "/")
        assert told(refused) == {"Message": f"User: anonymous {sentence.format(method)}"}
    assert domain.request("HEAD", "/").status_code == 403
    assert [recorded.principal for recorded in domain.gateway.requests()] == [None] * 6


def test_a_wrong_secret_is_refused_with_what_should_have_been_signed(domain: Domain, user: Key) -> None:
    message = told(domain.request("GET", "/", {**user, "secret_access_key": "wrong"}))["message"]
    assert message.startswith(MISMATCH)
    assert "The Canonical String for this request should have been\n'GET\n/\n\nhost:127.0.0.1" in message
    assert "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n" in message
    assert user["secret_access_key"] not in message


def test_an_unknown_key_a_deleted_key_and_a_wrong_token_are_refused(domain: Domain, user: Key) -> None:
    assert domain.request("GET", AUTHINFO, user).ok
    for key in ({**user, "access_key_id": "AKIAUNKNOWN"}, {**user, "session_token": "a token it has not"}):
        assert told(domain.request("GET", AUTHINFO, key)) == {"message": INVALID}
    domain.account.delete_user("airflow")
    assert told(domain.request("GET", AUTHINFO, user)) == {"message": INVALID}


def test_another_region_or_service_in_the_scope_is_named(domain: Domain, user: Key) -> None:
    assert told(domain.request("GET", "/", user, region="us-west-2")) == {
        "message": "Credential should be scoped to a valid Region, not 'us-west-2'. "
    }
    assert told(domain.request("GET", "/", user, service="aoss")) == {
        "message": "Credential should be scoped to correct service: 'es'. "
    }


def test_a_body_that_is_not_the_signed_one_is_refused(domain: Domain, user: Key) -> None:
    signed = domain.request("POST", "/_search", user, json={"size": 1}).request
    signed.body = b'{"size": 2}'  # as long as the other
    with requests.Session() as session:
        session.trust_env = False
        for content_hash in (signed.headers["x-amz-content-sha256"], hashlib.sha256(signed.body).hexdigest()):
            signed.headers["x-amz-content-sha256"] = content_hash
            refused = session.send(signed, verify=str(domain.cluster.ca_path), timeout=60)
            assert told(refused)["message"].startswith(MISMATCH)


@pytest.mark.parametrize(("offset_s", "words"), [(360, "Signature expired: "), (-360, "Signature not yet current: ")])
def test_a_clock_more_than_five_minutes_off_is_refused(domain: Domain, user: Key, offset_s: int, words: str) -> None:
    domain.gateway.set_clock_offset(offset_s)
    assert told(domain.request("GET", AUTHINFO, user))["message"].startswith(words)
    domain.gateway.set_clock_offset(offset_s / 2)
    assert domain.request("GET", AUTHINFO, user).ok


def test_a_session_that_is_over_is_refused_at_once(domain: Domain, user: Key) -> None:
    role = domain.account.create_role("caller", ROLE_TRUST, [domain.http_allowed()])
    session = domain.session(role, user)
    assert domain.request("GET", AUTHINFO, session).ok
    domain.account.expire_sessions()
    assert told(domain.request("GET", AUTHINFO, session)) == {"message": EXPIRED}
    assert domain.request("GET", AUTHINFO, domain.session(role, user)).ok


# IAM


def test_an_action_that_iam_does_not_allow_is_refused(domain: Domain) -> None:
    user = domain.account.create_user("airflow", [domain.http_allowed("Get")])
    assert domain.request("GET", AUTHINFO, user).ok
    assert told(domain.request("POST", "/_search", user)) == {
        "Message": f"User: {USER_ARN} is not authorized to perform: es:ESHttpPost on resource: {domain.arn} "
        "because no identity-based policy allows the es:ESHttpPost action"
    }


def test_an_explicit_deny_and_the_path_it_is_for_are_heeded(domain: Domain, user: Key) -> None:
    deny = {"Effect": "Deny", "Action": "es:*", "Resource": f"{domain.arn}/_plugins/_ml/*"}
    domain.account.set_user_statements("airflow", [domain.http_allowed(), deny])
    assert domain.request("GET", AUTHINFO, user).ok
    assert told(domain.request("GET", "/_plugins/_ml/stats", user)) == {
        "Message": f"User: {USER_ARN} is not authorized to perform: es:ESHttpGet on resource: {domain.arn} "
        "with an explicit deny in an identity-based policy"
    }


def test_the_access_policies_let_a_caller_in_who_has_no_policies(domain: Domain) -> None:
    user = domain.account.create_user("airflow")
    assert domain.request("GET", AUTHINFO, user).status_code == 403
    set_access_policies(domain, {"AWS": USER_ARN})
    assert domain.request("GET", AUTHINFO, user).ok


def test_a_foreign_accounts_caller_needs_the_access_policies(domain: Domain, user: Key) -> None:
    role = domain.account.create_role("caller", ROLE_TRUST, [domain.http_allowed()], account_id=FOREIGN_ACCOUNT)
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
    domain.account.set_user_statements("airflow", [allow])
    session = domain.session(role, user)
    assert told(domain.request("GET", AUTHINFO, session)) == {
        "Message": f"User: {FOREIGN_ARN} is not authorized to perform: es:ESHttpGet on resource: {domain.arn} "
        "because no resource-based policy allows the es:ESHttpGet action"
    }
    set_access_policies(domain, {"AWS": role})
    assert domain.request("GET", AUTHINFO, session).ok


def set_access_policies(domain: Domain, principal: dict[str, str]) -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "es:*", "Resource": f"{domain.arn}/*"}
    policies = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    domain.account.client("opensearch", REGION).update_domain_config(DomainName=NAME, AccessPolicies=policies)


# Fine-grained access control


def test_a_user_is_its_arn_and_has_no_backend_role(domain: Domain, user: Key) -> None:
    found = domain.request("GET", AUTHINFO, user).json()
    assert (found["user_name"], found["backend_roles"]) == (USER_ARN, [])


def test_a_session_is_its_role_with_the_roles_path(domain: Domain, user: Key) -> None:
    role = domain.account.create_role("caller", ROLE_TRUST, [domain.http_allowed()], Path="/data/")
    assert role == "arn:aws:iam::123456789012:role/data/caller"
    found = domain.request("GET", AUTHINFO, domain.session(role, user)).json()
    assert (found["user_name"], found["backend_roles"]) == (role, [role])
    assert domain.gateway.requests()[-1].principal == "arn:aws:sts::123456789012:assumed-role/caller/airflow"


def test_whom_iam_lets_in_still_needs_a_mapped_role(domain: Domain, user: Key) -> None:
    role = domain.account.create_role("caller", ROLE_TRUST, [domain.http_allowed()])
    session = domain.session(role, user)
    for key, who in ((user, {"users": [USER_ARN]}), (session, {"backend_roles": [role]})):
        refused = domain.request("POST", "/_plugins/_ml/models/_search", key, json=MATCH_ALL)
        assert told(refused)["error"]["type"] == "security_exception"
        domain.map_role("ml_full_access", **who)
        assert domain.request("POST", "/_plugins/_ml/models/_search", key, json=MATCH_ALL).ok


def test_an_internal_user_passes_to_the_security_plugin(domain: Domain) -> None:
    assert domain.as_admin("GET", AUTHINFO).json()["user_name"] == "admin"
    assert domain.request("GET", AUTHINFO, auth=("admin", "wrong")).status_code == 401
    assert [recorded.principal for recorded in domain.gateway.requests()] == ["admin", "admin"]


def test_nobody_becomes_somebody_else_by_headers(domain: Domain, user: Key) -> None:
    headers = {"x-forwarded-for": "127.0.0.1", "X-Proxy-User": "admin", "x-proxy-roles": "admin,all_access"}
    found = domain.request("GET", AUTHINFO, user, headers=headers).json()
    assert (found["user_name"], found["backend_roles"]) == (USER_ARN, [])
    assert domain.request("GET", AUTHINFO, auth=("admin", "wrong"), headers=headers).status_code == 401
    assert domain.request("GET", AUTHINFO, headers=headers).status_code == 403


# What the cluster is asked and answers


def test_head_and_compressed_bodies_pass(domain: Domain, user: Key) -> None:
    domain.map_role(EVERYTHING, users=[USER_ARN])
    body = gzip.compress(json.dumps({"text": "ä" * 2_000}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    path = "/books/_doc/a%2Fb%20c"
    assert domain.request("PUT", path + "?refresh=true", user, data=body, headers=headers).status_code == 201
    found = domain.request("GET", path, user).json()
    assert (found["_id"], found["_source"]) == ("a/b c", {"text": "ä" * 2_000})
    assert domain.request("HEAD", path, user).status_code == 200
    assert domain.request("HEAD", "/books/_doc/other", user).status_code == 404
    assert domain.request("DELETE", "/books", user).ok


def test_a_cluster_that_does_not_answer_is_told_as_the_service_does(domain: Domain) -> None:
    async def send() -> Any:
        cluster = Cluster("https://127.0.0.1:9", domain.cluster.ca_path)
        return await cluster.send("GET", b"/", [], b"")

    answer = asyncio.run(send())
    assert answer.status_code == 503
    assert b"503 Service Unavailable" in answer.body
