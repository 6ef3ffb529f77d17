"""The catalog's own blueprints, as a self-managed cluster can have them: with keys in place of roles."""

from __future__ import annotations

from local.aws_key import AwsKey
from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from tests.support.parsing import parse_blueprint
from tests.support.repository import BLUEPRINTS, REPOSITORY

DOMAIN_ARN = DomainArn.parse("arn:aws:es:eu-central-1:111122223333:domain/search")
LASTING = AwsKey("AKIALASTINGEXAMPLE", "lasting/secret")
OF_A_SESSION = AwsKey("ASIASESSIONEXAMPLE", "session+secret", "token/with+signs==")


def own(name: str) -> Blueprint:
    """A blueprint with its own URLs, for the domain whose role it names."""
    return Catalog(BLUEPRINTS, REPOSITORY / "no_targets").blueprint(name, domain_arn=DOMAIN_ARN)


def with_keys(blueprint: Blueprint, key: AwsKey) -> Blueprint:
    """The blueprint for a self-managed cluster: keys where the role was, and a key where Secrets Manager was asked."""
    document = blueprint.model_dump(by_alias=True, exclude_unset=True, exclude={"name", "variables", "iam_role"})
    connector = document["connector"]
    if "secretArn" in connector["credential"]:
        connector["credential"] = {"openai_key": {"conn_id": "openai_default"}}
        headers = connector["actions"][0]["headers"]
        headers["Authorization"] = headers["Authorization"].replace("credential.secretArn.", "credential.")
    elif connector["protocol"] == "aws_sigv4":
        fields = {"access_key": "login", "secret_key": "password"}
        if key.session_token:
            fields["session_token"] = "extra.aws_session_token"
        connector["credential"] = {part: {"conn_id": "aws_default", "field": field} for part, field in fields.items()}
    return parse_blueprint(blueprint.name, document, source=blueprint.name)
