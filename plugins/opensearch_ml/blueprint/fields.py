"""Kinds of fields that all parts of a blueprint share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from opensearch_ml.blueprint.placeholders import as_text


def text_of_number(value: Any) -> Any:
    """Return a number or a boolean as the text that the server reads it as: ``true``, and not Python's ``True``."""
    return as_text(value) if isinstance(value, (bool, int, float)) else value


Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
Upper = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)

Text = Annotated[str, BeforeValidator(text_of_number)]
Name = Annotated[Text, Field(min_length=1, max_length=256, pattern=r"\S")]
Headers = dict[str, Text]
AccessMode = Annotated[Literal["public", "private", "restricted"], Lower]
JavaInt = Annotated[int, Field(le=2**31 - 1)]


class Strict(BaseModel):
    """A part of a file: what it does not know is an error."""

    # Inputs are hidden because a value in the wrong place may be a secret.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, protected_namespaces=())
