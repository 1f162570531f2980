"""Request fields of ours that every dialect takes. A description says what is allowed:
it ends up in the reference and in refusals."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

IMAGE_EXAMPLE = "iVBORw0KGgoAAAANSUhEUgAAAgUAAAE3CAYAAAA6xjI2AAAAAX..."

Threshold = Annotated[
    float | None,
    Field(
        ge=0,
        le=1,
        description="a number from 0 to 1: the least confidence that is answered, "
        "or at which a tile or one of several pictures is chosen; left out, a calibrated one",
    ),
]


class TextFields(BaseModel):
    """What the caller knows of a text."""

    charset: str | None = Field(
        None,
        min_length=1,
        max_length=256,
        description="digits, letters, lower, upper, alphanumeric, or the letters and digits themselves",
    )
    min_length: int | None = Field(
        None, ge=1, le=32, description="a whole number from 1 to 32: the fewest characters"
    )
    max_length: int | None = Field(
        None, ge=1, le=32, description="a whole number from 1 to 32: the most characters"
    )
    case: Literal["keep", "lower", "upper"] | None = Field(None, description="keep, lower or upper")
