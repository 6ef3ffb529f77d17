"""The blueprint: one remote model as a user writes it, checked before anything is sent.

`connector` is the documented body of ``POST /_plugins/_ml/connectors/_create``, verbatim, but for its secrets, which
are references. The server drops unknown fields silently and takes much that breaks at predict; here both are findings.
Source: https://docs.opensearch.org/latest/ml-commons-plugin/remote-models/blueprints/ and what 2.19.1 and 3.6.0 do.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from opensearch_ml.base.arns import OPENSEARCH_SERVICE
from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.expectation import Expectation
from opensearch_ml.blueprint.fields import AccessMode, Headers, JavaInt, Lower, Name, Strict, Text, Upper
from opensearch_ml.blueprint.findings import LITERAL_TAG, REFERENCE_TAG
from opensearch_ml.blueprint.registration import Model
from opensearch_ml.blueprint.rotation import RotationSection

Protocol = Literal["http", "aws_sigv4", "mcp_sse", "mcp_streamable_http"]
ActionType = Literal["predict", "execute", "batch_predict", "batch_predict_status", "cancel_batch_predict"]

# What Secrets Manager takes as a name, or as an ARN.
SECRET_ID = r"^(arn:[a-z-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}$"  # noqa: S105 a form
ServicePrincipal = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?$")]


def _one_text(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        raise ValueError("is not one text: the server takes the body as a text, with its JSON between quotes")
    return value


class CredentialReference(Strict):
    """Where a secret is, resolved only inside the running task."""

    conn_id: str | None = Field(default=None, min_length=1, description="Airflow connection that holds the secret")
    field: str = Field(default="password", description="Field of the connection: password, login, host, or extra.<key>")
    variable: str | None = Field(default=None, min_length=1, description="Airflow variable that holds the secret")
    secret_id: str | None = Field(
        default=None, pattern=SECRET_ID, description="Name or ARN of the secret in AWS Secrets Manager"
    )
    key: str | None = Field(
        default=None, min_length=1, description="Of the JSON object that the secret is; default: the secret as it is"
    )

    @model_validator(mode="after")
    def _one_source(self) -> CredentialReference:
        if sum(one is not None for one in (self.conn_id, self.variable, self.secret_id)) != 1:
            raise ValueError("needs either conn_id or variable or secret_id")
        if self.conn_id is None and "field" in self.model_fields_set:
            raise ValueError("field goes with conn_id; a variable has none, and a secret has a key")
        if self.secret_id is None and self.key is not None:
            raise ValueError("key goes with secret_id; of a connection it is field: extra.<key>")
        if not re.fullmatch(r"password|login|host|extra\..+", self.field):
            raise ValueError("field is one of password, login, host, extra.<key>")
        return self

    def __str__(self) -> str:
        if self.secret_id:
            return f"{f'key {self.key} of ' if self.key else ''}secret {self.secret_id}"
        return f"variable {self.variable}" if self.variable else f"{self.field} of connection {self.conn_id}"


Credential = Annotated[
    Annotated[CredentialReference, Tag(REFERENCE_TAG)] | Annotated[Text, Tag(LITERAL_TAG)],
    Discriminator(lambda value: LITERAL_TAG if isinstance(value, (str, int, float)) else REFERENCE_TAG),
]


class ClientConfig(Strict):
    """How the cluster calls the endpoint. Time-outs are seconds, but for server 2.13 (milliseconds)."""

    max_connection: JavaInt | None = Field(default=None, ge=1, description="Connections at once; default 30")
    connection_timeout: JavaInt | None = Field(default=None, ge=1, description="Seconds until connected")
    read_timeout: JavaInt | None = Field(default=None, ge=1, description="Seconds to wait for an answer")
    retry_backoff_millis: JavaInt | None = Field(default=None, ge=0, description="Pause before a retry")
    retry_timeout_seconds: JavaInt | None = Field(default=None, ge=0, description="For all retries together")
    max_retry_times: JavaInt | None = Field(default=None, ge=-1, description="-1: without limit")
    retry_backoff_policy: (
        Annotated[Literal["constant", "exponential_equal_jitter", "exponential_full_jitter"], Lower] | None
    ) = Field(default=None, description="How the pause grows from retry to retry; default constant")
    skip_ssl_verification: bool | None = Field(
        default=None, description="True takes any certificate, also an attacker's"
    )
    mutual_tls_enabled: bool | None = Field(default=None, description="With client_cert_… in the credential")
    keystore_type: Annotated[Literal["PEM", "PKCS12"], Upper] | None = Field(
        default=None, description="Of the client's certificate"
    )


class Action(Strict):
    """One HTTP call of a connector."""

    action_type: Annotated[ActionType, Lower] = Field(description="What the call is for; a model needs predict")
    method: Annotated[Literal["POST", "GET", "PUT", "DELETE"], Upper] = Field(description="HTTP method")
    url: Text = Field(
        description="Scheme, host and port literal or from variables; ${parameters.x} in its path and query",
        examples=["https://api.example.com/v1/models/${parameters.model}"],
    )
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Since 3.5")
    headers: Headers | None = Field(
        default=None,
        description="HTTP headers; here, and only here, the server fills ${credential.x}",
        examples=[{"Authorization": "Bearer ${credential.api_key}"}],
    )
    request_body: Annotated[Text, BeforeValidator(_one_text)] | None = Field(
        default=None,
        description="JSON as a text, once ${parameters.x} is filled; a text needs quotes around its placeholder",
        examples=['{ "model": "${parameters.model}", "input": ${parameters.input} }'],
    )
    pre_process_function: Text | None = Field(
        default=None, description="A function of the server, or a Painless script: makes parameters of the texts"
    )
    post_process_function: Text | None = Field(
        default=None, description="A function of the server, or a Painless script: makes tensors of the answer"
    )
    supports_structured_output: bool | None = Field(default=None, description="Since 3.7")

    @field_validator("name")
    @classmethod
    def _no_action_type(cls, value: str | None) -> str | None:
        if value and value.lower() in get_args(ActionType):
            raise ValueError("an action cannot be named like an action type")
        return value


class Connector(Strict):
    """The documented connector body; its credential holds references."""

    name: Name = Field(description="For people; need not be unique")
    version: Text = Field(default="1", min_length=1, description="Of the connector, for people")
    protocol: Protocol = Field(
        description="aws_sigv4 signs requests to AWS; mcp_… are sources of tools, without a model"
    )
    description: Text | None = Field(default=None, description="For people")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="What ${parameters.x} is unless a predict says otherwise; stored as texts"
    )
    credential: dict[str, Credential] = Field(
        default_factory=dict,
        description="Secrets as references: an Airflow connection's field, an Airflow variable, or a secret of AWS",
        examples=[{"api_key": {"conn_id": "my_platform", "field": "password"}}],
    )
    actions: list[Action] = Field(default_factory=list, description="The calls; the first of a type is used")
    client_config: ClientConfig | None = Field(default=None, description="Time-outs, retries and connections")
    access_mode: AccessMode | None = Field(default=None, description="With connector access control only")
    backend_roles: list[str] | None = Field(default=None, description="Who may use it, with access_mode restricted")
    add_all_backend_roles: bool | None = Field(
        default=None, description="Instead of backend_roles: all of the caller's"
    )
    url: str | None = Field(default=None, description="MCP protocols only")
    headers: Headers | None = Field(default=None, description="MCP protocols only")
    provisioned_by: Text | None = Field(default=None, description="Who made it, for the cluster's statistics")

    @property
    def is_mcp(self) -> bool:
        """MCP connectors are sources of tools for agents: no model can be registered on one."""
        return self.protocol.startswith("mcp_")

    @property
    def references(self) -> dict[str, CredentialReference]:
        """The credential's references, by key."""
        return {key: value for key, value in self.credential.items() if isinstance(value, CredentialReference)}

    @property
    def literals(self) -> dict[str, str]:
        """The parts of the credential that are no secrets, such as ``roleArn``, by key."""
        return {key: value for key, value in self.credential.items() if isinstance(value, str)}

    @property
    def headers_by_path(self) -> list[tuple[str, Headers]]:
        """All headers, each set with the path at which the file has it."""
        of_actions = [(f"connector.actions.{at}.headers", one.headers or {}) for at, one in enumerate(self.actions)]
        return [*of_actions, ("connector.headers", self.headers or {})]

    @property
    def urls(self) -> list[str]:
        """The URLs that the cluster checks against its trusted endpoints."""
        return [action.url for action in self.actions] + ([self.url] if self.url else [])


