"""Ace Data Cloud's JSON, field for field. A description says what is allowed:
it ends up in the reference and in refusals."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from legible.dialects.fields import IMAGE_EXAMPLE, LeftOut, Switch, TextFields, Threshold, Top


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Image = Annotated[
    str, Field(description="a PNG, JPEG, GIF, BMP or WebP picture in base64", examples=[IMAGE_EXAMPLE])
]
Async = Annotated[
    Switch | None,
    LeftOut,
    Field(
        alias="async",
        description="true or false: true answers at once with a task_id to poll at /captcha/tasks",
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Recognition(_Body):
    """What the three recognitions have in common."""

    confidence: Threshold = None
    async_: Async = None

    @property
    def top_left(self) -> bool:
        """Whether `box` is counted from the top left, against the vendor's documents."""
        return False


class Image2TextRequest(Recognition, TextFields):
    image: Image


class Recaptcha2Request(Recognition):
    image: Annotated[
        str,
        Field(
            description="a picture of 100x100, 300x300 or 450x450 pixels in base64", examples=[IMAGE_EXAMPLE]
        ),
    ]
    question: str = Field(
        max_length=500,
        description="an id such as /m/01pns0, or its English or Chinese name, alone or in a sentence",
        examples=["/m/01pns0"],
    )
    confidence: Threshold = None
    top: Top = None
    async_: Async = None


class HcaptchaRequest(Recognition):
    queries: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        min_length=1,
        description="one picture in base64, or a list of them, as many as max_queries allows (16)",
        examples=[[IMAGE_EXAMPLE]],
    )
    question: str = Field(
        min_length=1,
        max_length=500,
        description="what is asked of the picture, in English or Chinese",
        examples=["Please click on the UNIQUE object among the others."],
    )
    anchors: Annotated[list[str] | None, LeftOut] = Field(
        None, description="example pictures in base64, for questions that speak of a sample"
    )
    origin: Annotated[Literal["bottom-left", "top-left"] | None, LeftOut] = Field(
        None,
        description="bottom-left (as the vendor documents it) or top-left: where box is counted from",
    )

    @property
    def top_left(self) -> bool:
        return self.origin == "top-left"


class TaskRequest(_Body):
    task_id: str | None = Field(
        None, max_length=100, description="the task_id that the call with async answered"
    )
    id: str | None = Field(None, max_length=100, description="another name of task_id")


class _Reply(BaseModel):
    success: bool = Field(examples=[True])
    trace_id: str = Field(examples=["2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"])
    started_at: str = Field(description="ISO 8601, UTC", examples=["2026-11-21T03:04:05.678Z"])
    finished_at: str = Field(description="ISO 8601, UTC", examples=["2026-11-21T03:04:05.690Z"])
    elapsed: float = Field(description="seconds", examples=[0.012])


class Image2TextReply(_Reply):
    text: str = Field(description="English letters and digits, case kept", examples=["7364"])


class GridSolution(BaseModel):
    size: int = Field(description="side of the picture in pixels", examples=[300])
    label: str = Field(examples=["/m/01pns0"])
    confidences: list[float] = Field(
        description="a probability a tile, from 0, left to right, top to bottom",
        examples=[[0, 0.0007, 1, 0.0003, 0.0046, 1, 0, 1, 0]],
    )
    objects: list[int] = Field(description="the tiles to click", examples=[[2, 5, 7]])
    type: Literal["multi", "single"] = Field(examples=["multi"])
    hasObject: bool | None = Field(None, description="only for 100x100: whether the tile shows the label")  # noqa: N815


class Recaptcha2Reply(_Reply):
    solution: GridSolution


class Point(BaseModel):
    x: int = Field(examples=[360])
    y: int = Field(examples=[154])


class ClickSolution(BaseModel):
    label: str = Field(examples=["Please click on the UNIQUE object among the others."])
    box: list[str] | None = Field(
        None, description="x and y of the point to click, from `origin`", examples=[["360", "276"]]
    )
    confidences: float | list[float] = Field(examples=[0.6354503631591797])
    origin: Literal["bottom-left", "top-left"] | None = Field(None, examples=["bottom-left"])
    point: Point | None = Field(None, description="the same point from the top left")
    points: list[Point] | None = Field(None, description="every point, where several are to be clicked")
    objects: list[bool] | None = Field(None, description="with several pictures: which of them fit")


class HcaptchaReply(_Reply):
    solution: ClickSolution


class TaskCreated(BaseModel):
    success: bool = Field(examples=[True])
    task_id: str = Field(examples=["0d7a4b0e-6a8c-4d53-9d5e-6b1f0f3c9a11"])
    trace_id: str = Field(examples=["2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"])


class TaskReply(BaseModel):
    """When it is ready, the fields of the synchronous reply stand beside these,
    the error too if there is one."""

    success: bool = Field(examples=[True])
    task_id: str = Field(examples=["0d7a4b0e-6a8c-4d53-9d5e-6b1f0f3c9a11"])
    status: Literal["processing", "ready"] = Field(examples=["ready"])
    text: str | None = Field(None, examples=["7364"])


class ErrorDetail(BaseModel):
    code: str = Field(examples=["api_error"])
    message: str = Field(examples=["fetch failed"])


class ErrorReply(BaseModel):
    success: Literal[False] = False
    error: ErrorDetail
    trace_id: str = Field(examples=["2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"])
