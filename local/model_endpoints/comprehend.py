"""Amazon Comprehend: DetectDominantLanguage and DetectSentiment, each also for a batch; JSON 1.1 at one path.

The double reads scripts and a few very common words: enough to tell greetings and plain sentences apart, and no more.
Source: https://docs.aws.amazon.com/comprehend/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from starlette.responses import Response

from local.model_endpoints.api import ApiError, ApiFamily, Call, Caller
from local.model_endpoints.aws import (
    JSON_REFUSAL,
    Permission,
    authenticate_as,
    authorize_by,
    fault_named,
    fingerprint,
    json_error_response_in,
    json_response,
)

_TARGET = "Comprehend_20171127."
_MAX_BATCH = 25
_MAX_LANGUAGE_BYTES, _MAX_SENTIMENT_BYTES = 100_000, 5_000
_SENTIMENT_LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "ar", "hi", "ja", "ko", "zh", "zh-TW")
_UNSURE = 0.3  # the score of a language that nothing speaks for
_SCRIPTS = {
    "ko": r"[\uac00-\ud7af]",
    "ja": r"[\u3040-\u30ff]",
    "zh": r"[\u4e00-\u9fff]",
    "ru": r"[\u0400-\u04ff]",
    "ar": r"[\u0600-\u06ff]",
    "hi": r"[\u0900-\u097f]",
    "el": r"[\u0370-\u03ff]",
    "he": r"[\u0590-\u05ff]",
}
_WORDS = {
    "en": "the and of to is are was in that it for with you this not have hello good be on as at by from they we",
    "de": "der die das und ist nicht ich sie wir mit ein eine zu den von auf im dem hallo guten für auch sind wird",
    "fr": "le la les et est pas je vous nous un une des du de dans que qui pour avec bonjour merci au sur ce sont",
    "es": "el la los las y es no yo un una de en que por con para hola gracias del está son se lo como más",
    "it": "il lo la gli e è non io un una di in che per con ciao grazie del della sono si come più anche",
    "pt": "o os as e é não eu um uma de em que por com para olá obrigado do da são se como mais também",
    "nl": "de het een en is niet ik wij van met voor op dat die te hallo dank zijn wordt ook aan er",
}
_STOP_WORDS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_POSITIVE = "good great love loved excellent happy best wonderful nice perfect amazing thanks"
_NEGATIVE = "bad terrible hate hated awful sad worst poor broken horrible disappointed angry"

Analysis = Callable[[str], dict[str, Any]]


async def _detect_dominant_language(call: Call) -> Response:
    return json_response(_languages(_text(call.json_object()["Text"], _MAX_LANGUAGE_BYTES)))


async def _batch_detect_dominant_language(call: Call) -> Response:
    return _batch(call, _MAX_LANGUAGE_BYTES, _languages)


async def _detect_sentiment(call: Call) -> Response:
    request = call.json_object()
    _check_language(request)
    return json_response(_sentiment(_text(request["Text"], _MAX_SENTIMENT_BYTES)))


async def _batch_detect_sentiment(call: Call) -> Response:
    _check_language(call.json_object())
    return _batch(call, _MAX_SENTIMENT_BYTES, _sentiment)


def _batch(call: Call, max_bytes: int, analysis: Analysis) -> Response:
    texts = call.json_object()["TextList"]
    if len(texts) > _MAX_BATCH:
        raise ApiError(400, f"The number of documents exceeds {_MAX_BATCH}.", "BatchSizeLimitExceededException")
    results = [{"Index": index, **analysis(_text(text, max_bytes))} for index, text in enumerate(texts)]
    return json_response({"ResultList": results, "ErrorList": []})


def _text(text: str, max_bytes: int) -> str:
    if not text:
        message = (
            "1 validation error detected: Value '' at 'text' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1"
        )
        raise ApiError(400, message, "ValidationException")
    if len(text.encode()) > max_bytes:
        raise ApiError(400, "Input text size exceeds limit.", "TextSizeLimitExceededException")
    return text


def _check_language(request: dict[str, Any]) -> None:
    if request["LanguageCode"] not in _SENTIMENT_LANGUAGES:
        raise ApiError(400, f"Unsupported language: {request['LanguageCode']}.", "UnsupportedLanguageException")


def _languages(text: str) -> dict[str, Any]:
    found = Counter({code: len(re.findall(script, text)) for code, script in _SCRIPTS.items()})
    if found["ja"]:
        del found["zh"]  # Japanese is written with Chinese characters too
    words = re.findall(r"\w+", text.lower())
    found.update({code: sum(word in common for word in words) for code, common in _STOP_WORDS.items()})
    total = sum(found.values())
    scores = [(code, count / total) for code, count in found.most_common() if count] or [("en", _UNSURE)]
    return {"Languages": [{"LanguageCode": code, "Score": round(score, 4)} for code, score in scores]}


def _sentiment(text: str) -> dict[str, Any]:
    words = re.findall(r"\w+", text.lower())
    positive, negative = (sum(word in feeling.split() for word in words) for feeling in (_POSITIVE, _NEGATIVE))
    weights = {"Positive": positive, "Negative": negative, "Neutral": 1, "Mixed": 2 * min(positive, negative)}
    total = sum(weights.values())
    scores = {name: round(weight / total, 4) for name, weight in weights.items()}
    # At a draw what was felt counts more than that nothing was.
    strongest = max(("Mixed", "Positive", "Negative", "Neutral"), key=lambda name: weights[name])
    return {"Sentiment": strongest.upper(), "SentimentScore": scores}


def _permissions(call: Call, caller: Caller) -> Iterator[Permission]:
    yield Permission(f"comprehend:{call.headers['x-amz-target'].removeprefix(_TARGET)}")


COMPREHEND = ApiFamily(
    name="comprehend",
    operations={
        f"{_TARGET}DetectDominantLanguage": _detect_dominant_language,
        f"{_TARGET}BatchDetectDominantLanguage": _batch_detect_dominant_language,
        f"{_TARGET}DetectSentiment": _detect_sentiment,
        f"{_TARGET}BatchDetectSentiment": _batch_detect_sentiment,
    },
    fingerprint=fingerprint,
    authenticate=authenticate_as("comprehend", JSON_REFUSAL),
    authorize=authorize_by(_permissions, JSON_REFUSAL),
    fault=fault_named(
        {400: "InvalidRequestException", 429: "TooManyRequestsException", 500: "InternalServerException"}
    ),
    error_response=json_error_response_in("InvalidRequestException"),
)
