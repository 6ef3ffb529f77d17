"""Map botocore's errors to our own; `client.error_mapping` does the same for the answers of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError

from opensearch_ml import errors
from opensearch_ml.aws.refusals import refused_action, refused_signature
from opensearch_ml.errors import OpenSearchMLError

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorizedException")
NO_SESSION = "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"


class _Code(NamedTuple):
    codes: tuple[str, ...]
    error: type[OpenSearchMLError]
    cause: str
    fix: str


_CODES = (
    _Code(
        (
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "RequestThrottled",
            "PriorRequestNotComplete",
        ),
        errors.ServerBusy,
        "AWS asks to come back later",
        "run again",
    ),
    _Code(
        ("NoSuchEntity", "NoSuchEntityException", "ResourceNotFoundException"),
        errors.NotFound,
        "AWS has nothing of that name",
        "correct the name, or use an aws_conn_id of the account, and the region, that it is in",
    ),
    _Code(
        ("EntityAlreadyExists", "ResourceAlreadyExistsException", "ConcurrentModification", "ConflictException"),
        errors.Conflict,
        "another writer was faster",
        "run again",
    ),
    _Code(
        ("DeleteConflict", "DeleteConflictException"),
        errors.InUse,
        "somebody still uses it",
        "detach or delete first what AWS's words name",
    ),
    _Code(
        ("LimitExceeded", "LimitExceededException"),
        errors.RequestRefused,
        "a quota of the AWS account is used up",
        "delete what is no longer needed, or ask AWS for a higher quota",
    ),
    _Code(
        ("RegionDisabledException",),
        errors.InvalidConnection,
        "STS is switched off in the region of connection {aws}",
        "activate STS in that region (IAM, account settings), or set another region_name",
    ),
    _Code(
        ("OptInRequired", "SubscriptionRequiredException", "AccountProblem"),
        errors.PermissionDenied,
        "the AWS account has no access to the service, or to the region",
        "enable the region, or sign the account up for the service",
    ),
)


class _Kind(NamedTuple):
    kinds: tuple[type[BotoCoreError], ...]
    error: type[OpenSearchMLError]
    cause: str
    fix: str


# botocore's own errors, raised without an answer. The first that fits counts: its classes overlap.
_KINDS = (
    _Kind(
        (botocore.SSLError,),
        errors.TLSNotVerified,
        "the certificate of the AWS endpoint is not trusted",
        'name the CA bundle as "verify" in the extra of connection {aws}, or in AWS_CA_BUNDLE (a proxy brings its own)',
    ),
    _Kind(
        (botocore.CredentialRetrievalError, botocore.MetadataRetrievalError),
        errors.Unreachable,
        "the credentials of connection {aws} cannot be fetched",
        "check what gives them to Airflow's workers (instance profile, container role, credential process)",
    ),
    _Kind(
        (botocore.ConnectionError, botocore.HTTPClientError),
        errors.Unreachable,
        "AWS cannot be reached",
        "check that Airflow's workers reach AWS (proxy, VPC endpoints), and the region_name of connection {aws}",
    ),
    _Kind(
        (botocore.PartialCredentialsError,),
        errors.InvalidConnection,
        "connection {aws} has half an access key",
        "give connection {aws} both: Login is the access key id, Password the secret access key",
    ),
    _Kind(
        (botocore.NoCredentialsError,),
        errors.InvalidConnection,
        "connection {aws} has no credentials",
        "give connection {aws} an access key or a role, or Airflow's own environment AWS credentials",
    ),
    _Kind(
        (botocore.ProfileNotFound, botocore.ConfigNotFound, botocore.ConfigParseError),
        errors.InvalidConnection,
        "connection {aws} names a profile that Airflow's worker does not have",
        "correct profile_name in the extra of connection {aws}, or the worker's AWS config file",
    ),
    _Kind(
        (botocore.NoRegionError, botocore.InvalidRegionError, botocore.UnknownRegionError),
        errors.InvalidConnection,
        "connection {aws} names no region, or one that is none",
        'write "region_name": "eu-central-1", or yours, into the extra of connection {aws}',
    ),
    _Kind(
        (
            botocore.TokenRetrievalError,
            botocore.SSOTokenLoadError,
            botocore.UnauthorizedSSOTokenError,
            botocore.LoginError,
        ),
        errors.AuthenticationFailed,
        "the single sign-on session of connection {aws} has ended",
        "sign in again on Airflow's worker (aws sso login), or use a role: a person's session is none for a schedule",
    ),
    _Kind(
        (botocore.ParamValidationError, botocore.ValidationError),
        errors.RequestRefused,
        "the request is none that AWS knows",
        "correct what the words name",
    ),
)


def translate(
    error: ClientError | BotoCoreError, *, aws_conn_id: str, role_arn: str | None, redact: Callable[[str], str]
) -> OpenSearchMLError:
    """Return our exception for one of botocore's; its evidence is ``GetRole -> AccessDenied: words``.

    :param aws_conn_id: the Airflow connection, named in the fix.
    :param role_arn: the role that the connection assumes.
    :param redact: masks secrets in AWS's words: a refused signature is told with the request's headers.
    """
    if isinstance(error, ClientError):
        return _refused(error, aws_conn_id, role_arn, redact)
    for kind in _KINDS:
        if isinstance(error, kind.kinds):
            cause, fix = (text.replace("{aws}", aws_conn_id) for text in (kind.cause, kind.fix))
            return kind.error(cause, evidence=redact(str(error)), fix=fix)
    return errors.InvalidConnection(
        f"connection {aws_conn_id} cannot be used",
        evidence=redact(f"{type(error).__name__}: {error}"),
        fix=f"correct connection {aws_conn_id}, or the AWS settings of Airflow's worker",
    )


def _refused(
    error: ClientError, aws_conn_id: str, role_arn: str | None, redact: Callable[[str], str]
) -> OpenSearchMLError:
    told, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message, operation = str(told.get("Code", "")), str(told.get("Message", "")), error.operation_name
    evidence = redact(f"{operation} -> {code}: {message}")
    if meaning := refused_signature(f"{code}: {message}", conn_id=aws_conn_id, aws_conn_id=aws_conn_id):
        return meaning.error(meaning.cause, evidence=evidence, fix=meaning.fix)
    for known in _CODES:
        if code in known.codes:
            cause, fix = (text.replace("{aws}", aws_conn_id) for text in (known.cause, known.fix))
            return known.error(cause, evidence=evidence, fix=fix)
    refused = refused_action(message)
    if code in DENIED and role_arn and operation in NO_SESSION and (refused is None or refused.resource == role_arn):
        return errors.PermissionDenied(
            f"connection {aws_conn_id} may not assume its role {role_arn}",
            evidence=evidence,
            fix=f"let the connection's user assume it (sts:AssumeRole, and the role's trust policy), or correct the "
            f"role_arn of connection {aws_conn_id}",
        )
    if refused:
        return errors.PermissionDenied(str(refused), evidence=evidence, fix=refused.fix)
    if code in DENIED:
        return errors.PermissionDenied(
            f"connection {aws_conn_id} may not {operation}",
            evidence=evidence,
            fix="allow it to the connection's identity",
        )
    if status >= 500:
        return errors.ServerBusy("AWS asks to come back later", evidence=evidence, fix="run again")
    if status in (401, 403):
        fix = f"correct the access key of connection {aws_conn_id}"
        return errors.AuthenticationFailed(
            f"AWS does not accept the credentials of connection {aws_conn_id}", evidence=evidence, fix=fix
        )
    return errors.RequestRefused("AWS refuses the request", evidence=evidence, fix="correct what AWS's words name")
