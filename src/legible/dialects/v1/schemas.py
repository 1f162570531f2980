"""Our own JSON. A description says what is allowed: it ends up in the reference and in refusals."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from legible.dialects.fields import IMAGE_EXAMPLE, TextFields, Threshold, Top
from legible.tasks import Kind

KINDS = ", ".join(Kind)
YUAN = "yuan, as a decimal in a string"

Amount = Annotated[str, Field(description=YUAN, examples=["0.001"])]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class RecognitionRequest(_Body):
    kind: Literal["text", "arithmetic", "slider", "grid", "click"] = Field(
        description=KINDS, examples=["text"]
    )
    image: str | None = Field(
        None, description="a PNG, JPEG, GIF, BMP or WebP picture in base64", examples=[IMAGE_EXAMPLE]
    )
    images: list[str] | None = Field(
        None, min_length=1, description="for click, instead of image: a list of pictures in base64"
    )
    options: dict[str, object] | None = Field(
        None,
        description="an object with what is known of the picture; its fields depend on the kind",
        examples=[{"charset": "digits", "min_length": 4, "max_length": 4}],
    )
    threshold: Threshold = None
    type: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="an id of GET /v1/types to be charged by; left out, the cheapest of its kind",
    )


class TextOptionFields(_Body, TextFields):
    pass


class ArithmeticFields(_Body):
    pass


class SliderFields(_Body):
    piece: str | None = Field(None, description="the picture of the piece in base64, for the two-image form")


class GridFields(_Body):
    question: str = Field(
        max_length=500, description="a label such as /m/01pns0, or its English or Chinese name"
    )
    top: Top = None


class ClickFields(_Body):
    question: str = Field(min_length=1, max_length=500, description="what is asked, in English or Chinese")
    anchors: list[str] | None = Field(
        None, description="example pictures in base64, for questions that speak of a sample"
    )


class Receipt(BaseModel):
    log_id: str = Field(examples=["LOG20261121000042"])
    type: int = Field(examples=[50200])
    cost: Amount
    balance: Amount
    milliseconds: int = Field(examples=[12])


class Recognition(BaseModel):
    kind: str = Field(examples=["text"])
    answer: dict[str, object] = Field(
        description="what was read; its fields depend on the kind",
        examples=[{"text": "7364", "confidence": 0.98}],
    )
    receipt: Receipt
    trace_id: str = Field(examples=["2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"])


class Balance(BaseModel):
    balance: Amount
    currency: Literal["CNY"] = "CNY"


class Type(BaseModel):
    id: int = Field(examples=[50200])
    kind: str = Field(examples=["text"])
    name: str = Field(examples=["general letters and digits"])
    name_zh: str = Field(examples=["通用数英"])
    price: Amount
    is_available: bool = Field(description="whether its recognizer is installed")


class Types(BaseModel):
    types: list[Type]


class Call(BaseModel):
    log_id: str = Field(examples=["LOG20261121000042"])
    trace_id: str = Field(examples=["2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"])
    created_at: str = Field(description="ISO 8601, UTC", examples=["2026-11-21T03:04:05.678Z"])
    key_id: int
    dialect: str = Field(examples=["acedata"])
    kind: str | None = Field(examples=["text"])
    type: int | None = Field(examples=[50200])
    outcome: str = Field(description='"answered", or the code of the refusal', examples=["answered"])
    status: int = Field(description="HTTP status of the reply", examples=[200])
    result: str | None = Field(description="what was read, or the sentence of the refusal", examples=["7364"])
    confidence: float | None
    cost: Amount
    balance: Amount
    milliseconds: int
    address: str | None


class Calls(BaseModel):
    calls: list[Call]
    next_cursor: str | None = Field(
        description="send it as `cursor` for the page after this one; null on the last"
    )


class Problem(BaseModel):
    """RFC 9457."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Payment Required"])
    status: int = Field(examples=[402])
    detail: str = Field(examples=["the balance is under the price: balance 0 yuan, price 0.001 yuan; top up"])
    code: str = Field(
        description="the same word as `outcome` in the call log", examples=["insufficient_credit"]
    )
    trace_id: str
    log_id: str | None = None
