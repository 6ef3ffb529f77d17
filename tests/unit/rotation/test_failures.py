"""Why a rotation ended names what a person has to change: the reference, the model's name, the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from opensearch_ml import errors
from opensearch_ml.base.arns import DomainArn
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.errors import InUse, OpenSearchMLError, RotationFailed
from opensearch_ml.resources.rotation_state import RotationState
from opensearch_ml.rotation import failures
from opensearch_ml.rotation.record import Step
from tests.support.repository import REPOSITORY
from tests.support.rotation_cases import blueprint

PREDICT = "POST /_plugins/_ml/models/Canary1/_predict -> 401 Error from remote service"
DOMAIN = DomainArn.parse("arn:aws:es:eu-west-1:123456789012:domain/search")
ROLE = "arn:aws:iam::123456789012:role/calls"


def refused(kind: type[OpenSearchMLError], step: Step = Step.TEST) -> RotationFailed:
    error = kind("it is refused", evidence=PREDICT, fix="correct it")
    return failures.refused(blueprint(), error, step=step.value, serves="the old one serves", redact=str)


def test_a_refused_key_is_named_by_its_reference() -> None:
    told = refused(errors.RemoteCredentialRefused)
    assert told.fix == "check that this platform and model accept the password of connection chat, and run again"
    assert refused(errors.RemoteModelRefused).fix == "correct it"


def test_the_canarys_id_is_not_taken_for_the_models() -> None:
    assert refused(errors.RemoteModelRefused).evidence.endswith(
        "that model is the canary of this rotation, not the one that serves"
    )
    assert refused(errors.RemoteModelRefused, Step.PROVE).evidence == PREDICT  # this was the model itself


@pytest.mark.parametrize(
    ("name", "changed", "origin"),
    [
        ("openai_chat", {}, "password of connection openai_default"),
        (
            "sagemaker_embedding_static_keys",
            {"rotation": {"source": "iam_user_key", "user_name": "calls"}},
            "access keys of IAM user calls",
        ),
        (
            "sagemaker_embedding_static_keys",
            {"rotation": {"source": "assume_role", "role_arn": ROLE}},
            f"sessions of role {ROLE}",
        ),
        ("sagemaker_embedding", {}, "role arn:aws:iam::123456789012:role/opensearch-sagemaker-role"),
    ],
    ids=["connection", "iam_user_key", "assume_role", "role_arn"],
)
def test_where_a_credential_comes_from_is_told_for_each_source(
    tmp_path: Path, name: str, changed: dict[str, Any], origin: str
) -> None:
    document = yaml.safe_load((REPOSITORY / "include" / "blueprints" / f"{name}.yaml").read_text())
    if changed:
        document["connector"]["credential"] = {}
    (tmp_path / "shown.yaml").write_text(yaml.safe_dump({**document, **changed}))
    found = Catalog(tmp_path, tmp_path / "targets").blueprint("shown", domain_arn=DOMAIN)
    assert found.credential_origin == origin


def test_a_model_under_another_name_is_named_and_no_second_one_is_advised() -> None:
    standing: list[ModelDoc] = [{"id": "Xy9", "name": "chat_production"}]
    told = failures.nothing_to_rotate(blueprint(), RotationState(None, None), standing)
    assert isinstance(told, InUse)
    assert told.cause == "the model of chat stands under another name than chat"
    assert "model Xy9 (chat_production) is on a connector of chat" in told.evidence
    assert told.fix.startswith("restore the name")
    assert "provision" not in told.fix


def test_without_any_model_provisioning_is_advised() -> None:
    told = failures.nothing_to_rotate(blueprint(), RotationState(None, None), [])
    assert told.cause == "chat has nothing to rotate"
    assert told.fix == "run opensearch_ml_provision for this blueprint"


def test_a_model_whose_file_is_gone_is_no_misspelling() -> None:
    told = failures.file_is_gone("openai_embedding", ["Xy9"])
    assert told.cause == "openai_embedding has no file any more, and model Xy9 was made from it"
    assert told.fix.startswith("restore openai_embedding.yaml")
    assert "opensearch_ml_teardown" in told.fix
