"""What a literal secret looks like, in a value or by the name it stands under.

Only ``credential`` is encrypted by the server; URLs, headers and parameters are readable for every user with
``ml_read_access``, and files are for everybody who reads the repository.
"""

from __future__ import annotations

import re

REMOVED = "REMOVED"  # what the importer writes where a page has a secret
SHAPES = re.compile(
    r"(?<![A-Za-z0-9])sk[-_](?:[a-z]+[0-9]*[-_]){0,3}(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16,}"  # OpenAI, Anthropic, Stripe
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[0-9A-Za-z_-]{35}"  # Google
    r"|\b(?:hf|gh[pousr])_[A-Za-z0-9]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."  # JSON web token
    r"|\b(?:Bearer|Basic)\s+(?=[^\s$]*[0-9])[A-Za-z0-9._~+/=-]{8,}"
    r"|\bxox[abeprs]-[A-Za-z0-9-]{8,}"  # Slack
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
QUERY = re.compile(r"[?&](?:api[-_]?key|key|token|access_token|code|sig)=(?!\$\{)[^&]+", re.IGNORECASE)
HEADER = re.compile(
    r"authorization|proxy-authorization|cookie|(?!idempotency-)(?:.+-)?(?:api-?key|key|token|secret|password|auth)",
    re.IGNORECASE,
)
# Tokens of a text, of a model's vocabulary, or of a list's next page.
NO_SECRET = re.compile(
    r"(?:.*[_.-])?(?:bos|eos|eot|unk|sep|pad|cls|mask|stop|start|end|special|image|max|min|new|num|per|next|page"
    r"|continuation)[_-]token",
    re.IGNORECASE,
)
PARAMETER = re.compile(
    r"(?:.*[_.-])?(?:(?:api|access|secret|private|subscription|openai|cohere|anthropic|google|azure)[_-]?key"
    r"|(?:api|auth|access|bearer|session|security)[_-]?token|token|secret|client[_-]?secret|password|passwd|authorization)",
    re.IGNORECASE,
)


def in_value(text: str) -> bool:
    """Tell whether a text holds something of the shape of a well-known kind of secret."""
    return SHAPES.search(text) is not None


def printable(text: str) -> str:
    """Return a text without secrets of a well-known shape, and without what a terminal or GitHub Actions executes.

    :param text: of a file or a cluster: it may hold control characters, or a secret where none belongs.
    """
    return SHAPES.sub("***", "".join(one if one.isprintable() else "?" for one in text))


def in_query(url: str) -> bool:
    """Tell whether a URL's query carries a key or a token."""
    return QUERY.search(url) is not None


def is_header(name: str) -> bool:
    """Tell whether a header of that name carries a secret."""
    return HEADER.fullmatch(name) is not None


def is_parameter(name: str) -> bool:
    """Tell whether a parameter of that name holds a secret; ``max_tokens`` does not."""
    return PARAMETER.fullmatch(name) is not None and NO_SECRET.fullmatch(name) is None


def is_removed(text: str) -> bool:
    """Tell whether a text has a gap where the importer took a secret out."""
    return re.search(rf"\b{REMOVED}\b", text) is not None
