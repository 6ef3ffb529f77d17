"""Checks of the API calls themselves: a known key, a session not over, the signature, what the policies allow.

moto asks for them once ``POST /moto-api/reset-auth`` has turned them on. Its own class computes the signature; its
decision is replaced, because there an unmet condition denies and resources are mostly unknown.
"""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from botocore.credentials import Credentials
from moto.iam.access_control import IAMRequest
from werkzeug.exceptions import HTTPException

from local.aws_account.account import Account
from local.aws_account.api_requests import ApiCall, parameters_of
from local.aws_account.policy_evaluation import ASSUME_ROLE, Asked
from local.aws_account.principals import Key
from local.aws_account.root_user import ROOT_ACCESS_KEY_ID

_FREE = {"sts:GetCallerIdentity"}  # AWS answers it whatever the policies say
_QUERY_TO_JSON = {
    "AccessDenied": "AccessDeniedException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "ExpiredToken": "ExpiredTokenException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}


class ApiRefusal(HTTPException):
    """A refusal in the form of the API that was called."""

    code = 403

    def __init__(self, error: str, message: str, *, query_api: bool) -> None:
        super().__init__()
        if query_api:
            detail = f"<Type>Sender</Type><Code>{error}</Code><Message>{escape(message)}</Message>"
            self.description = f"<ErrorResponse><Error>{detail}</Error><RequestId></RequestId></ErrorResponse>"
        else:
            self.description = json.dumps({"__type": _QUERY_TO_JSON[error], "message": message})


def checked_request(account: Account) -> type[IAMRequest]:
    """The class that moto makes of each call that it checks, with this account's decisions."""

    class CheckedRequest(IAMRequest):
        def __init__(
            self, account_id: str, method: str, path: str, data: Any, body: bytes, headers: Any, action: str
        ) -> None:
            self.account_id, self._method, self._path = account_id, method, path
            # Without this moto takes the headers of a call without a body for its form, and signs those.
            self._data, self._body, self._headers = (data if "Action" in data else {}), body, headers
            scope = self._get_string_between("Credential=", ",", headers.get("Authorization", "")).split("/")
            if len(scope) != 5:
                raise self._refusal("InvalidClientTokenId", "The request is not signed with Signature Version 4.")
            self._region, self._service = scope[2], scope[3]
            self._action = f"{self._service}:{action}"
            self._access_key: Any = self._known_key(scope[0])

        def check_action_permitted(self, resource: str) -> None:
            if self._action in _FREE or self._access_key.key.access_key_id == ROOT_ACCESS_KEY_ID:
                return
            caller = account.principals.principal(self._access_key.key)
            path = self._path.partition("?")[0]
            parameters = parameters_of(self._data, self._body)
            call = ApiCall(self._action, self.account_id, self._region, path, parameters, caller.arn)
            asked = Asked(call.action, call.resource(), call.context())
            verdict = account.decide(caller, asked)
            if verdict.decision != "allowed":
                said = f"User: {caller.arn} is not authorized to perform: {call.action}"
                because = "" if self._action == ASSUME_ROLE else f" {verdict.because}"  # STS gives no reason
                raise self._refusal("AccessDenied", f"{said} on resource: {call.resource_words()}{because}")

        def _known_key(self, access_key_id: str) -> _SigningKey:
            key = account.principals.key(access_key_id)
            if key is None or not key.has_token(self._headers.get("X-Amz-Security-Token")):
                raise self._refusal("InvalidClientTokenId", "The security token included in the request is invalid.")
            if key.expired:
                raise self._refusal("ExpiredToken", "The security token included in the request is expired")
            return _SigningKey(key)

        def _raise_signature_does_not_match(self) -> None:
            raise self._refusal(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
                " Access Key and signing method. Consult the service documentation for details.",
            )

        def _refusal(self, error: str, message: str) -> ApiRefusal:
            return ApiRefusal(error, message, query_api="Action" in self._data)

    return CheckedRequest


class _SigningKey:
    """What moto's signature check needs of a key."""

    def __init__(self, key: Key) -> None:
        self.key = key

    def create_credentials(self) -> Credentials:
        return Credentials(self.key.access_key_id, self.key.secret_access_key, self.key.session_token)
