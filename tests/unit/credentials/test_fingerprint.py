from __future__ import annotations

import time

import pytest

from opensearch_ml.credentials import fingerprint

CREDENTIAL = {"access_key": "AKIAEXAMPLE", "secret_key": "pässwörd-\U0001f511"}
KNOWN = fingerprint.fingerprint(CREDENTIAL)


def test_the_same_credential_matches_whatever_the_order_of_its_keys() -> None:
    assert fingerprint.matches(KNOWN, CREDENTIAL)
    assert fingerprint.matches(KNOWN, dict(reversed(CREDENTIAL.items())))


@pytest.mark.parametrize(
    "other",
    [
        {},
        {**CREDENTIAL, "session_token": ""},
        {"access_key": CREDENTIAL["access_key"]},
        {**CREDENTIAL, "secret_key": CREDENTIAL["secret_key"] + " "},
        {**CREDENTIAL, "secret_key": "passwörd-\U0001f511"},
        {"access_key": CREDENTIAL["secret_key"], "secret_key": CREDENTIAL["access_key"]},
        {"Access_key": CREDENTIAL["access_key"], "secret_key": CREDENTIAL["secret_key"]},
    ],
)
def test_any_other_key_or_value_does_not_match(other: dict[str, str]) -> None:
    assert not fingerprint.matches(KNOWN, other)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "",
        "x",
        ":",
        "scrypt-v1",
        "scrypt-v1::",
        "scrypt-v1:é:é",
        "scrypt-v1:AAAA:é",
        "scrypt-v1:A:A",
        "scrypt-v2:" + KNOWN.partition(":")[2],
        KNOWN[:-1],
        KNOWN + "\n",
        KNOWN + "=",
        KNOWN.replace("=", ""),
        "scrypt-v1:" + "A" * 100_000 + ":" + KNOWN[-24:],
        7,
        {"a": 1},
        [KNOWN],
        b"scrypt-v1:AAAA:AAAA",
    ],
)
def test_garbage_neither_matches_nor_raises(garbage: object) -> None:
    assert not fingerprint.matches(garbage, CREDENTIAL)


def test_it_is_the_same_for_a_salt_and_another_without() -> None:
    salted = [fingerprint.fingerprint(CREDENTIAL, b"twelve bytes") for _ in range(2)]
    assert salted[0] == salted[1]
    assert fingerprint.fingerprint(CREDENTIAL) != KNOWN


def test_it_holds_no_part_of_the_secret_and_is_short() -> None:
    for secret in CREDENTIAL.values():
        assert secret not in KNOWN
        assert secret[:6] not in KNOWN
    assert len(KNOWN) < 60
    assert KNOWN.isascii()


def test_a_secret_of_broken_unicode_has_a_fingerprint_too() -> None:
    broken = {"key": "a\ud800b"}
    assert fingerprint.matches(fingerprint.fingerprint(broken), broken)


def test_equal_references_on_one_cluster_give_equal_fingerprints_and_no_others_do() -> None:
    credential, references = {"key": "secret"}, {"key": "password of connection a"}
    one, again = (fingerprint.fingerprint(credential, fingerprint.salt_of("u", references)) for _ in range(2))
    other_cluster = fingerprint.fingerprint(credential, fingerprint.salt_of("v", references))
    other_references = fingerprint.fingerprint(credential, fingerprint.salt_of("u", {"key": "variable b"}))
    assert one == again
    assert len({one, other_cluster, other_references}) == 3
    assert fingerprint.FORM.fullmatch(one)
    assert all(fingerprint.matches(mark, credential) for mark in (one, other_cluster, other_references))
    assert not fingerprint.matches(one, {"key": "another"})


def test_a_fingerprint_is_computed_once_and_what_is_remembered_tells_no_secret() -> None:
    credential, salt = {"key": "a-secret-of-this-test"}, b"x" * 12
    known = fingerprint.fingerprint(credential, salt)
    started = time.process_time()
    assert all(fingerprint.matches(known, credential) for _ in range(100))
    assert time.process_time() - started < 1.0
    assert "a-secret-of-this-test" not in repr(fingerprint._remembered)