class SmokeTest(Strict):
    """One predict, and what its answer must hold."""

    parameters: dict[str, Any] = Field(description="Parameters of the predict", examples=[{"input": ["A short text."]}])
    expect: list[Expectation] = Field(min_length=1, description="One thing, or a list of what the answer must hold")

    @field_validator("expect", mode="before", json_schema_input_type=list[Expectation] | Expectation)
    @classmethod
    def _one_alone(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


class IamRoleSection(Strict):
    """How we manage the role that ``connector.credential.roleArn`` names; without this section it is only compared."""

    manage: bool = Field(default=True, description="False: the role is compared and told, never written")
    trusted_services: list[ServicePrincipal] = Field(
        default=[OPENSEARCH_SERVICE], min_length=1, description="Older domains: es.amazonaws.com"
    )
    statements: list[dict[str, Any]] = Field(
        default_factory=list, description="IAM statements, verbatim, for what the connector's URLs do not tell"
    )
    permissions_boundary: str | None = Field(
        default=None, pattern=r"^arn:[a-z-]+:iam::(\d{12}|aws):policy/.+$", description="ARN of a policy"
    )
    description: str | None = Field(default=None, max_length=1000, description="Of the role in IAM")


class Blueprint(Strict):
    """One remote model.

    :param name: the file's stem; it identifies what we made for this blueprint in a cluster.
    """

    name: str
    connector: Connector = Field(description="The documented body of POST /_plugins/_ml/connectors/_create")
    inline: bool = Field(default=False, description="True: the connector lives inside the model (internal connector)")
    model: Model = Field(default_factory=Model, description="The documented fields of models/_register")
    smoke_test: SmokeTest | None = Field(default=None, description="One predict, sent once the model is deployed")
    trusted_endpoints: list[str] | None = Field(
        default=None, min_length=1, description="Default: derived from the actions' URLs"
    )
    iam_role: IamRoleSection | None = Field(
        default=None, description="Amazon OpenSearch Service: manage the role that connector.credential.roleArn names"
    )
    rotation: RotationSection | None = Field(default=None, description="Where the next credential comes from")
    variables: dict[str, Any] = Field(default_factory=dict, description="Defaults for ${variables.x}; targets override")

    @field_validator("name")
    @classmethod
    def _stem(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", value):
            raise ValueError("is the file's name without its ending: only letters, digits, _, - and . may be in it")
        return value

    @field_validator("iam_role", "rotation", mode="before")
    @classmethod
    def _empty_section(cls, value: Any) -> Any:
        return {} if value is None else value  # `iam_role:` with nothing after it is meant as a section

    @property
    def supplied(self) -> tuple[str, ...]:
        """The keys of the credential that the source in ``rotation`` gives: no references are written for them."""
        return self.rotation.supplied if self.rotation else ()

    @property
    def credential_origin(self) -> str:
        """Where the credential comes from, for people: ``password of connection openai_default``."""
        if self.rotation and self.rotation.user_name:
            return f"access keys of IAM user {self.rotation.user_name}"
        if self.rotation and self.rotation.role_arn:
            return f"sessions of role {self.rotation.role_arn}"
        told = sorted({str(reference) for reference in self.connector.references.values()})
        return ", ".join(told) or f"role {self.connector.credential.get('roleArn', '')}".rstrip()

    @property
    def model_name(self) -> str:
        """The name that the model is registered under."""
        return self.model.name or self.name

    @property
    def group_name(self) -> str:
        """The name of the model group; always passed, because without one the server skips access control."""
        return self.model.group.name if self.model.group else self.model_name

    @property
    def trusted(self) -> list[tuple[str, str]]:
        """Pairs of (pattern, example URL) that the cluster has to trust for this connector."""
        parameters = self.connector.parameters
        pairs = []
        for url in self.connector.urls:
            example = trusted_endpoints.example_url(url, parameters)
            given = next((p for p in self.trusted_endpoints or () if trusted_endpoints.covers(p, example)), None)
            pairs.append((given or trusted_endpoints.derive(url, parameters), example))
        return pairs
