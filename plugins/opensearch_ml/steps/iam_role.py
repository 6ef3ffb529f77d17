"""The IAM role that Amazon OpenSearch Service assumes to call a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from opensearch_ml.errors import (
    AuthenticationFailed,
    InvalidConnection,
    NotFound,
    OpenSearchMLError,
    PermissionDenied,
    RequestRefused,
    ServerBusy,
    Unreachable,
)

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException")
# They may answer the next time: also a role's credentials come over the network.
NO_ANSWER = (NoConnection, HTTPClientError, CredentialRetrievalError)


def check_iam_role(connect: Callable[[], Any], role_arn: str, *, aws_conn_id: str) -> str:
    """Check that a role exists.

    :param connect: returns a boto3 client for IAM. If the connection assumes a role, this asks AWS too.
    :param aws_conn_id: named in the fix.
    :return: what was seen; also that it could not be checked, where the caller may not ask.
    :raises NotFound: there is no such role.
    :raises Unreachable: or ``ServerBusy``: IAM does not answer, or asks to come back later.
    :raises InvalidConnection: there are no credentials.
    :raises AuthenticationFailed: or ``PermissionDenied``: AWS does not take them.
    Source: ``iam:GetRole``.
    """
    name = role_arn.rpartition("/")[2]
    try:
        found = connect().get_role(RoleName=name)["Role"]["Arn"]
    except ClientError as error:
        if error.operation_name == "GetRole" and error.response["Error"]["Code"] in DENIED:
            return f"role {role_arn} could not be checked, the caller may not read it ({_words(error)})"
        raise _refused(error, role_arn, aws_conn_id) from None
    except BotoCoreError as error:
        raise _not_asked(error, name, aws_conn_id) from None
    if found != role_arn:
        raise NotFound(
            f"the IAM role {name} is another one than the connector names",
            evidence=f"iam:GetRole {name} -> {found}; connector.credential.roleArn is {role_arn}",
            fix="correct roleArn, or use an aws_conn_id of the account that owns it",
        )
    return f"role {role_arn} is there"


def _refused(error: ClientError, role_arn: str, aws_conn_id: str) -> OpenSearchMLError:
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    evidence = _words(error)
    if code == "NoSuchEntity":
        fix = f"create the role, or correct connector.credential.roleArn (is {role_arn})"
        return NotFound(f"there is no IAM role {role_arn.rpartition('/')[2]}", evidence=evidence, fix=fix)
    if code in THROTTLED or status >= 500:
        return ServerBusy("IAM asks to come back later", evidence=evidence, fix="run again")
    if code in DENIED:  # of what precedes GetRole
        fix = f"correct the role of connection {aws_conn_id}, or let the connection's user assume it"
        return PermissionDenied(f"connection {aws_conn_id} may not assume its role", evidence=evidence, fix=fix)
    if status in (401, 403):
        fix = f"correct the access key of connection {aws_conn_id}"
        return AuthenticationFailed(
            f"AWS does not accept the credentials of connection {aws_conn_id}", evidence=evidence, fix=fix
        )
    return RequestRefused("IAM refuses the request", evidence=evidence, fix="correct connector.credential.roleArn")


def _not_asked(error: BotoCoreError, name: str, aws_conn_id: str) -> OpenSearchMLError:
    cause, evidence = f"IAM cannot be asked for role {name}", str(error)
    if isinstance(error, NO_ANSWER):
        return Unreachable(
            cause, evidence=evidence, fix="check that Airflow's workers reach AWS (proxy, VPC endpoints)"
        )
    fix = f"give connection {aws_conn_id} an access key or a role, or Airflow's own environment AWS credentials"
    return InvalidConnection(cause, evidence=evidence, fix=fix)


def _words(error: ClientError) -> str:
    told = error.response["Error"]
    return f"{error.operation_name} -> {told['Code']}: {told.get('Message', '')}"
