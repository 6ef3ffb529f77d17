"""The switch of a model from one connector to another, and the way back; standalone and internal connectors alike."""

from __future__ import annotations

from collections.abc import Mapping

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.errors import RotationFailed
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import adoption, canonical
from opensearch_ml.retries import persistently

SERVER_FILLS = ("id", "created_time", "last_updated_time", "owner", "access", "backend_roles", "tenant_id")
TOKEN = "session_token"  # noqa: S105 (a key's name)


class Switch:
    """One switch.

    :param model: as GET returned it before the switch.
    :param to: id of the connector to switch to; for an internal one, that of the candidate it was tested as.
    :param new: the credential; None if it is not known any more.
    :param back_to: id of the connector that served before; None if it is gone, or internal.
    :param previous: for an internal connector: the credential that served before, if anybody still knows it.
    """

    def __init__(
        self,
        hook: OpenSearchMLHook,
        blueprint: Blueprint,
        model: ModelDoc,
        *,
        to: str,
        new: NextCredential | None,
        token: str,
        back_to: str | None = None,
        previous: Mapping[str, str] | None = None,
    ) -> None:
        self._hook, self._blueprint = hook, blueprint
        self._model = model
        self._to, self._new, self._token = to, new, token
        self._back_to, self._previous = back_to, previous
        self.before: dict[str, str] = {}
        self.tried = False

    @property
    def model_id(self) -> str:
        return str(self._model["id"])

    def forth(self) -> None:
        """Point the model to the new connector; the answer says that the nodes were told, not that they did it.

        :raises RotationFailed: the connector is not there, or this switch cannot be made; nothing was written.
        Source: ``PUT /_plugins/_ml/models/{id}``.
        """
        body = self._internal_forth() if self._blueprint.inline else {"connector_id": self._there(self._to)}
        if adoption.read(self._model):
            # In the same request: a model on a connector of ours is ours by that, and needs no mark of its own.
            body["description"] = adoption.plain(self._model["description"])
        self._put(body)

    def again(self) -> None:
        """Repeat what a killed run did, so that its proof can be had.

        An internal connector whose credential nobody knows is not written again: nothing but a whole one may be.
        """
        if self._blueprint.inline and not (self._new and self._new.credential):
            return
        self.forth()

    def back(self) -> None:
        """Point the model to what served before.

        :raises RotationFailed: there is no way back.
        """
        if self._blueprint.inline:
            self._put({"connector": self._internal_back(), **self._adopted_again()})
        elif self._back_to is None:
            raise RotationFailed(
                f"there is no way back for model {self.model_id}: the old connector is gone",
                evidence=f"the model uses {self._to}",
                fix="correct what was refused, and run opensearch_ml_rotate_credentials again",
            )
        else:
            self._put({"connector_id": self._there(self._back_to), **self._adopted_again()})

    def _adopted_again(self) -> dict[str, str]:
        return {"description": self._model["description"]} if adoption.read(self._model) else {}

    def _put(self, body: Mapping[str, object]) -> None:
        self.before = self._hook.predictors(self.model_id)
        self.tried = True  # the answer may be lost although it was done
        persistently(lambda: self._hook.update_model(self.model_id, body))

    def _there(self, connector_id: str) -> str:
        # The server takes any id, answers 200, and the model breaks when it is deployed the next time.
        if self._hook.get_connector(connector_id) is None:
            raise RotationFailed(
                f"connector {connector_id}, which model {self.model_id} was to use, is gone; nothing was switched",
                evidence=f"GET /_plugins/_ml/connectors/{connector_id} -> 404",
                fix="run opensearch_ml_rotate_credentials again; let nobody delete connectors of a running rotation",
            )
        return connector_id

    def _internal_forth(self) -> dict[str, object]:
        # Whole, with every key of the credential: without it the server encrypts what it has encrypted already.
        if not self._new or not self._new.credential:
            raise RotationFailed(
                f"the credential of model {self.model_id}'s internal connector is not known any more",
                evidence="its source keeps no secret, and the cluster gives none back",
                fix="run opensearch_ml_rotate_credentials with force",
            )
        had = (self._inside.get("parameters") or {}).get(canonical.LABEL_KEYS, "").split(",")
        if TOKEN in had and TOKEN not in self._new.credential:
            raise RotationFailed(
                f"model {self.model_id} has an internal connector, whose {TOKEN} cannot be taken away; "
                "nothing was switched, the old credential serves",
                evidence=f"it has the keys {', '.join(had)}, the new credential has not {TOKEN}, and PUT merges keys",
                fix="give a credential with a session token, or use a standalone connector (inline: false)",
            )
        body = canonical.connector_body(self._blueprint, self._new.credential, self._new.mark)
        body["parameters"][canonical.LABEL_RUN] = self._token
        return {"connector": body}

    def _internal_back(self) -> dict[str, object]:
        if not self._previous:
            raise RotationFailed(
                f"there is no way back for model {self.model_id}: its connector is internal, and nobody knows the old "
                "credential any more",
                evidence="the server never gives a credential back, and its source keeps only the new value",
                fix="correct what was refused, and run opensearch_ml_rotate_credentials again; a standalone connector "
                "(inline: false) always has a way back",
            )
        old = {key: value for key, value in self._inside.items() if key not in SERVER_FILLS}
        labels = self._inside.get("parameters") or {}
        old["parameters"] = {key: value for key, value in labels.items() if key != canonical.LABEL_UNMANAGED}
        return {**old, "credential": dict(self._previous)}

    @property
    def _inside(self) -> ConnectorDoc:
        return self._model.get("connector") or {}
