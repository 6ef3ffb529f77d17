"""What a blueprint may not say about AWS: it would be refused by the service, or fail at the first signed request.

Source: "Amazon OpenSearch Service ML connectors for AWS services" and "… for third-party platforms"; each service's
endpoints and signing names as botocore has them; IAM's policy grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opensearch_ml.base.arns import ARN, PARTITIONS, ROLE_ARN
from opensearch_ml.blueprint import placeholders, trusted_endpoints
from opensearch_ml.blueprint.findings import nearest
from opensearch_ml.blueprint.models import Blueprint, Connector
from opensearch_ml.errors import Finding
from opensearch_ml.iam import permissions

WORD = r"[a-z0-9-]+"
# Parts of a credential that are no secret, and what they look like.
LITERALS = {
    "roleArn": ROLE_ARN,
    "externalAccountRoleArn": ROLE_ARN,
    # IAM compares the whole ARN, and the service adds a hyphen and six characters to every secret's name.
    "secretArn": ARN + r":secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+-[A-Za-z0-9]{6}",
    "region": WORD,
    "service_name": WORD,
}
FORMS = {
    "roleArn": "arn:PARTITION:iam::ACCOUNT:role/NAME",
    "externalAccountRoleArn": "arn:PARTITION:iam::ACCOUNT:role/NAME",
    "secretArn": "arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-XXXXXX, with the six characters at its end",
}
ARN_WITHOUT_ACCOUNT = re.compile(r"arn:[a-z-]+:[a-z]+:[\w-]*:(?!\d{12}:)[^:]*:(?:role|secret)[/:].+")

# The name that a service signs with, by what stands before the region in its hosts.
SIGNING_NAMES = {
    **{name: name for name in ("bedrock", "comprehend", "lambda", "rekognition", "textract", "translate")},
    **dict.fromkeys(("bedrock-runtime", "bedrock-agent", "bedrock-agent-runtime"), "bedrock"),
    **dict.fromkeys(("runtime.sagemaker", "api.sagemaker"), "sagemaker"),
}
NO_SIGNING_NAMES = {
    **{host: name for host, name in SIGNING_NAMES.items() if host != name},
    "sagemaker-runtime": "sagemaker",
}
REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d")
SUFFIXES = sorted({*(suffix for _, suffix in PARTITIONS.values()), "api.aws"}, key=len, reverse=True)
TOLD_BY_HEADER = ("comprehend", "rekognition", "textract", "translate")  # their operation, in X-Amz-Target

STATEMENT = ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield everything about AWS that is wrong with a well-formed blueprint."""
    connector = blueprint.connector
    if not any(literal_problem(key, value) for key, value in connector.literals.items()):
        yield from _roles(connector)
        yield from _secret(connector)
    if connector.protocol == "aws_sigv4":
        yield from _keys(connector, blueprint.supplied)
        yield from _endpoints(connector)
    if blueprint.iam_role is not None:
        yield from _managed_role(blueprint)
        yield from _statements(blueprint.iam_role.statements)
        yield from permissions.underivable(blueprint)


def literal_problem(key: str, value: str) -> tuple[str, str] | None:
    """Tell what is wrong with a literal part of a credential, and what to write; None if it may stand there.

    :return: (problem, form), without the value, which may be a secret.
    """
    if key not in LITERALS:
        return "is a literal value", ""
    if re.fullmatch(LITERALS[key], value, re.ASCII):
        return None
    if key in FORMS and ARN_WITHOUT_ACCOUNT.fullmatch(value):
        form = f"{FORMS[key]}, with twelve digits or ${{variables.account_id}} as ACCOUNT"
        return f"does not look like a {key}: its account is not twelve digits", form
    return f"does not look like a {key}", FORMS.get(key, "")


