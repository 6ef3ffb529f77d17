"""The sources of the next credential, by the blueprint's section ``rotation``."""

from __future__ import annotations

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.rotation import RotationSection
from opensearch_ml.client.states import MODEL_DEPLOYED
from opensearch_ml.credentials.resolver import Looks
from opensearch_ml.credentials.secrets_manager import access_for
from opensearch_ml.credentials.source import CredentialSource
from opensearch_ml.credentials.supply import Supply, SupplyingSource
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import no_journal
from opensearch_ml.rotation.sources.assume_role import AssumeRoleSource
from opensearch_ml.rotation.sources.connection import ConnectionSource
from opensearch_ml.rotation.sources.iam_user_client import UserInIam
from opensearch_ml.rotation.sources.iam_user_key import VERIFY_S, IamUserKeySource
from opensearch_ml.rotation.sources.journal import SourceJournal
from opensearch_ml.rotation.sources.key_notes import tag_name
from opensearch_ml.rotation.sources.role_arn import RoleArnSource
from opensearch_ml.rotation.sources.secrets_manager import SecretsManagerSource
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps import model as models
from opensearch_ml.steps.predict import smoke_predict


def source_for(
    blueprint: Blueprint,
    hook: OpenSearchMLHook,
    aws_conn_id: str | None = None,
    *,
    verify_s: float = VERIFY_S,
    on_step: SourceJournal = no_journal,
    looks: Looks | None = None,
) -> CredentialSource:
    """Return where the blueprint's next credential comes from. Nothing is asked or written by that alone.

    :param aws_conn_id: the AWS connection; default: the one that signs the requests to the cluster, or ``aws_default``.
    :param verify_s: how long the model is asked once an IAM user's old key is off, in seconds.
    :param on_step: called before and after each step of a source that writes.
    :param looks: those that several blueprints share; a source that asks AWS by itself has its own.
    """
    section, credential = blueprint.rotation or RotationSection(), blueprint.connector.credential
    if section.source == "secrets_manager":
        return SecretsManagerSource(blueprint, hook, aws_conn_id, on_step=on_step)
    if section.source == "iam_user_key":
        return _iam_user_key(blueprint, hook, access_for(hook, aws_conn_id), verify_s, on_step)
    if section.source == "assume_role":
        return AssumeRoleSource(blueprint, hook, access_for(hook, aws_conn_id))
    if isinstance(credential.get("roleArn"), str) and not blueprint.connector.references:
        return RoleArnSource(blueprint, hook, access_for(hook, aws_conn_id))
    return ConnectionSource(blueprint, hook, aws_conn_id, looks)


def supply_for(blueprint: Blueprint, hook: OpenSearchMLHook, aws_conn_id: str | None = None) -> Supply | None:
    """Return what gives a blueprint's connector its first credential; None if the blueprint's references do."""
    source = supplying_source(blueprint, hook, aws_conn_id)
    return Supply(source) if source else None


def supplying_source(
    blueprint: Blueprint, hook: OpenSearchMLHook, aws_conn_id: str | None = None
) -> SupplyingSource | None:
    """Return the source of a blueprint whose credential no references give; None for any other."""
    source = source_for(blueprint, hook, aws_conn_id)
    return source if isinstance(source, (IamUserKeySource, AssumeRoleSource)) else None


def check_source(blueprint: Blueprint, hook: OpenSearchMLHook, aws_conn_id: str | None = None) -> str | None:
    """Check the source that gives the first credential; nothing is written.

    :return: what was seen, in one sentence; None if the blueprint's references give the credential.
    :raises OpenSearchMLError: the source could not give a credential.
    """
    source = supplying_source(blueprint, hook, aws_conn_id)
    return source.check() if source else None


def withdraw(blueprint: Blueprint, hook: OpenSearchMLHook, aws_conn_id: str | None = None) -> list[str]:
    """Take back what the source made for connectors that are gone; return what was done, one sentence each."""
    source = source_for(blueprint, hook, aws_conn_id)
    if not isinstance(source, IamUserKeySource):
        return []
    inside = [model["connector"] for model in models.ours(hook, blueprint) if "connector" in model]
    return source.withdraw([connectors.mark_of(one) for one in (*connectors.ours(hook, blueprint.name), *inside)])


def _iam_user_key(
    blueprint: Blueprint, hook: OpenSearchMLHook, access: AwsAccess, verify_s: float, on_step: SourceJournal
) -> IamUserKeySource:
    section = blueprint.rotation or RotationSection()

    def verify() -> None:
        for model in models.ours(hook, blueprint):
            if model.get("model_state") in MODEL_DEPLOYED:
                smoke_predict(hook, blueprint, model["id"])

    def tag() -> str:
        return tag_name(str(hook.domain_arn or hook.cluster_uuid()), blueprint.name)

    user = UserInIam(access, str(section.user_name), tag)
    return IamUserKeySource(blueprint, hook, user, verify=verify, verify_s=verify_s, on_step=on_step)
