"""What becomes of ``roleArn``, ``externalAccountRoleArn`` and ``secretArn`` in a connector's credential.

The open-source server knows none of them. The service checks that the caller may pass the role, assumes it, and signs
with the session's keys; so the real server gets those keys. They last twelve hours at most: the service gets new ones
before they end, this stand-in does not, because neither a demo nor a test lasts that long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from local.domain_gateway.account import AwsRefusal, DomainAccount, Session
from local.domain_gateway.callers import Caller
from local.domain_gateway.domain import Domain
from local.domain_gateway.refusals import anonymous, bad_connector, forbidden, not_authorized

SERVICE = "opensearchservice.amazonaws.com"
SERVICES = (SERVICE, "es.amazonaws.com")  # roles from before 2021 trust the second
PASS_ROLE = "iam:PassRole"  # noqa: S105 an action

_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):role/[\w+=,.@/-]+")
_REPLACED = ("roleArn", "externalAccountRoleArn", "secretArn")


async def credential_from_role(
    credential: Mapping[str, Any], caller: Caller, domain: Domain, account: DomainAccount
) -> dict[str, str]:
    """The credential for the real server: the role's session keys, and a secret's entries, instead of the ARNs.

    :param credential: it holds ``roleArn``.
    :raises Refused: the caller may not pass the role, or the domain gets no keys by it.
    """
    role_arn = str(credential["roleArn"])
    await _require_pass_role(role_arn, caller, domain, account)
    try:
        session = own = await _assume(role_arn, domain, account)
        if external := credential.get("externalAccountRoleArn"):
            session = await account.assume_from(own, str(external), domain)
        secret = credential.get("secretArn")
        entries = await account.secret(own, str(secret)) if secret else {}
    except AwsRefusal as refusal:
        raise bad_connector(str(refusal)) from None
    return {
        **{name: value for name, value in credential.items() if name not in _REPLACED},
        "access_key": session.access_key_id,
        "secret_key": session.secret_access_key,
        "session_token": session.session_token,
        # The real server takes all that follows `credential.` in a header as one name: ${credential.secretArn.KEY}.
        **{f"secretArn.{name}": value for name, value in entries.items()},
    }


async def _require_pass_role(role_arn: str, caller: Caller, domain: Domain, account: DomainAccount) -> None:
    if not (match := _ROLE_ARN.fullmatch(role_arn)):
        raise bad_connector(f"The role ARN {role_arn} is invalid.")
    if caller.key is None:
        raise anonymous(PASS_ROLE, resource=role_arn)
    if {match[1], caller.key.account_id} != {domain.account_id}:
        raise forbidden("Cross-account pass role is not allowed.")
    context = {"iam:PassedToService": SERVICE}
    answer = await account.may(caller.key.access_key_id, PASS_ROLE, role_arn, context=context)
    if not answer.allowed:
        raise not_authorized(caller.name, PASS_ROLE, answer.because, resource=role_arn)


async def _assume(role_arn: str, domain: Domain, account: DomainAccount) -> Session:
    refusals = []
    for service in SERVICES:
        try:
            return await account.assume_for(role_arn, service, domain)
        except AwsRefusal as refusal:
            refusals.append(refusal)
    raise refusals[0]
