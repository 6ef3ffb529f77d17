"""The account's own HTTP API, below ``/_account``: for the other stand-ins, and for tests through ``process.py``."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, abort, request
from werkzeug.exceptions import HTTPException

from local.aws_account.account import Account, Refused, find_domain, has_sagemaker_endpoint
from local.aws_account.moto_hooks import reset_moto
from local.aws_account.policy_evaluation import Asked
from local.aws_account.principals import Key

_EXPIRED = "The security token included in the request is expired"
SETTINGS = {"propagation_s", "key_propagation_s", "session_lifetime_s", "longest_session_s"}
_DOMAIN_FIELDS = {"endpoint", "vpc_endpoint", "fine_grained"}


def create_app(account: Account) -> Flask:
    """The application of these routes; errors are ``{"message": …}``."""
    app = Flask("account")
    principals, state = account.principals, account.state

    @app.get("/keys/<access_key_id>")
    def key(access_key_id: str) -> Any:
        return _told(_known(access_key_id))

    @app.get("/sessions")
    def sessions() -> Any:
        return [_told(found) for found in principals.session_keys()]

    @app.post("/authorize")
    def authorize() -> Any:
        asked = request.get_json()
        if "access_key_id" in asked:
            key = _known(asked["access_key_id"])
            if key.expired:
                abort(403, _EXPIRED)
            principal = principals.principal(key)
        else:
            found = principals.by_arn(asked["principal_arn"])
            principal = found or abort(404, f"there is no principal {asked['principal_arn']}")
        question = Asked(asked["action"], asked["resource"], asked.get("context") or {})
        verdict = account.decide(principal, question, asked.get("resource_policy"))
        return {"decision": verdict.decision, "principal_arn": principal.arn, "because": verdict.because}

    @app.post("/assume")
    def assume() -> Any:
        asked = request.get_json()
        session = account.assume_for_service(
            asked["role_arn"], asked["service"], asked.get("context") or {}, asked.get("session_name") or "service"
        )
        return {
            "access_key_id": session.access_key_id,
            "secret_access_key": session.secret_access_key,
            "session_token": session.session_token,
            "expires_at": state.expires_s(session),
        }

    @app.put("/settings")
    def settings() -> Any:
        wanted = request.get_json()
        if unknown := set(wanted) - SETTINGS:
            abort(400, f"unknown settings {sorted(unknown)}")
        for name in wanted:
            setattr(state, name, wanted[name])
        return {name: getattr(state, name) for name in SETTINGS}

    @app.post("/expire-sessions")
    def expire_sessions() -> Any:
        state.expire_sessions()
        return {}

    @app.get("/writes")
    def writes() -> Any:
        return dict(state.writes)

    @app.delete("/writes")
    def forget_writes() -> Any:
        state.writes.clear()
        return {}

    @app.post("/reset")
    def reset() -> Any:
        reset_moto()
        account.roles.reset()
        state.reset()
        return {}

    @app.get("/domains/<region>/<name>")
    def domain(region: str, name: str) -> Any:
        found = find_domain(region, name) or abort(404, f"Domain not found: {name}")
        policies = found.access_policies
        return {"arn": found.arn, "access_policies": json.loads(policies) if policies else None}

    @app.put("/domains/<region>/<name>")
    def override_domain(region: str, name: str) -> Any:
        found = find_domain(region, name) or abort(404, f"Domain not found: {name}")
        wanted = request.get_json()
        if unknown := set(wanted) - _DOMAIN_FIELDS:
            abort(400, f"unknown fields {sorted(unknown)}")
        if "endpoint" in wanted:
            found.endpoint, found.endpoints = wanted["endpoint"], None
        if "vpc_endpoint" in wanted:
            found.endpoint, found.endpoints = None, {"vpc": wanted["vpc_endpoint"]}
        if "fine_grained" in wanted:
            found.advanced_security_options = {**found.advanced_security_options, "Enabled": wanted["fine_grained"]}
        return {"arn": found.arn}

    @app.get("/sagemaker-endpoints/<region>/<name>")
    def sagemaker_endpoint(region: str, name: str) -> Any:
        return {} if has_sagemaker_endpoint(region, name) else abort(404, f"Could not find endpoint {name}")

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Any:
        return {"message": error.message}, error.status

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> Any:
        return {"message": error.description}, error.code

    @app.errorhandler(KeyError)
    def incomplete(error: KeyError) -> Any:
        return {"message": f"the request lacks {error}"}, 400

    def _known(access_key_id: str) -> Key:
        return principals.key(access_key_id) or abort(404, f"no such key: {access_key_id}")

    return app


def _told(key: Key) -> dict[str, Any]:
    return {
        "access_key_id": key.access_key_id,
        "secret_access_key": key.secret_access_key,
        "session_token": key.session_token,
        "principal_arn": key.principal_arn,
        "role_arn": key.role_arn,
        "account_id": key.account_id,
        "expires_at": key.expires_s,
    }
