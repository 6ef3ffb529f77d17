"""The IAM role that Amazon OpenSearch Service assumes to call a model."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from opensearch_ml.errors import NotFound, Unreachable

MAY_NOT_ASK = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def check_iam_role(client: Any, role_arn: str, *, aws_conn_id: str) -> str:
    """Check that a role exists.

    :param client: a boto3 client for IAM.
    :param aws_conn_id: named in the fix.
    :return: what was seen; also that it could not be checked, where the caller may not ask.
    :raises NotFound: there is no such role.
    :raises Unreachable: IAM could not be asked.
    Source: ``iam:GetRole``.
    """
    name = role_arn.rpartition("/")[2]
    try:
        found = client.get_role(RoleName=name)["Role"]["Arn"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        evidence = f"iam:GetRole {name} -> {code}: {error.response['Error'].get('Message', '')}"
        if code in MAY_NOT_ASK:
            return f"role {role_arn} could not be checked, the caller may not read it ({evidence})"
        if code == "NoSuchEntity":
            raise NotFound(
                f"there is no IAM role {name}",
                evidence=evidence,
                fix=f"create the role, or correct connector.credential.roleArn (is {role_arn})",
            ) from None
        raise Unreachable("IAM refuses to answer", evidence=evidence, fix=f"check connection {aws_conn_id}") from None
    except BotoCoreError as error:
        raise Unreachable(
            "IAM cannot be asked", evidence=f"iam:GetRole {name} -> {error}", fix=f"check connection {aws_conn_id}"
        ) from None
    if found != role_arn:
        raise NotFound(
            f"the IAM role {name} is another one than the connector names",
            evidence=f"iam:GetRole {name} -> {found}; connector.credential.roleArn is {role_arn}",
            fix="correct roleArn, or use an aws_conn_id of the account that owns it",
        )
    return f"role {role_arn} is there"
