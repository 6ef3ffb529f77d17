"""What a picture shows, as far as it says so itself: the double reads no pixels, but a PNG may carry texts."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"


def png_texts(image: bytes) -> Iterator[str]:
    """The texts in a PNG's chunks.

    :raises struct.error: the image is cut off.
    :raises zlib.error: a compressed text is broken.
    """
    at = len(PNG)
    while at < len(image):
        length, kind = struct.unpack_from(">I4s", image, at)
        data = image[at + 8 : at + 8 + length]
        at += length + 12  # with the chunk's own length, its kind, and its checksum
        if kind == b"tEXt":
            yield data.partition(b"\0")[2].decode("latin-1")
        elif kind == b"zTXt":
            yield zlib.decompress(data.partition(b"\0")[2][1:]).decode("latin-1")


def caption(image: bytes) -> str:
    """What stands for a picture when it is embedded: its texts, or its size.

    :raises ValueError: it is no whole PNG.
    """
    if not image.startswith(PNG):
        raise ValueError("only PNG images are taken here")
    try:
        return "\n".join(png_texts(image)) or f"a picture of {len(image)} bytes"
    except (struct.error, zlib.error) as error:
        raise ValueError("the image is broken") from error
