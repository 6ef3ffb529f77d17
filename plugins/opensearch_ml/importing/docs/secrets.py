"""Secrets in a documented connector, turned into references; none of them ever leaves this module."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from opensearch_ml.base import secret_patterns
from opensearch_ml.base.secret_patterns import REMOVED
from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.findings import FIELD_LIKE
from opensearch_ml.checks import aws
from opensearch_ml.importing.docs.unknowns import Unknowns, is_placeholder, slug

UNKNOWN_PLATFORM = "my_platform"
SHORTEST = 8  # characters; a shorter secret may be part of any word

AWS_FIELDS = {"access_key": "login", "secret_key": "password", "session_token": "extra.aws_session_token"}
AWS_ALIASES = {
    "aws_access_key_id": "access_key",
    "aws_access_key": "access_key",
    "accesskey": "access_key",
    "aws_secret_access_key": "secret_key",
    "aws_secret_key": "secret_key",
    "secretkey": "secret_key",
    "aws_session_token": "session_token",
    "sessiontoken": "session_token",
    "rolearn": "roleArn",
    "role_arn": "roleArn",
    "secretarn": "secretArn",
    "secret_arn": "secretArn",
    "externalaccountrolearn": "externalAccountRoleArn",
}
_ARN = re.compile(
    r"arn:(?P<partition>[a-z-]+):(?P<service>iam|secretsmanager):(?P<region>[^:]*):(?P<account>[^:]*):(?P<rest>.+)"
)
_HARMLESS = re.compile(r"arn:|.*\$\{", re.DOTALL)
_QUERY_SECRET = re.compile(
    r"(?P<mark>[?&])(?:api[-_]?key|key|token|access_token|code|sig)=(?!\$\{variables)[^&#]*", re.IGNORECASE
)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][\w-]*\s+)?(?P<token>.*)", re.DOTALL)
_PLATFORMS = {"azure": "azure_openai", "googleapis": "google", "microsoft": "azure_openai"}


class Secrets:
    """The credential of one connector as it grows.

    :param conn_id: the Airflow connection that references name; default: made of the platform's name.
    :ivar credential: keys to references, or to ARNs with variables.
    """

    def __init__(
        self,
        connector: Mapping[str, Any],
        unknowns: Unknowns,
        note: Callable[[str], None],
        conn_id: str | None = None,
    ) -> None:
        self.credential: dict[str, Any] = {}
        self._unknowns, self._note = unknowns, note
        self._conn_id = conn_id or f"{platform(connector)}_default"
        self._literal: list[str] = []
        self._service = str((connector.get("parameters") or {}).get("service_name") or "")

    def take_credential(self, written: Mapping[str, Any]) -> None:
        """Turn a documented ``credential`` into references."""
        for key, value in written.items():
            self._remember(value)
            known = AWS_ALIASES.get(key.lower(), key)
            if known != key:
                self._note(f"connector.credential.{key} is written {known}, as the server reads it.")
            if known in aws.LITERALS:
                self._part(known, value)
            elif known in AWS_FIELDS:
                self.credential[known] = {"conn_id": "aws_default", "field": AWS_FIELDS[known]}
            else:
                self._reference(known)
        self._told()

    def take_from(self, connector: dict[str, Any]) -> None:
        """Take secrets out of parameters, headers and URLs of a connector, in place."""
        self._parameters(connector)
        actions = [action for action in connector.get("actions") or () if isinstance(action, dict)]
        for index, part in enumerate([connector, *actions]):
            path = f"connector.actions.{index - 1}" if index else "connector"
            if isinstance(part.get("headers"), dict):
                self._headers(part["headers"], f"{path}.headers")
            if isinstance(part.get("url"), str):
                part["url"] = self._url(part, f"{path}.url")

    def without(self, value: Any) -> Any:
        """Return a value of any depth with every secret in it replaced by ``REMOVED``."""
        if isinstance(value, dict):
            return {self.without(key): self.without(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.without(one) for one in value]
        if not isinstance(value, str):
            return value
        told = secret_patterns.SHAPES.sub(REMOVED, value)
        for secret in self._literal:
            told = told.replace(secret, REMOVED)
        if told != value:
            self._note(f"A literal secret was taken out of the text; {REMOVED} stands in its place.")
        return told

    def _part(self, key: str, value: Any) -> None:
        text, path = value if isinstance(value, str) else "", f"connector.credential.{key}"
        if key in ("region", "service_name"):
            self.credential[key] = self._unknowns.resolved(text, path, self._note)
            return
        arn = _ARN.fullmatch(text)
        if key == "secretArn":
            self.credential[key] = self._secret_arn(arn, path)
            return
        name = arn["rest"].removeprefix("role/") if arn else ""
        own = key == "roleArn"
        if not name or not re.fullmatch(r"[\w+=,.@/-]+", name):
            made = f"opensearch-{slug(self._service).replace('_', '-') or 'connector'}-role"
            name = self._unknowns.variable("role_name" if own else "external_role_name", path, made)
        account = arn["account"] if arn and re.fullmatch(r"\d{12}", arn["account"]) and not own else None
        account = account or self._unknowns.variable("account_id" if own else "external_account_id", path)
        partition = self._unknowns.variable("partition", path, "aws")
        self.credential[key] = f"arn:{partition}:iam::{account}:role/{name}"

    def _secret_arn(self, arn: re.Match[str] | None, path: str) -> str:
        name = arn["rest"].removeprefix("secret:") if arn else ""
        if not re.fullmatch(r"[\w/+=.@-]+-[A-Za-z0-9]{6}", name):
            name = self._unknowns.variable("secret_name", path)
        region = self._unknowns.variable("region", path, "us-east-1")
        account = self._unknowns.variable("account_id", path)
        return (
            f"arn:{self._unknowns.variable('partition', path, 'aws')}:secretsmanager:{region}:{account}:secret:{name}"
        )

    def _reference(self, wanted: str) -> str:
        key = wanted if FIELD_LIKE.fullmatch(wanted.replace(".", "_")) or wanted.isidentifier() else "key"
        if secret_patterns.in_value(wanted) or len(wanted) > 64:
            key = "key"
        if key not in self.credential:
            first = not any(isinstance(one, dict) and one["field"] == "password" for one in self.credential.values())
            field = "password" if first else f"extra.{key}"
            self.credential[key] = {"conn_id": self._conn_id, "field": field}
        return key

    def _told(self) -> None:
        told = [
            f"{key} from {ref['field']} of {ref['conn_id']}"
            for key, ref in self.credential.items()
            if isinstance(ref, dict)
        ]
        if told:
            self._note(f"The credential comes from Airflow connections: {', '.join(told)}. Change them to yours.")
        if "session_token" in self.credential:
            self._note("connector.credential.session_token goes with temporary keys; remove it if yours are not.")

    def _parameters(self, connector: dict[str, Any]) -> None:
        parameters = connector.get("parameters")
        if not isinstance(parameters, dict):
            return
        for name in [one for one in parameters if secret_patterns.is_parameter(one)]:
            self._remember(parameters.pop(name))
            key = self._reference(name)
            self._note(f"connector.parameters.{name} was a secret that everybody can read; it is credential.{key} now.")
            for part in [connector, *(one for one in connector.get("actions") or () if isinstance(one, dict))]:
                for header, value in (part.get("headers") or {}).items():
                    part["headers"][header] = str(value).replace(f"${{parameters.{name}}}", f"${{credential.{key}}}")

    def _headers(self, headers: dict[str, Any], path: str) -> None:
        for name, value in headers.items():
            text = placeholders.as_text(value)
            if placeholders.names(text, "credential") or placeholders.names(text, "parameters"):
                continue
            if not (secret_patterns.is_header(name) or secret_patterns.in_value(text)):
                continue
            told = _SCHEME.fullmatch(text)
            scheme = (told["scheme"] if told and not is_placeholder(text) else None) or ""
            self._remember(told["token"] if told else text)
            used = placeholders.names(placeholders.as_text(headers), "credential") | AWS_FIELDS.keys()
            unused = [key for key, one in self.credential.items() if isinstance(one, dict) and key not in used]
            key = unused[0] if len(unused) == 1 else self._reference(_key_for(name))
            headers[name] = f"{scheme}${{credential.{key}}}"
            self._note(f"{path}.{name} held the secret itself; it is credential.{key} now, which the server encrypts.")

    def _url(self, part: dict[str, Any], path: str) -> str:
        url = part["url"]
        for found in _QUERY_SECRET.finditer(url):
            self._remember(found[0].partition("=")[2])
        told = _QUERY_SECRET.sub(lambda found: found["mark"] if found["mark"] == "?" else "", url)
        told = told.replace("?&", "?").removesuffix("?")
        if told != url:
            header = "x-goog-api-key" if "googleapis.com" in url else None
            where = "put ${credential.KEY} into the header that the platform takes"
            if header:
                headers = part.setdefault("headers", {})
                keys = [key for key, one in self.credential.items() if isinstance(one, dict)]
                headers.setdefault(header, f"${{credential.{keys[0] if keys else self._reference('api_key')}}}")
                where = f"it is sent as header {header}"
            self._note(f"{path} carried a key, which everybody can read and the server does not fill in URLs; {where}.")
        authority = re.match(r"(https?://)[^/?#@]*@", told)
        if authority:
            self._note(f"{path} carried a user name or password; put it into a header as ${{credential.KEY}}.")
            self._remember(authority[0])
            told = authority[1] + told[authority.end() :]
        return told

    def _remember(self, value: Any) -> None:
        if (
            isinstance(value, str)
            and len(value) >= SHORTEST
            and not is_placeholder(value)
            and not _HARMLESS.match(value)
        ):
            self._literal = sorted({*self._literal, value}, key=len, reverse=True)


def platform(connector: Mapping[str, Any]) -> str:
    """Return a short name of the platform that a connector calls, for instance ``openai``."""
    if str(connector.get("protocol", "")).startswith("mcp_"):
        return "mcp_server"
    actions = connector.get("actions")
    urls = [one.get("url") for one in actions if isinstance(one, Mapping)] if isinstance(actions, list) else []
    url = next((one for one in [*urls, connector.get("url")] if isinstance(one, str)), "")
    parameters = connector.get("parameters")
    host = host_of(placeholders.fill(url, "parameters", parameters if isinstance(parameters, Mapping) else {}))
    labels = host.split(".")
    if len(labels) < 2 or not re.fullmatch(r"[a-z0-9-]+", labels[-2]) or labels[-1].isdigit():
        return UNKNOWN_PLATFORM
    return next((_PLATFORMS[label] for label in labels if label in _PLATFORMS), slug(labels[-2])) or UNKNOWN_PLATFORM


def host_of(url: str) -> str:
    """Return a URL's host in lower case, without user and port; empty if there is none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].partition(":")[0].lower()
    except ValueError:
        return ""


def _key_for(header: str) -> str:
    name = slug(header)
    return "api_key" if name in ("authorization", "x_api_key", "key") or "auth" in name else name
