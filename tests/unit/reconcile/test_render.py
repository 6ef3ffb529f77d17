"""A plan is told on one screen, in a few KB for an XCom, without a secret, and without a line that a terminal obeys."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc
from opensearch_ml.errors import Finding
from opensearch_ml.reconcile import render
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.resources.changes import Change, Difference, Kind, Plan
from tests.support.examples import CANARY
from tests.support.fleets import blueprint, cluster, connector, foreign, model, planned, stands


def of(changes: list[Change], wanted: int = 200, **more: Any) -> Plan:
    unchanged = tuple(f"model_{index}" for index in range(wanted - len(changes)))
    return Plan("production", wanted, tuple(changes), unchanged, **more)


def three_of_two_hundred() -> Plan:
    wanted = [blueprint(f"model_{index:03}") for index in range(198)]
    made = [stands(one) for one in wanted]
    connectors = [one for found in made for one in found[0]]
    models = [one for found in made for one in found[1]]
    changed = blueprint("model_007", connector__parameters={"model": "large"})
    old = stands(blueprint("old_chat"))
    return planned(
        [*(changed if one.name == changed.name else one for one in wanted), blueprint("cohere_embedding")],
        cluster([*connectors, *old[0]], [*models, *old[1]]),
    )


def test_three_changes_among_two_hundred_read_as_a_person_would_want() -> None:
    assert (
        render.text(three_of_two_hundred(), width=80)
        == """\
  + create    cohere_embedding: it has no model here
  ~ swap      model_007: model m-model_007
      parameters.model  small -> large
  - orphan    old_chat
      no blueprint of that name lives here; model m-old_chat; connector
      c-old_chat

