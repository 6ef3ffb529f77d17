"""Comprehend and Textract: one path, told apart by the header x-amz-target, over real HTTP."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from tests.support.signing import refused, send, signed

KEY = ("AKIAEXAMPLE", "lasting/secret")
LANGUAGE, SENTIMENT = "Comprehend_20171127.DetectDominantLanguage", "Comprehend_20171127.DetectSentiment"
TEXT = "Textract.DetectDocumentText"

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def endpoints() -> Iterator[ModelEndpoints]:
    with start_model_endpoints(keys={"aws": [{"access_key_id": KEY[0], "secret_access_key": KEY[1]}]}) as started:
        yield started


@pytest.fixture
def ask(endpoints: ModelEndpoints) -> Ask:
    """Sends a signed request of the JSON 1.1 kind."""

    def ask(target: str, body: Any, *, service: str = "", credentials: tuple[str, ...] = KEY) -> httpx.Response:
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        called = service or target.partition(".")[0].partition("_")[0].lower()
        request = signed(f"{endpoints.url}/", json.dumps(body), service=called, credentials=credentials, **headers)
        return send(request)

    return ask


def png(*chunks: tuple[bytes, bytes]) -> str:
    image = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        image += len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    return base64.b64encode(image).decode()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Bonjour", "fr"),
        ("Hello", "en"),
        ("你好", "zh"),
        ("안녕하세요", "ko"),
        ("こんにちは、世界", "ja"),
        ("Das ist ein kurzer Satz und nicht mehr.", "de"),
        ("El perro está en la casa.", "es"),
        ("Il gatto non è nella casa.", "it"),
        ("O gato não está em casa.", "pt"),
        ("De kat is niet in het huis.", "nl"),
        ("Это короткое предложение.", "ru"),
    ],
)
def test_comprehend_tells_the_language_by_the_text(ask: Ask, text: str, language: str) -> None:
    response = ask(LANGUAGE, {"Text": text})
    assert response.headers["content-type"] == "application/x-amz-json-1.1"
    languages = response.json()["Languages"]
    assert languages[0]["LanguageCode"] == language
    scores = [found["Score"] for found in languages]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1.01


def test_comprehend_gives_both_languages_of_a_mixed_text(ask: Ask) -> None:
    found = ask(LANGUAGE, {"Text": "the cat and the dog, le chat"}).json()["Languages"]
    assert [language["LanguageCode"] for language in found[:2]] == ["en", "fr"]


def test_comprehend_is_unsure_of_what_no_language_speaks_for(ask: Ask) -> None:
    assert ask(LANGUAGE, {"Text": "42"}).json() == {"Languages": [{"LanguageCode": "en", "Score": 0.3}]}


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("I love it, it is great", "POSITIVE"),
        ("A terrible, broken thing", "NEGATIVE"),
        ("The parcel arrived on Monday", "NEUTRAL"),
        ("The food was great, the service terrible", "MIXED"),
    ],
)
def test_comprehend_tells_the_sentiment_by_the_words(ask: Ask, text: str, sentiment: str) -> None:
    answer = ask(SENTIMENT, {"Text": text, "LanguageCode": "en"}).json()
    assert answer["Sentiment"] == sentiment
    assert sum(answer["SentimentScore"].values()) == pytest.approx(1, abs=0.001)


def test_comprehend_answers_a_batch_text_by_text(ask: Ask) -> None:
    texts = ["Hello", "Bonjour"]
    answer = ask("Comprehend_20171127.BatchDetectDominantLanguage", {"TextList": texts}).json()
    assert answer["ErrorList"] == []
    found = [(result["Index"], result["Languages"][0]["LanguageCode"]) for result in answer["ResultList"]]
    assert found == [(0, "en"), (1, "fr")]
    batch = ask("Comprehend_20171127.BatchDetectSentiment", {"TextList": ["great"], "LanguageCode": "en"}).json()
    assert batch["ResultList"][0]["Sentiment"] == "POSITIVE"


@pytest.mark.parametrize(
    ("target", "body", "error"),
    [
        (LANGUAGE, {"Text": ""}, "ValidationException"),
        (LANGUAGE, {}, "InvalidRequestException"),
        (LANGUAGE, {"Text": "a" * 100_001}, "TextSizeLimitExceededException"),
        (SENTIMENT, {"Text": "a" * 5_001, "LanguageCode": "en"}, "TextSizeLimitExceededException"),
        (SENTIMENT, {"Text": "a", "LanguageCode": "xx"}, "UnsupportedLanguageException"),
        (
            "Comprehend_20171127.BatchDetectDominantLanguage",
            {"TextList": ["a"] * 26},
            "BatchSizeLimitExceededException",
        ),
        (TEXT, {"Document": {"Bytes": "no base64!"}}, "InvalidParameterException"),
        (TEXT, {"Document": {"Bytes": base64.b64encode(b"\xff\xd8\xff").decode()}}, "UnsupportedDocumentException"),
        (TEXT, {"Document": {"S3Object": {"Bucket": "b", "Name": "n"}}}, "InvalidS3ObjectException"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_services_own_name(
    ask: Ask, target: str, body: dict[str, Any], error: str
) -> None:
    assert refused(ask(target, body)) == (400, error)


def test_textract_gives_the_lines_and_words_of_a_text(ask: Ask) -> None:
    document = base64.b64encode(b"Hello World!!\n\nSecond line").decode()
    answer = ask(TEXT, {"Document": {"Bytes": document}}).json()
    blocks = answer["Blocks"]
    assert [(block["BlockType"], block.get("Text")) for block in blocks] == [
        ("PAGE", None),
        ("LINE", "Hello World!!"),
        ("LINE", "Second line"),
        ("WORD", "Hello"),
        ("WORD", "World!!"),
        ("WORD", "Second"),
        ("WORD", "line"),
    ]
    by_id = {block["Id"]: block for block in blocks}
    lines = [by_id[child] for child in blocks[0]["Relationships"][0]["Ids"]]
    assert [by_id[child]["Text"] for child in lines[0]["Relationships"][0]["Ids"]] == ["Hello", "World!!"]
    assert lines[1]["Geometry"]["BoundingBox"] == {"Width": 1.0, "Height": 0.5, "Left": 0.0, "Top": 0.5}
    assert answer["DocumentMetadata"] == {"Pages": 1}


def test_textract_reads_what_a_png_says_of_itself(ask: Ask) -> None:
    texts = (b"tEXt", b"Description\0Hello world"), (b"zTXt", b"Comment\0\0" + zlib.compress(b"and more"))
    image = png((b"IHDR", bytes(13)), *texts, (b"IEND", b""))
    blocks = ask(TEXT, {"Document": {"Bytes": image}}).json()["Blocks"]
    assert [block["Text"] for block in blocks if block["BlockType"] == "LINE"] == ["Hello world", "and more"]
    blank = ask(TEXT, {"Document": {"Bytes": png((b"IHDR", bytes(13)), (b"IEND", b""))}}).json()["Blocks"]
    assert [block["BlockType"] for block in blank] == ["PAGE"]


def test_a_caller_is_refused_with_400_as_json_services_do(ask: Ask) -> None:
    assert refused(ask(LANGUAGE, {"Text": "a"}, credentials=("AKIAUNKNOWN", "x"))) == (
        400,
        "UnrecognizedClientException",
    )
    assert refused(ask(LANGUAGE, {"Text": "a"}, credentials=(KEY[0], "wrong"))) == (400, "InvalidSignatureException")
    assert refused(ask(TEXT, {}, service="comprehend")) == (400, "InvalidSignatureException")


@pytest.mark.parametrize("target", ["Comprehend_20171127.DetectEntities", ""])
def test_an_operation_that_is_not_here_is_named(endpoints: ModelEndpoints, ask: Ask, target: str) -> None:
    endpoints.forget_requests()
    response = ask(target, {}, service="comprehend")
    assert response.status_code == 404
    assert target in response.json()["message"]
    assert [request.family for request in endpoints.requests()] == ["unknown"]


def test_a_family_at_the_shared_path_can_misbehave_alone(endpoints: ModelEndpoints, ask: Ask) -> None:
    endpoints.forget_requests()
    endpoints.behave(family="comprehend", status=429, times=1)
    assert ask(TEXT, {"Document": {"Bytes": ""}}).status_code == 200
    assert refused(ask(LANGUAGE, {"Text": "a"})) == (429, "TooManyRequestsException")
    assert [(request.family, request.status) for request in endpoints.requests()] == [
        ("textract", 200),
        ("comprehend", 429),
    ]