def _roles(connector: Connector) -> Iterator[Finding]:
    credential, path = connector.credential, "connector.credential"
    for key in ("externalAccountRoleArn", "secretArn"):
        if key in credential and "roleArn" not in credential:
            yield Finding(
                f"{path}.{key}",
                "is without roleArn, and the service reaches it only through that role",
                f"Add roleArn: {FORMS['roleArn']}.",
            )
        elif key in credential and _partition(connector, key) != _partition(connector, "roleArn"):
            yield Finding(f"{path}.{key}", "is in another partition than roleArn", "Write ARNs of one partition.")
    if "roleArn" in credential and credential["roleArn"] == credential.get("externalAccountRoleArn"):
        yield Finding(
            f"{path}.externalAccountRoleArn",
            "is roleArn itself",
            "Remove it, or write the role of the other account, which roleArn's role assumes.",
        )
    if "roleArn" in credential and connector.protocol == "http" and "secretArn" not in credential:
        yield Finding(
            f"{path}.roleArn",
            "is never used: protocol http signs nothing, and reads no secret without secretArn",
            "Use protocol aws_sigv4, or add secretArn, or remove it.",
        )


def _partition(connector: Connector, key: str) -> str:
    return str(connector.credential[key]).partition(":")[2].partition(":")[0]


def _secret(connector: Connector) -> Iterator[Finding]:
    if "secretArn" not in connector.credential:
        return
    used = {
        name
        for _, headers in connector.headers_by_path
        for value in headers.values()
        for name in placeholders.names(value, "credential")
    }
    if "secretArn" in used or not any(name.startswith("secretArn.") for name in used):
        yield Finding(
            "connector.credential.secretArn",
            "is used by no header as ${credential.secretArn.KEY}, a key of the JSON that the secret holds",
            "Write such a header, for instance Authorization: Bearer ${credential.secretArn.api_key}.",
        )


def _keys(connector: Connector, supplied: Sequence[str]) -> Iterator[Finding]:
    keys, path = {*connector.credential, *supplied}, "connector.credential"
    beside = [key for key in ("access_key", "secret_key", "session_token") if key in keys]
    if "roleArn" in keys and beside and not supplied:
        yield Finding(
            path,
            f"has roleArn beside {', '.join(beside)}, and only one of them can sign",
            "Keep roleArn on Amazon OpenSearch Service, and the keys on a self-managed cluster.",
        )
    elif "roleArn" not in keys and not {"access_key", "secret_key"} <= keys:
        alone = " session_token goes with them." if "session_token" in keys else ""
        yield Finding(
            path,
            "protocol aws_sigv4 signs with access_key and secret_key (or roleArn on Amazon OpenSearch Service)",
            f"Add both as references, or roleArn.{alone}",
        )
    for name in ("region", "service_name"):
        if name not in connector.parameters and name not in keys:
            yield Finding(f"connector.parameters.{name}", "is missing, and protocol aws_sigv4 needs it", "Add it.")


def _endpoints(connector: Connector) -> Iterator[Finding]:
    told = {**connector.credential, **connector.parameters}
    service, region = str(told.get("service_name", "")), str(told.get("region", ""))
    where = "credential" if "service_name" not in connector.parameters and service else "parameters"
    if service in NO_SIGNING_NAMES:
        yield Finding(
            f"connector.{where}.service_name",
            f"is {service}, which is a host's name: the service refuses whatever is not signed for "
            f"{NO_SIGNING_NAMES[service]}",
            f"Write {NO_SIGNING_NAMES[service]}.",
        )
    for index, action in enumerate(connector.actions):
        path = f"connector.actions.{index}"
        if service in TOLD_BY_HEADER and not any(name.lower() == "x-amz-target" for name in action.headers or {}):
            yield Finding(
                f"{path}.headers",
                f"has no X-Amz-Target, by which {service} is told what to do",
                "Add it, for instance X-Amz-Target: Comprehend_20171127.DetectDominantLanguage.",
            )
        endpoint, of_url = host_of_service(placeholders.fill(action.url, "parameters", connector.parameters))
        signed = SIGNING_NAMES.get(endpoint)
        if signed and service and service != signed and service not in NO_SIGNING_NAMES:
            yield Finding(
                f"{path}.url",
                f"is an endpoint of {signed}, and the connector signs for {service}",
                f"Write service_name: {signed}, or correct the URL.",
            )
        if region and REGION.fullmatch(of_url) and of_url != region:
            yield Finding(
                f"{path}.url",
                f"is in {of_url}, and the connector signs for {region}",
                "Write the same region in both; ${variables.region} gives the domain's.",
            )


