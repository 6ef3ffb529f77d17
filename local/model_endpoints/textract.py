"""Amazon Textract: DetectDocumentText; JSON 1.1 at one path.

The double reads no pixels. It stands for the answer's shape: the lines are those of a plain text, which the real
service refuses, or of a PNG's own text chunks. It has no S3, so a document there is refused as one that cannot be read.
Source: https://docs.aws.amazon.com/textract/latest/dg/API_DetectDocumentText.html
"""

from __future__ import annotations

import base64
import struct
import uuid
import zlib
from collections.abc import Iterator
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
from local.model_endpoints.pictures import PNG, png_texts

_TARGET = "Textract.DetectDocumentText"
_SURE = 99.0  # nothing is recognised, so nothing is doubted; in percent


async def _detect_document_text(call: Call) -> Response:
    document = call.json_object()["Document"]
    if "Bytes" not in document:
        message = "Unable to get object metadata from S3. Check object key, region and/or access permissions."
        raise ApiError(400, message, "InvalidS3ObjectException")
    blocks = _blocks(_lines(base64.b64decode(document["Bytes"], validate=True)))
    return json_response({"DocumentMetadata": {"Pages": 1}, "Blocks": blocks, "DetectDocumentTextModelVersion": "1.0"})


def _lines(document: bytes) -> list[str]:
    try:
        text = "\n".join(png_texts(document)) if document.startswith(PNG) else document.decode()
    except (UnicodeDecodeError, struct.error, zlib.error):
        raise ApiError(400, "Request has unsupported document format", "UnsupportedDocumentException") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _blocks(lines: list[str]) -> list[dict[str, Any]]:
    line_blocks, word_blocks = [], []
    height = 1 / max(len(lines), 1)
    for number, line in enumerate(lines):
        place = {"top": number * height, "height": height}
        share = 1 / len(line.split())
        words = [
            _block("WORD", **place, left=index * share, width=share, text=word, TextType="PRINTED")
            for index, word in enumerate(line.split())
        ]
        line_blocks.append(_block("LINE", **place, text=line, Relationships=_children(words)))
        word_blocks += words
    page = _block("PAGE")
    if lines:
        page["Relationships"] = _children(line_blocks)
    return [page, *line_blocks, *word_blocks]


def _block(
    kind: str,
    *,
    left: float = 0.0,
    top: float = 0.0,
    width: float = 1.0,
    height: float = 1.0,
    text: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    corners = ((left, top), (left + width, top), (left + width, top + height), (left, top + height))
    box = {"Width": width, "Height": height, "Left": left, "Top": top}
    read = {} if text is None else {"Text": text, "Confidence": _SURE}
    geometry = {"BoundingBox": box, "Polygon": [{"X": x, "Y": y} for x, y in corners]}
    return {"BlockType": kind, "Id": str(uuid.uuid4()), "Geometry": geometry, **read, **more}


def _children(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"Type": "CHILD", "Ids": [block["Id"] for block in blocks]}]


def _permissions(call: Call, caller: Caller) -> Iterator[Permission]:
    yield Permission("textract:DetectDocumentText")


TEXTRACT = ApiFamily(
    name="textract",
    operations={_TARGET: _detect_document_text},
    fingerprint=fingerprint,
    authenticate=authenticate_as("textract", JSON_REFUSAL),
    authorize=authorize_by(_permissions, JSON_REFUSAL),
    fault=fault_named(
        {400: "InvalidParameterException", 429: "ProvisionedThroughputExceededException", 500: "InternalServerError"}
    ),
    error_response=json_error_response_in("InvalidParameterException"),
)
