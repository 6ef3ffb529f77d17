"""The documented bodies of ``POST /_plugins/_ml/models/_register`` and ``…/model_groups/_register``, for remote models.

Source: https://docs.opensearch.org/latest/ml-commons-plugin/api/model-apis/register-model/ and ml-commons main:
MLRegisterModelInput, Guardrails, RemoteModelConfig, MLDeploySetting, MLRateLimiter.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from opensearch_ml.blueprint.fields import AccessMode, JavaInt, Lower, Name, Strict, Text, Upper


class ModelGroup(Strict):
    """The model group that holds the model: created, or reused if one has the name already."""

    name: Name = Field(description="A group of this name is reused")
    description: Text | None = Field(default=None, description="For people")
    access_mode: AccessMode | None = Field(default=None, description="With model access control only")
    backend_roles: list[str] | None = Field(default=None, description="Who may use it, with access_mode restricted")
    add_all_backend_roles: bool | None = Field(
        default=None, description="Instead of backend_roles: all of the caller's"
    )


class RateLimiter(Strict):
    """How many predicts a model takes."""

    limit: float = Field(gt=0, description="Predicts in one unit of time")
    unit: Annotated[
        Literal["NANOSECONDS", "MICROSECONDS", "MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS"], Upper
    ] = Field(description="Unit of time")


class StopWords(Strict):
    """An index of percolator queries; a text that one of them finds is refused."""

    index_name: str = Field(min_length=1, description="The index")
    source_fields: list[str] = Field(min_length=1, description="Its fields with the words")


class Guardrail(Strict):
    """What a predict's input or output is held against."""

    stop_words: list[StopWords] | None = Field(default=None, description="type local_regex")
    regex: list[str] | None = Field(
        default=None, description="type local_regex; refused is what one of them matches as a whole"
    )
    model_id: str | None = Field(default=None, min_length=1, description="type model: the model that judges")
    response_filter: str | None = Field(default=None, description="type model: JSON path of its verdict")
    response_validation_regex: str | None = Field(default=None, description="type model: what an accepting verdict is")


class Guardrails(Strict):
    """What may go into the model and come out of it."""

    type: Literal["local_regex", "model"] = Field(
        default="local_regex", description="Stop words and regular expressions, or a model that judges"
    )
    input_guardrail: Guardrail | None = Field(default=None, description="For what goes in")
    output_guardrail: Guardrail | None = Field(default=None, description="For what comes out")


class Interface(Strict):
    """JSON Schemas of a predict's body and answer, each as a mapping or as its JSON text."""

    input: dict[str, Any] | str | None = Field(default=None, description="JSON Schema of a predict's body")
    output: dict[str, Any] | str | None = Field(default=None, description="JSON Schema of its answer")


class ModelConfig(Strict):
    """What a remote model is told to be; neural search reads it."""

    model_type: Text = Field(description="What it is, for instance TEXT_EMBEDDING")
    embedding_dimension: JavaInt | None = Field(default=None, ge=1, description="Length of its vectors")
    framework_type: (
        Annotated[
            Literal["SENTENCE_TRANSFORMERS", "HUGGINGFACE_TRANSFORMERS", "HUGGINGFACE_TRANSFORMERS_NEURON"], Upper
        ]
        | None
    ) = Field(default=None, description="What it was made with")
    pooling_mode: (
        Annotated[Literal["MEAN", "MEAN_SQRT_LEN", "MAX", "WEIGHTED_MEAN", "CLS", "LAST_TOKEN", "NONE"], Upper] | None
    ) = Field(default=None, description="How it makes one vector of many")
    normalize_result: bool | None = Field(default=None, description="Whether its vectors have length 1")
    model_max_length: JavaInt | None = Field(default=None, ge=1, description="Tokens that it takes at most")
    all_config: str | None = Field(default=None, description="All of the model's configuration, as JSON text")
    additional_config: dict[str, Any] | None = Field(
        default=None, description="Anything else that readers of the model look for", examples=[{"space_type": "l2"}]
    )


class DeploySetting(Strict):
    """How the model deploys itself."""

    is_auto_deploy_enabled: bool | None = Field(default=None, description="Deploy it when it is first asked")
    model_ttl_minutes: int | None = Field(default=None, description="Minutes without a predict until it is undeployed")


class Model(Strict):
    """The documented fields of the register body."""

    name: Name | None = Field(default=None, description="Default: the blueprint's name")
    function_name: Annotated[Literal["remote"], Lower] = Field(default="remote", description="Remote models only")
    description: Text | None = Field(default=None, description="For people")
    group: ModelGroup | None = Field(default=None, description="Default: a group with the model's name")
    is_enabled: bool | None = Field(default=None, description="False refuses every predict")
    rate_limiter: RateLimiter | None = Field(default=None, description="How many predicts it takes")
    guardrails: Guardrails | None = Field(default=None, description="What may go in and come out")
    interface: Interface | None = Field(default=None, description="JSON Schemas of its predicts")
    config: ModelConfig | None = Field(default=None, alias="model_config", description="What neural search reads")
    deploy_setting: DeploySetting | None = Field(default=None, description="How it deploys itself")
    provisioned_by: Text | None = Field(default=None, description="Who made it, for the cluster's statistics")

    @field_validator("group", mode="before", json_schema_input_type=ModelGroup | str | None)
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