def host_of_service(url: str) -> tuple[str, str]:
    """Return what stands before the region in a host of AWS, and the region; empty texts for any other host."""
    host = trusted_endpoints.parts(url)[1].partition(":")[0]
    suffix = next((suffix for suffix in SUFFIXES if host.endswith(f".{suffix}")), None)
    if suffix is None:
        return "", ""
    endpoint, _, region = host.removesuffix(f".{suffix}").removesuffix(".vpce").rpartition(".")
    return re.sub(r"^vpce-[a-z0-9-]+\.", "", endpoint).replace("-fips", ""), region


def _managed_role(blueprint: Blueprint) -> Iterator[Finding]:
    role = blueprint.connector.credential.get("roleArn")
    if role is None:
        yield Finding(
            "iam_role",
            "has no role to be about: connector.credential.roleArn is missing",
            f"Add roleArn: {FORMS['roleArn']}, or remove iam_role.",
        )
    elif not isinstance(role, str):
        yield Finding(
            "connector.credential.roleArn",
            "is a reference, and a role that iam_role is about has to be known beforehand",
            f"Write {FORMS['roleArn']}, which is no secret.",
        )


def _statements(statements: list[dict[str, Any]]) -> Iterator[Finding]:
    sids: set[str] = set()
    for index, statement in enumerate(statements):
        path = f"iam_role.statements.{index}"
        for element in statement.keys() - set(STATEMENT):
            problem = "names a principal, which a role's own policy cannot" if "Principal" in element else "is unknown"
            yield Finding(f"{path}.{element}", f"{problem} (IAM refuses the policy)", nearest(element, STATEMENT))
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield Finding(f"{path}.Effect", "is neither Allow nor Deny", "Write Effect: Allow.")
        for element, example in (("Action", "bedrock:InvokeModel"), ("Resource", "an ARN")):
            given = [name for name in (element, f"Not{element}") if name in statement]
            texts = _texts(statement[given[0]]) if len(given) == 1 else None
            if texts is None:
                problem = f"needs either {element} or Not{element}, a text or a list of texts"
                yield Finding(path, problem, f"Write {element}: {example}.")
            elif element == "Action" and not all(map(ACTION.fullmatch, texts)):
                yield Finding(f"{path}.{given[0]}", "has an action that is not service:Name", f"Write {example}.")
            elif element == "Resource" and not all(text == "*" or text.startswith("arn:") for text in texts):
                yield Finding(f"{path}.{given[0]}", "has a resource that is neither an ARN nor *", f"Write {example}.")
        condition = statement.get("Condition", {})
        if not isinstance(condition, Mapping) or not all(isinstance(keys, Mapping) for keys in condition.values()):
            fix = "Write Condition: {StringEquals: {KEY: VALUE}}."
            yield Finding(f"{path}.Condition", "is not a mapping of operators to mappings of keys", fix)
        sid = str(statement.get("Sid", ""))
        if sid in sids or not re.fullmatch(r"[A-Za-z0-9]*", sid):
            yield Finding(f"{path}.Sid", "is not unique, or holds more than letters and digits", "Write another.")
        sids |= {sid} - {""}


def _texts(value: Any) -> list[str] | None:
    texts = value if isinstance(value, list) else [value]
    return texts if texts and all(isinstance(text, str) and text for text in texts) else None
