"""Refusals in the service's own shapes: of the signature, of IAM, and of ML Commons."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from local.sigv4 import SignatureError, SignatureMismatch

ANONYMOUS = "anonymous"

_FORBIDDEN = 403


class Refused(Exception):  # noqa: N818 a request is refused; nothing has failed here
    """The request gets no further.

    :param document: the JSON that the caller gets.
    """

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(status, document)
        self.status, self.document = status, document

    def response(self) -> Response:
        return JSONResponse(self.document, self.status)


def bad_signature(error: SignatureError) -> Refused:
    """What is wrong with the signature; if it is another one, with what should have been signed."""
    message = error.message
    if isinstance(error, SignatureMismatch) and error.canonical_request:
        message += (
            f"\n\nThe Canonical String for this request should have been\n'{error.canonical_request}'"
            f"\n\nThe String-to-Sign should have been\n'{error.string_to_sign}'\n"
        )
    return Refused(_FORBIDDEN, {"message": message})


def not_authorized(principal: str, action: str, because: str, *, resource: str | None = None) -> Refused:
    """IAM's refusal.

    :param principal: ARN of the caller.
    :param because: how AWS ends the sentence, such as ``because no identity-based policy allows the … action``.
    """
    return forbidden(not_authorized_words(principal, action, because, resource=resource))


def not_authorized_words(principal: str, action: str, because: str, *, resource: str | None = None) -> str:
    """The sentence of every AWS service for it."""
    on_resource = f" on resource: {resource}" if resource else ""
    return f"User: {principal} is not authorized to perform: {action}{on_resource} {because}"


def anonymous(action: str, *, resource: str | None = None) -> Refused:
    """IAM's refusal of who has no IAM identity."""
    return not_authorized(
        ANONYMOUS, action, f"because no resource-based policy allows the {action} action", resource=resource
    )


def forbidden(message: str) -> Refused:
    """IAM's refusals spell it ``Message``, those of the signature ``message``."""
    return Refused(_FORBIDDEN, {"Message": message})


def bad_connector(reason: str) -> Refused:
    """A refusal in the shape of ML Commons' own."""
    cause = {"type": "status_exception", "reason": reason}
    return Refused(400, {"error": {"root_cause": [cause], **cause}, "status": 400})
