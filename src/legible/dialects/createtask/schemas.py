"""The JSON of the createTask family, field for field. A description says what is allowed:
it ends up in the reference and in refusals."""

from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

from legible.dialects.fields import IMAGE_EXAMPLE, LeftOut, NoBoolean, Threshold, Top

PICTURE = "a PNG, JPEG, GIF, BMP or WebP picture in base64"

T = TypeVar("T")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and 0 <= value < 2**63 else value


def _one_word(phrase: bool) -> bool:
    if phrase:
        raise ValueError
    return phrase


class _Body(BaseModel):
    """Lenient: some clients send 0 for false, and numbers as text."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


ClientKey = Annotated[
    Annotated[str, StringConstraints(strip_whitespace=True)] | None,
    Field(description="the key, as text", examples=["lg_..."]),
]
Image = Annotated[str, Field(description=PICTURE, examples=[IMAGE_EXAMPLE])]
Question = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        description="what is asked of the picture, in English or Chinese",
        examples=["Please click on the UNIQUE object among the others."],
    ),
]
GridQuestion = Annotated[
    str,
    Field(
        max_length=500,
        description="an id such as /m/01pns0, or its English or Chinese name, alone or in a sentence",
        examples=["/m/01pns0"],
    ),
]
Side = Annotated[
    Annotated[int, Field(ge=1, le=4)] | None,
    LeftOut,
    Field(description="a whole number that the picture has, or nothing"),
]


class Named(_Body):
    """A task of any type, of which only the type is read."""

    type: str = Field(description="the type of a task, such as ImageToTextTask")


class _Task(_Body):
    confidence: Threshold = None


class ImageToTextTask(_Task):
    # The other two are YesCaptcha's names for the same picture at other prices.
    type: Literal["ImageToTextTask", "ImageToTextTaskMuggle", "ImageToTextTaskM1"]
    body: Image
    math: Annotated[bool | None, LeftOut] = Field(
        None, description="true or false: true reads a sum and answers its value"
    )
    numeric: Annotated[Annotated[int, Field(ge=0, le=4), NoBoolean] | None, LeftOut] = Field(
        None, description="1: only digits, 2: only letters; 0, 3 and 4 may be both"
    )
    min_length: Annotated[Annotated[int, Field(ge=0, le=32), NoBoolean] | None, LeftOut] = Field(
        None, description="a whole number from 0 to 32; 0 says that it is not known"
    )
    # Clients send the most that their vendor takes, which is more than is read here.
    max_length: Annotated[Annotated[int, Field(ge=0), NoBoolean] | None, LeftOut] = Field(
        None, description="a whole number from 0; 0 says that it is not known, and over 32 is taken as 32"
    )
    phrase: Annotated[Annotated[bool, AfterValidator(_one_word)] | None, LeftOut] = Field(
        None, description="false: one word is read, and no spaces between words"
    )
    case: Annotated[bool | None, LeftOut] = Field(
        None, description="true or false: the case is kept, whichever it is"
    )
    score: Threshold = None
    recognizing_threshold: Annotated[Annotated[int, Field(ge=0, le=100), NoBoolean] | None, LeftOut] = Field(
        None, description="a whole number from 0 to 100: confidence in percent"
    )


class ReCaptchaV2Classification(_Task):
    type: Literal["ReCaptchaV2Classification"]
    image: Annotated[
        str,
        Field(
            description="a picture of 100x100, 300x300 or 450x450 pixels in base64", examples=[IMAGE_EXAMPLE]
        ),
    ]
    question: GridQuestion
    top: Top = None


class HCaptchaClassification(_Task):
    type: Literal["HCaptchaClassification"]
    queries: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        min_length=1,
        description="one picture in base64, or a list of them, as many as max_queries allows (16)",
        examples=[[IMAGE_EXAMPLE]],
    )
    question: Question
    anchors: Annotated[list[str] | None, LeftOut] = Field(
        None, description="example pictures in base64, for questions that speak of a sample"
    )


class CoordinatesTask(_Task):
    type: Literal["CoordinatesTask"]
    body: Image
    comment: Question
    img_instructions: str | None = Field(
        None, description="an example picture in base64 that the comment refers to"
    )


class ImageToCoordinatesTask(_Task):
    type: Literal["ImageToCoordinatesTask"]
    body: Image
    comment: Question
    mode: Literal["points"] | None = Field(None, description="points, the only one that is answered here")


class GridTask(_Task):
    type: Literal["GridTask"]
    body: Annotated[
        str,
        Field(
            description="a picture of 100x100, 300x300 or 450x450 pixels in base64", examples=[IMAGE_EXAMPLE]
        ),
    ]
    comment: GridQuestion
    rows: Side = None
    columns: Side = None


class ComplexMetadata(BaseModel):
    """What is asked of the tiles: a name or a sentence, an id, or both."""

    model_config = ConfigDict(frozen=True)

    grid: Literal["1x1", "3x3", "4x4"] | None = Field(
        None, alias="Grid", description="1x1, 3x3 or 4x4, which the picture has, or nothing"
    )
    task: GridQuestion | None = Field(None, alias="Task", examples=["Click on traffic lights"])
    task_definition: GridQuestion | None = Field(None, alias="TaskDefinition", examples=["/m/015qff"])


class ComplexImageTask(_Task):
    type: Literal["ComplexImageTask"]
    of_class: Literal["recaptcha"] = Field(
        alias="class", description="recaptcha, the only one that is read here"
    )
    images_base64: list[str] = Field(
        min_length=1, max_length=1, description="a list of one picture in base64", examples=[[IMAGE_EXAMPLE]]
    )
    metadata: ComplexMetadata = Field(description="an object with Task or TaskDefinition, and Grid")


class VisionEngine(_Task):
    type: Literal["VisionEngine"]
    module: Literal["slider_1"] = Field("slider_1", description="slider_1, the only one that is read here")
    image: str | None = Field(
        None, description="the picture of the piece in base64; it makes the answer surer"
    )
    image_background: Annotated[
        str, Field(description="the background with the gap in base64", examples=[IMAGE_EXAMPLE])
    ]


AnyTask = (
    ImageToTextTask
    | ReCaptchaV2Classification
    | HCaptchaClassification
    | CoordinatesTask
    | GridTask
    | VisionEngine
    | ImageToCoordinatesTask
    | ComplexImageTask
)


class AnyRequest(_Body, Generic[T]):
    """What every request has; `task` is `Named` until its type is known."""

    client_key: ClientKey = None
    task: T = Field(description="an object with the type of the task and its fields")
    soft_id: Any = Field(
        None,
        validation_alias=AliasChoices("softId", "soft_id"),
        description="whose program it is: a client that sends it polls for the solution",
    )


class CreateTaskRequest(AnyRequest[T]):
    """A request for a task of one type."""

    callback_url: Literal[""] | None = Field(
        None, description="nothing: no URL is called from here; ask /getTaskResult instead"
    )


REQUESTS: Mapping[str, type[CreateTaskRequest[Any]]] = {
    "ImageToTextTask": CreateTaskRequest[ImageToTextTask],
    "ReCaptchaV2Classification": CreateTaskRequest[ReCaptchaV2Classification],
    "HCaptchaClassification": CreateTaskRequest[HCaptchaClassification],
    "CoordinatesTask": CreateTaskRequest[CoordinatesTask],
    "GridTask": CreateTaskRequest[GridTask],
    "VisionEngine": CreateTaskRequest[VisionEngine],
    "ImageToCoordinatesTask": CreateTaskRequest[ImageToCoordinatesTask],
    "ComplexImageTask": CreateTaskRequest[ComplexImageTask],
    "ImageToTextTaskMuggle": CreateTaskRequest[ImageToTextTask],
    "ImageToTextTaskM1": CreateTaskRequest[ImageToTextTask],
}


class TaskResultRequest(_Body):
    client_key: ClientKey = None
    task_id: Annotated[str, BeforeValidator(_as_text)] = Field(
        max_length=100,
        description="the taskId that createTask answered, as a number or as text",
        examples=["4503599627370496"],
    )


class BalanceRequest(_Body):
    client_key: ClientKey = None


class _Reply(_Body):
    error_id: int = Field(description="0 without an error", examples=[0])


class TaskCreated(_Reply):
    """`status` and `solution` are there unless the client is one that polls."""

    task_id: int | str = Field(examples=["4503599627370496"])
    status: Literal["ready"] | None = Field(None, examples=["ready"])
    solution: dict[str, Any] | None = Field(
        None, description="depends on the type of the task", examples=[{"text": "7364"}]
    )
    error_code: str | None = Field(None, examples=[""])
    error_description: str | None = Field(None, examples=[""])


class TaskResult(_Reply):
    status: Literal["processing", "ready"] = Field(examples=["ready"])
    solution: dict[str, Any] | None = Field(None, examples=[{"text": "7364"}])
    cost: str | None = Field(None, description="yuan", examples=["0.001"])
    ip: str | None = Field(None, examples=["203.0.113.7"])
    create_time: int | None = Field(None, description="Unix seconds", examples=[1699999999])
    end_time: int | None = Field(None, description="Unix seconds", examples=[1699999999])
    solve_count: int | None = Field(None, examples=[1])


class Balance(_Reply):
    balance: float = Field(description="yuan", examples=[95.5])


class Reported(_Reply):
    status: Literal["success"] = Field(examples=["success"])


class ErrorReply(_Reply):
    error_code: str = Field(examples=["ERROR_CAPTCHA_UNSOLVABLE"])
    error_description: str = Field(description="what happened and what to do, and the trace id")
