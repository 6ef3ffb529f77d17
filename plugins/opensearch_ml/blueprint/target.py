"""Targets: one cluster each, with the values that differ between clusters. A secret is never one of them.

```yaml
# include/targets/production.yaml
opensearch_conn_id: opensearch_default
opensearch_admin_conn_id: opensearch_master # for what all models share; aws_conn_id for AWS
variables: {region: eu-central-1}
blueprints: [openai_*, cohere_rerank]       # what lives here; the reconciliation makes the cluster agree with it
settings: {only_run_on_ml_node: false}      # plugins.ml_commons.…; what is not named stays as it is
role_mapping:
  ml_full_access: {backend_roles: ["arn:aws:iam::111122223333:role/airflow"]}
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from opensearch_ml.base import secret_patterns
from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.findings import findings_of, located
from opensearch_ml.errors import InvalidTarget

Pattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*?\[\]!-]{1,128}$")]
ObjectId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,512}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class MLSettings(_Strict):
    """Cluster settings below ``plugins.ml_commons.``; None leaves a setting as it is."""

    only_run_on_ml_node: bool | None = None
    connector_access_control_enabled: bool | None = None
    model_access_control_enabled: bool | None = None
    private_ip_enabled: bool | None = Field(default=None, description="plugins.ml_commons.connector.private_ip_enabled")

    def as_cluster_settings(self) -> dict[str, bool]:
        """Return full setting names and values, for ``PUT /_cluster/settings``."""
        names = {
            "only_run_on_ml_node": "plugins.ml_commons.only_run_on_ml_node",
            "connector_access_control_enabled": "plugins.ml_commons.connector_access_control_enabled",
            "model_access_control_enabled": "plugins.ml_commons.model_access_control_enabled",
            "private_ip_enabled": "plugins.ml_commons.connector.private_ip_enabled",
        }
        return {names[key]: value for key, value in self.model_dump(exclude_none=True).items()}


def differing_settings(wanted: Mapping[str, bool], have: Mapping[str, Any]) -> dict[str, bool]:
    """Return the settings that a cluster has otherwise.

    :param wanted: full setting names and values.
    :param have: all effective settings, flat; the server gives most values as texts.
    """
    return {name: value for name, value in wanted.items() if str(have.get(name)).lower() != str(value).lower()}


class RoleMapping(_Strict):
    """Who is mapped to a role of the Security plugin."""

    backend_roles: list[str] = Field(default_factory=list)
    users: list[str] = Field(default_factory=list)
    hosts: list[str] = Field(default_factory=list)

    def missing(self, have: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return who is not mapped yet, by kind.

        :param have: who is mapped, by kind; empty if nobody ever was.
        """
        missing = {
            key: [name for name in dict.fromkeys(names) if name not in have.get(key, ())]
            for key, names in self.model_dump().items()
        }
        return {key: names for key, names in missing.items() if names}


class Target(_Strict):
    """One cluster."""

    name: str
    opensearch_conn_id: str = Field(default="opensearch_default", min_length=1)
    opensearch_admin_conn_id: str | None = Field(
        default=None,
        min_length=1,
        description="Who writes settings, trusted endpoints and role mappings, if not the user of opensearch_conn_id",
    )
    aws_conn_id: str | None = Field(
        default=None, min_length=1, description="Who asks AWS; without it who signs the requests, or aws_default"
    )
    pool: str = Field(
        default="default_pool", min_length=1, description="The Airflow pool of the tasks that reconcile this cluster"
    )
    variables: dict[str, Any] = Field(default_factory=dict)
    blueprints: list[Pattern] = Field(
        default_factory=list, description="What lives here: names of blueprints, or globs such as openai_*"
    )
    adopt: dict[str, ObjectId] = Field(
        default_factory=dict,
        description="By blueprint, the id of the model (of an MCP blueprint: of the connector) that somebody else made "
        "and that becomes ours; without one, a model of the blueprint's model name does",
    )
    settings: MLSettings = Field(default_factory=MLSettings)
    role_mapping: dict[str, RoleMapping] = Field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, document: Any, *, source: str, lines: Mapping[str, int] | None = None) -> Target:
        """Check a parsed document and return the target.

        :param lines: the lines of its fields (`loader.Document.lines`), for the findings.
        :raises InvalidTarget: with all findings at once.
        """
        if not isinstance(document, Mapping):
            raise InvalidTarget(source, findings_of("", "is not a mapping", "Start with `opensearch_conn_id:`."))
        findings = []
        if "name" in document:
            findings += findings_of("name", "is the file's own name, and is not written in it", "Remove it.")
        for path, text in placeholders.strings(document):
            if secret_patterns.in_value(text):
                findings += findings_of(path, "holds a literal secret, which may stand in no file", "Remove it.")
        try:
            target = cls.model_validate({**document, "name": name})
        except ValidationError as error:
            findings += findings_of(error, cls)
        if findings:
            raise InvalidTarget(source, located(findings, lines or {}))
        return target
