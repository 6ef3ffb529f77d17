"""Proof waits for the last node, and a switch that cannot be made or taken back says so before it writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.errors import DeployFailed, RotationFailed
from opensearch_ml.resources import canonical
from opensearch_ml.resources.rotation_state import Connector, RotationState
from opensearch_ml.rotation import candidate, failures, prove
from opensearch_ml.rotation.record import RotationRecord
from opensearch_ml.rotation.switch import Switch
from tests.support.doubles import as_hook
from tests.support.rotation_cases import OLD, Hook, blueprint, connector

NEW = {"one": "c", "two": "d"}


def served(*predictors: dict[str, str], timeout_s: float = 5) -> int:
    return prove.until_every_node_serves(as_hook(Hook(predictors)), "m", OLD, timeout_s=timeout_s)


def test_the_last_node_is_waited_for() -> None:
    lagging = {"one": "c", "two": "b"}
    looks = iter([OLD, lagging, lagging, NEW])
    assert prove.until_every_node_serves(as_hook(Hook(looks)), "m", OLD, timeout_s=5) == 2
    assert list(looks) == []


def test_a_node_that_is_loading_is_waited_for() -> None:
    assert served({"one": "c"}, NEW) == 2


def test_a_node_that_has_gone_for_good_is_not() -> None:
    only = [{"one": "c"}] * 10_000
    assert prove.until_every_node_serves(as_hook(Hook(only)), "m", OLD, timeout_s=0.1) == 1


def test_a_node_that_never_switches_fails_the_proof_by_its_name() -> None:
    with pytest.raises(DeployFailed, match="1 of 2 nodes still serve the old connector") as raised:
        served(*[{"one": "c", "two": "b"}] * 10_000, timeout_s=0.1)
    assert "node two" in raised.value.evidence


def internal(credential: dict[str, str], *, keys: str, previous: dict[str, str] | None = None) -> tuple[Switch, Hook]:
    inside = connector("", 0, **{canonical.LABEL_KEYS: keys})
    new = NextCredential(credential, "mark", "version")
    hook = Hook()
    model: ModelDoc = {"id": "m", "connector": inside}
    return Switch(as_hook(hook), blueprint(inline=True), model, to="B", new=new, token="t", previous=previous), hook


def test_an_internal_connector_is_put_whole() -> None:
    switch, hook = internal({"key": "new"}, keys="key", previous={"key": "old"})
    switch.forth()
    switch.back()
    forth, back = (sent["connector"] for sent in hook.sent)
    assert forth["credential"] == {"key": "new"}
    assert back["credential"] == {"key": "old"}
    assert {"name", "protocol", "actions", "parameters"} <= forth.keys() & back.keys()


def test_a_session_token_cannot_be_taken_out_of_an_internal_connector() -> None:
    switch, hook = internal({"access_key": "a", "secret_key": "s"}, keys="access_key,secret_key,session_token")
    with pytest.raises(RotationFailed, match="whose session_token cannot be taken away; nothing was switched"):
        switch.forth()
    assert hook.sent == []
    assert not switch.tried


def test_an_internal_connector_is_not_put_without_its_credential() -> None:
    switch, hook = internal({}, keys="key")
    with pytest.raises(RotationFailed, match="is not known any more"):
        switch.forth()
    switch.again()
    with pytest.raises(RotationFailed, match="there is no way back"):
        switch.back()
    assert hook.sent == []


def test_no_model_is_pointed_to_a_connector_that_is_not_there() -> None:
    hook = Hook()
    switch = Switch(as_hook(hook), blueprint(), {"id": "m"}, to="B", new=None, token="t", back_to="A")
    for move in (switch.forth, switch.back):
        with pytest.raises(RotationFailed, match="is gone; nothing was switched"):
            move()
    assert hook.sent == []


def test_an_id_with_a_hyphen_is_given_back() -> None:
    hook = Hook(ids=["a-b", "-cd", "ef", "gh"])
    assert candidate._create(as_hook(hook), {}) == "ef"
    assert hook.deleted == ["a-b", "-cd"]


def test_hyphens_are_put_up_with_in_the_end() -> None:
    hook = Hook(ids=(f"{number}-x" for number in range(100)))
    last = candidate._create(as_hook(hook), {})
    assert last == f"{candidate.ID_TRIES}-x"
    assert last not in hook.deleted


def test_an_id_that_the_server_does_not_take_back_is_the_last_one() -> None:
    hook = Hook(ids=["a-b", "c-b", "d-b"], kept=["c-b"])
    assert candidate._create(as_hook(hook), {}) == "c-b"
    assert len(hook.sent) == 2


def test_a_candidate_is_claimed_without_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = Hook(ids=["ab"])
    monkeypatch.setattr(candidate, "read_rotation_state", lambda *_: RotationState(None, None, (Connector("ab"),)))
    assert candidate.claim(as_hook(hook), blueprint(), "run-1") == "ab"
    body = hook.sent[0]
    assert body["credential"] == {"key": "claimed"}
    assert body["parameters"][canonical.LABEL_RUN] == "run-1"


@pytest.mark.parametrize("check", [failures.untestable, failures.cannot_be_put])
def test_what_can_be_swapped_is_not_refused(check: Callable[[Blueprint, RotationState], object]) -> None:
    assert check(blueprint(), RotationState({"id": "m"}, None)) is None


def test_a_record_tells_what_serves() -> None:
    record = RotationRecord("rotated", "chat", "m", "connection", why=("credential",), new_connector="B")
    assert str(record) == "model m of chat: rotated (credential); B serves"
