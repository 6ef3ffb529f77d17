"""What a real server does with what each rule refuses: so each rule is known to be needed.

`rules_live.yaml` has the cases. Each is a good body with a change, sent straight to the server, past all of our code.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support.cluster import Cluster
from tests.support.rules import all_rules

pytestmark = pytest.mark.slow

ML = "/_plugins/_ml"
SECRET = "s3cret-of-the-tests"
SETTINGS = {
    "plugins.ml_commons.trusted_connector_endpoints_regex": [".*"],
    "plugins.ml_commons.connector.private_ip_enabled": True,
    "plugins.ml_commons.mcp_connector_enabled": True,
}
AT_ONCE = 4
FINAL_STATES = ("DEPLOYED", "DEPLOY_FAILED")
LONG = {"@8 KB@": "x" * 9_000, "@64 KB@": "x" * 8_000, "@32 KB@": "x" * 33_000, "@ZERO WIDTH@": "\u200b"}
DATA = yaml.safe_load((Path(__file__).parent / "rules_live.yaml").read_text())
RULES_WITHOUT_A_SERVER: dict[str, str] = DATA["without a server"]
CASES: dict[str, dict[str, Any]] = DATA["on the server"]

GOOD: dict[str, Any] = {
    "connector": {
        "name": "Probe",
        "version": "1",
        "protocol": "http",
        "parameters": {"model": "m"},
        "credential": {"key": SECRET},
        "actions": [
            {
                "action_type": "predict",
                "method": "POST",
                "url": "@URL@/v1",
                "headers": {"Authorization": "Bearer ${credential.key}"},
                "request_body": '{"input": ${parameters.input}, "model": "${parameters.model}"}',
            }
        ],
    },
    "model": {"function_name": "remote"},
    "group": {},
    "predict": {"parameters": {"input": ["a"]}},
}


class Seen(NamedTuple):
    """How far a body came, and what showed.

    :param end: refused at create, refused at register, breaks at deploy, breaks at predict, or answers.
    :param said: the server's error, or the model's answer, which is the request that the endpoint got.
    :param stored: what a GET of the connector and of the model gives.
    """

    end: str
    said: str
    stored: str


class Endpoint(ThreadingHTTPServer):
    """A model that answers with the request it got; ``/status/N`` answers with that status."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.calls: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def _answer(self) -> None:
        self.server.calls[self.path] += 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        parts = self.path.split("/")
        got = {"line": self.requestline, "headers": [": ".join(each) for each in self.headers.items()], "body": body}
        answer = json.dumps({"got": got, "data": [{"embedding": [0.5, 1.5]}]}).encode()
        self.send_response(int(parts[2]) if parts[1] == "status" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 (http.server looks for these names)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(newest: Cluster) -> Iterator[Cluster]:
    """A cluster that trusts everything; it is clean before all cases and after them, not in between."""
    newest.clean()
    newest.add_user("author", "Str0ng!Pass#9z", ["team"])
    rights = {"backend_roles": ["team"], "users": ["author"]}
    newest.request("PUT", "/_plugins/_security/api/rolesmapping/ml_full_access", json=rights).raise_for_status()
    configure(newest, {})
    yield newest
    newest.clean()


def configure(cluster: Cluster, changed: dict[str, Any]) -> None:
    answer = cluster.request("PUT", "/_cluster/settings", json={"persistent": {**SETTINGS, **changed}})
    answer.raise_for_status()


@pytest.fixture(scope="module")
def shown(server: Cluster, endpoint: Endpoint) -> dict[str, Future[Seen]]:
    """What the server did with each case: together, but for those that change its settings."""
    changing = {rule: case for rule, case in CASES.items() if "settings" in case}
    sent(
        server, endpoint, {}
    )  # the first one alone: while its indices are made, the server refuses what comes meanwhile
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        together = {rule: pool.submit(sent, server, endpoint, CASES[rule]) for rule in CASES.keys() - changing.keys()}
    with ThreadPoolExecutor(max_workers=1) as pool:
        one_by_one = {rule: pool.submit(with_settings, server, endpoint, case) for rule, case in changing.items()}
    return together | one_by_one


def with_settings(cluster: Cluster, endpoint: Endpoint, case: dict[str, Any]) -> Seen:
    configure(cluster, filled(case["settings"], endpoint))
    try:
        return sent(cluster, endpoint, case)
    finally:
        configure(cluster, {name: SETTINGS.get(name) for name in case["settings"]})


@pytest.mark.parametrize("rule", CASES)
def test_the_server_does_not_save_who_breaks_the_rule(
    shown: dict[str, Future[Seen]], endpoint: Endpoint, rule: str
) -> None:
    case, seen = CASES[rule], shown[rule].result()
    assert seen.end == case["end"], seen
    assert filled(case.get("says", ""), endpoint) in seen.said, seen
    assert filled(case.get("stores", ""), endpoint) in seen.stored, seen
    if "lacks" in case:
        assert case["lacks"] not in seen.said + seen.stored, seen
    for path, calls in case.get("calls", {}).items():
        assert endpoint.calls[path] == calls


def test_every_rule_is_shown_on_a_server_or_has_a_reason_why_not() -> None:
    named = [*CASES, *RULES_WITHOUT_A_SERVER]
    rules = all_rules()
    assert not [rule for rule in sorted(rules) if not any(rule.startswith(_rule(name)) for name in named)]
    assert not [name for name in named if not any(rule.startswith(_rule(name)) for rule in rules)]
    assert not CASES.keys() & RULES_WITHOUT_A_SERVER.keys()
    assert all(RULES_WITHOUT_A_SERVER.values())


def test_a_body_that_breaks_no_rule_answers(server: Cluster, endpoint: Endpoint) -> None:
    seen = sent(server, endpoint, {})
    assert seen.end == "answers"
    assert f"Authorization: Bearer {SECRET}" in seen.said
    assert SECRET not in seen.stored


def _rule(name: str) -> str:
    return name.partition(" / ")[0]  # after it: which of several cases of a rule


def sent(cluster: Cluster, endpoint: Endpoint, case: dict[str, Any]) -> Seen:
    """Send a body with the case's changes from creation to predict, until the server refuses."""
    bodies = changed(case, endpoint)
    user = case.get("as", "admin")
    model = {"name": f"probe {time.time_ns()}", **bodies["model"]}
    stored = ""

    def seen(end: str, said: Any) -> Seen:
        return Seen(end, said if isinstance(said, str) else json.dumps(said), stored)

    if bodies["group"]:
        answer = cluster.request("POST", f"{ML}/model_groups/_register", json=bodies["group"], user=user)
        if not answer.ok:
            return seen("refused at create", answer.text)
        model["model_group_id"] = answer.json()["model_group_id"]
        stored += cluster.request("GET", f"{ML}/model_groups/{model['model_group_id']}").text
    if case.get("inline"):
        model["connector"] = bodies["connector"]
    else:
        answer = cluster.request("POST", f"{ML}/connectors/_create", json=bodies["connector"], user=user)
        if not answer.ok:
            return seen("refused at create", answer.text)
        model["connector_id"] = answer.json()["connector_id"]
        stored += cluster.request("GET", f"{ML}/connectors/{model['connector_id']}").text
    answer = cluster.request("POST", f"{ML}/models/_register", json=model, user=user)
    if not answer.ok:
        return seen("refused at register", answer.text)
    model_id = answer.json()["model_id"]
    path = f"{ML}/models/{model_id}"
    task = cluster.request("POST", f"{path}/_deploy", user=user)
    if not task.ok:
        return seen("breaks at deploy", task.text)
    deadline = time.monotonic() + 20
    while (now := cluster.get(path))["model_state"] not in FINAL_STATES and time.monotonic() < deadline:
        time.sleep(0.1)
    stored += json.dumps(now)
    if now["model_state"] != "DEPLOYED":
        return seen("breaks at deploy", json.dumps(_ended(cluster, task.json()["task_id"])))
    answer = cluster.request(
        "POST", ML + case.get("ask", "/models/{}/_predict").format(model_id), json=bodies["predict"], user=user
    )
    return seen("answers" if answer.ok else "breaks at predict", answer.text)


def _ended(cluster: Cluster, task_id: str) -> Any:
    deadline = time.monotonic() + 5
    while "error" not in (task := cluster.get(f"{ML}/tasks/{task_id}")) and time.monotonic() < deadline:
        time.sleep(0.05)
    return task


def changed(case: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    bodies = copy.deepcopy(GOOD)
    for path in case.get("drop", ()):
        *above, last = path.split(".")
        del _reached(bodies, above)[last]
    for path, value in case.get("set", {}).items():
        *above, last = path.split(".")
        node = _reached(bodies, above)
        if isinstance(node, list):
            node[int(last) : int(last) + 1] = [value]
        else:
            node[last] = value
    told: dict[str, Any] = filled(bodies, endpoint)
    return told


def _reached(tree: Any, path: list[str]) -> Any:
    for part in path:
        tree = tree[int(part)] if isinstance(tree, list) else tree.setdefault(part, {})
    return tree


def filled(tree: Any, endpoint: Endpoint) -> Any:
    """The tree with the words between @ replaced, in its keys too."""
    if isinstance(tree, str):
        for word, value in {"@URL@": endpoint.url, "@PORT@": str(endpoint.server_port), **LONG}.items():
            tree = tree.replace(word, value)
        return tree
    if isinstance(tree, dict):
        return {filled(key, endpoint): filled(value, endpoint) for key, value in tree.items()}
    return [filled(value, endpoint) for value in tree] if isinstance(tree, list) else tree
