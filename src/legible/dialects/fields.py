"""Request fields of ours that every dialect takes. A description says what is allowed:
it ends up in the reference and in refusals."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

IMAGE_EXAMPLE = "iVBORw0KGgoAAAANSUhEUgAAAgUAAAE3CAYAAAA6xjI2AAAAAX..."


def _left_out(value: object) -> object:
    """Clients in PHP send "" for nothing."""
    return None if value == "" else value


def _no_boolean(value: object) -> object:
    """Python takes one for a number."""
    if isinstance(value, bool):
        raise ValueError
    return value


# Outermost: bounds around a validator are none in the documents.
LeftOut, NoBoolean = BeforeValidator(_left_out), BeforeValidator(_no_boolean)
# As text too, which is how forms and PHP have them; a switch as 1 or 0 too.
Whole = Annotated[int, Field(strict=False), NoBoolean]
Switch = Annotated[bool, Field(strict=False)]
Length = Annotated[int, Field(strict=False, ge=1, le=32), NoBoolean]
Threshold = Annotated[
    Annotated[float, Field(strict=False, ge=0, le=1), NoBoolean] | None,
    LeftOut,
    Field(
        description="a number from 0 to 1: the least confidence that is answered, "
        "or at which a tile or one of several pictures is chosen; left out, a calibrated one",
    ),
]

Top = Annotated[
    Annotated[int, Field(strict=False, ge=1, le=16), NoBoolean] | None,
    LeftOut,
    Field(
        description="a whole number from 1 to 16: that many best tiles, instead of those over the threshold"
    ),
]


class TextFields(BaseModel):
    """What the caller knows of a text."""

    charset: Annotated[Annotated[str, Field(max_length=256)] | None, LeftOut] = Field(
        None,
        description="digits, letters, lower, upper, alphanumeric, or the letters and digits themselves",
    )
    min_length: Annotated[Length | None, LeftOut] = Field(
        None, description="a whole number from 1 to 32: the fewest characters"
    )
    max_length: Annotated[Length | None, LeftOut] = Field(
        None, description="a whole number from 1 to 32: the most characters"
    )
    case: Annotated[Literal["keep", "lower", "upper"] | None, LeftOut] = Field(
        None, description="keep, lower or upper"
    )
