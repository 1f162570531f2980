"""captchaapi.com's JSON, field for field. A description says what is allowed:
it ends up in the reference and in refusals."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from legible.dialects.fields import IMAGE_EXAMPLE, TextFields, Threshold, Whole


class CaptchaRequest(TextFields):
    model_config = ConfigDict(strict=True, frozen=True)

    api_key: str | None = Field(None, description="the key, unless the header X-API-Key has it")
    image: str = Field(
        description="a PNG, JPEG, GIF, BMP or WebP picture in base64", examples=[IMAGE_EXAMPLE]
    )
    type: Whole = Field(
        ge=0,
        lt=2**31,
        description="a type id of the price list, a whole number such as 50200",
        examples=[50200],
    )
    piece: str | None = Field(
        None,
        description="only for sliders: the picture of the piece in base64 (also accepted as slide_image)",
    )
    slide_image: str | None = Field(None, description="another name of piece")
    confidence: Threshold = None


class Character(BaseModel):
    text: str
    confidence: float


class Candidate(BaseModel):
    x: int
    confidence: float


class Answered(BaseModel):
    result: str = Field(examples=["8"])
    log_id: str = Field(examples=["LOG20241101000001"])
    cost: Decimal = Field(description="yuan", examples=[0.05])
    balance: Decimal = Field(description="yuan, after the call", examples=[95.5])
    response_time: int = Field(description="milliseconds", examples=[245])
    group_name: str = Field(examples=["图像识别"])
    confidence: float | None = None
    characters: list[Character] | None = Field(None, description="only for text: each with its confidence")
    expression: str | None = Field(None, description="only for arithmetic", examples=["3+5"])
    box: list[int] | None = Field(None, description="only for sliders: x, y, width and height of the gap")
    piece_x: int | None = Field(
        None, description="only for sliders: left edge of the visible piece in its own picture"
    )
    distance: int | None = Field(None, description="only for sliders: gap x - piece x")
    candidates: list[Candidate] | None = Field(None, description="only for sliders: ranked")


class Success(BaseModel):
    code: int = Field(examples=[200])
    msg: str = Field(examples=["识别成功"])
    data: Answered
    timestamp: int = Field(examples=[1699999999])


class Refused(BaseModel):
    log_id: str | None = Field(None, examples=["LOG20241101000002"])
    trace_id: str | None = Field(
        None,
        description="of a fault of the server, where there is no log_id",
        examples=["2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"],
    )
    cost: Decimal | None = Field(None, examples=[0])
    balance: Decimal | None = Field(None, examples=[95.5])
    response_time: int | None = Field(None, examples=[523])
    detail: str | None = Field(
        None, description="what happened and what to do; absent when a recognition failed"
    )


class Failure(BaseModel):
    code: int = Field(examples=[400])
    msg: str = Field(examples=["识别失败"])
    data: Refused
    timestamp: int = Field(examples=[1699999999])