Plan: 1 to create, 1 to swap, 1 orphan; 197 unchanged"""
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 40)])
def test_three_changes_among_two_hundred_fit_on_one_screen(width: int, height: int) -> None:
    lines = render.text(three_of_two_hundred(), width=width).splitlines()
    assert len(lines) <= height - 3  # the command, its heading, and the next prompt
    assert max(map(len, lines)) <= width


def test_nothing_to_do_is_one_line() -> None:
    assert render.text(of([], 200)) == "No changes: 200 blueprints, all as they should be"
    assert render.summary(of([], 1)) == "No changes: 1 blueprint, all as they should be"


def test_the_summary_counts_every_kind() -> None:
    plan = of([Change(kind, f"{kind.value}{index}") for kind in Kind for index in range(2)])
    assert render.summary(plan) == (
        "Plan: 2 settings to change, 2 roles to mend, 2 to create, 2 to adopt, 2 to update, 2 to redeploy, 2 to swap, "
        "2 to clean up, 2 orphans, 2 blocked, 2 broken; 178 unchanged"
    )


def test_equal_changes_are_told_once_whatever_their_fingerprints() -> None:
    changes = [
        Change(
            Kind.SWAP,
            f"model_{index:03}",
            differences=(
                Difference("credential", f"fp:{index}…", "new value"),
                Difference("parameters.model", "small", "large"),
            ),
            models=(f"m{index}",),
        )
        for index in range(120)
    ]
    told = render.text(of(changes), width=80)
    assert told.splitlines()[:3] == [
        "  ~ swap      120 models: model_000, model_001, model_002 … and 117 more",
        "      credential        one for each -> new value",
        "      parameters.model  small -> large",
    ]
    assert len(told.splitlines()) == 5


def test_many_different_changes_are_cut_with_their_count() -> None:
    changes = [Change(Kind.REDEPLOY, f"model_{index:03}", f"DEPLOYING for {index} min") for index in range(90)]
    told = render.text(of(changes), width=80, blocks=10).splitlines()
    assert told[10] == "  … and 80 more: 80 redeploy"
    assert told[-1] == "Plan: 90 to redeploy; 110 unchanged"


def test_a_long_text_is_shown_where_it_differs() -> None:
    before, after = "x" * 300 + '"max_tokens": 5}', "x" * 300 + '"max_tokens": 6}'
    plan = of([Change(Kind.SWAP, "chat", differences=(Difference("actions.0.request_body", before, after),))])
    line = render.text(plan, width=100).splitlines()[1]
    assert len(line) <= 100
    assert '": 5}' in line
    assert '": 6}' in line


def test_of_many_fields_some_are_shown() -> None:
    fields = tuple(Difference(f"parameters.p{index}", None, "1") for index in range(20))
    told = render.text(of([Change(Kind.SWAP, "chat", differences=fields)])).splitlines()
    assert told[1] == "      parameters.p0  + 1"
    assert told[9] == "      … and 12 more fields"


def test_what_is_blocked_or_broken_says_why_and_what_to_do() -> None:
    broken = Desired("chat", None, (Finding("connector.name", "is missing", "Add connector.name.", 2),))
    assert render.text(planned([broken], cluster())).splitlines()[:3] == [
        "  ! broken    chat",
        "      line 2, connector.name: is missing",
        "      fix: Add connector.name.",
    ]


def test_what_was_not_looked_at_is_told() -> None:
    plan = of([], unseen=("role mappings: refused",))
    assert "? not looked at: role mappings: refused" in render.text(plan)
    assert "not looked at: role mappings: refused" in render.markdown(plan)


@pytest.mark.parametrize("count", [0, 3, 2000])
def test_an_xcom_stays_small_whatever_the_fleet(count: int) -> None:
    changes = [Change(Kind.CREATE, f"model_{index:04}", "w" * 500) for index in range(count)]
    told = render.as_dict(of(changes, 2000))
    assert len(json.dumps(told)) < 4500
    assert told["counts"] == ({"create": count} if count else {})
    left = count - len(told["changes"])
    assert told.get("more") == (f"… and {left} more" if left else None)


@pytest.mark.parametrize("count", [3, 2000])
def test_markdown_stays_short_enough_for_a_form(count: int) -> None:
    changes = [Change(Kind.CREATE, f"model_{index:04}", f"because of {index}") for index in range(count)]
    told = render.markdown(of(changes, 2000))
    assert told.startswith(f"**Plan: {count} to create; {2000 - count} unchanged** on `production`")
    assert len(told) < 9000


def test_markdown_of_others_words_stays_text() -> None:
    fields = (Difference("description", "<img src=x>`|", "a\nb"),)
    told = render.markdown(of([Change(Kind.UPDATE, "chat", "<script>", fields)]))
    assert "\\<script\\>" in told
    assert "`<img src=x>'| -> a b`" in told


def test_no_control_character_of_others_reaches_a_terminal() -> None:
    fields = (Difference("description", "\x1b[2J\r::error::x\u202e", "b"),)
    for told in (render.text(of([Change(Kind.UPDATE, "chat", "\x07", fields)])),):
        assert all(one.isprintable() or one == "\n" for one in told)
        assert not any(line.startswith("::") for line in told.splitlines())


def test_the_whole_for_programs_is_json() -> None:
    told = json.loads(json.dumps(render.whole(three_of_two_hundred())))
    assert [(one["kind"], one["what"]) for one in told["changes"]] == [
        ("create", "cohere_embedding"),
        ("swap", "model_007"),
        ("orphan", "old_chat"),
    ]
    assert len(told["unchanged"]) == 197


# ---- secrets


KEY = "hunter2-is-no-known-shape"
BY_HAND: dict[str, Any] = {
    "parameters": {"api_key": KEY, "model": CANARY, "size": 3},
    "actions": [
        {
            "action_type": "PREDICT",
            "method": "POST",
            "url": f"https://api.example.com/v1/chat?key={KEY}",
            "headers": {"Authorization": f"Bearer {KEY}", "x-api-key": KEY, "Accept": "text/plain"},
            "request_body": f'{{"token": "{CANARY}"}}',
        },
        {"action_type": "EXECUTE", "method": "POST", "url": "https://x", "headers": {"Cookie": KEY}},
    ],
    "description": f"made with {CANARY}",
}


def written_by_hand(of: Blueprint, actions: int) -> ConnectorDoc:
    """A connector that somebody else made, with so many of the actions that hold secrets."""
    return cast(ConnectorDoc, {**foreign(of, "c"), **BY_HAND, "actions": BY_HAND["actions"][:actions]})


@pytest.mark.parametrize("actions", [1, 2], ids=["field by field", "as a whole"])
def test_no_secret_that_others_wrote_into_a_connector_is_shown(actions: int) -> None:
    of_chat = blueprint()
    by_hand = written_by_hand(of_chat, actions)
    marked: ConnectorDoc = {**connector(of_chat, "c"), **by_hand}
    marked["parameters"] = {**connector(of_chat, "c")["parameters"], **BY_HAND["parameters"]}
    there = model(of_chat, "m", "c", description=f"made with {CANARY}", model_config={"all_config": CANARY})
    wanted = blueprint(model={"description": "x"})
    for found in (planned([wanted], cluster([by_hand], [there])), planned([wanted], cluster([marked], [there]))):
        assert {change.kind for change in found.changes} <= {Kind.ADOPT, Kind.SWAP, Kind.UPDATE}
        for told in (
            render.text(found),
            render.markdown(found),
            json.dumps(render.whole(found)),
            json.dumps(render.as_dict(found)),
            repr(found),
        ):
            assert KEY not in told
            assert CANARY not in told
