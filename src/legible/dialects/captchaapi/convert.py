"""captchaapi.com's words to ours and back: pure functions, and one table from refusal to code and
sentence."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from legible.dialects.captchaapi.schemas import CaptchaRequest
from legible.dialects.edge import row_of
from legible.dialects.inputs import image_bytes, text_options
from legible.errors import (
    BadRequest,
    BodyTooLarge,
    IdempotencyConflict,
    InDoubt,
    InsufficientCredit,
    InvalidField,
    NotAllowed,
    NotAvailable,
    NotFound,
    RateLimited,
    RecognitionFailed,
    Refusal,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from legible.money import yuan
from legible.tasks import (
    Answer,
    ArithmeticAnswer,
    ArithmeticOptions,
    ImageLimits,
    Kind,
    SliderAnswer,
    SliderOptions,
    Task,
    TextAnswer,
)


class Row(NamedTuple):
    """What their clients get for a refusal."""

    code: int
    msg: str


REFUSALS: Mapping[type[Refusal], Row] = {
    BadRequest: Row(400, "参数错误"),
    BodyTooLarge: Row(413, "参数错误"),
    NotFound: Row(404, "参数错误"),
    NotAllowed: Row(401, "认证失败"),
    Unauthenticated: Row(401, "认证失败"),
    RecognitionFailed: Row(400, "识别失败"),
    InsufficientCredit: Row(402, "余额不足"),
    RateLimited: Row(429, "请求过于频繁"),
    Refusal: Row(500, "服务器错误"),
}
KINDS = (Kind.TEXT, Kind.ARITHMETIC, Kind.SLIDER)  # what this API has a reply for
FOUR_PLACES = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call cost and left, in micros (1e-6 yuan), how long it took in milliseconds,
    and when it ended (Unix seconds)."""

    log_id: str
    cost: int
    balance: int
    response_ms: int
    timestamp: int

    def fields(self) -> dict[str, object]:
        return {
            "log_id": self.log_id,
            "cost": amount(self.cost),
            "balance": amount(self.balance),
            "response_time": self.response_ms,
        }


def amount(micros: int) -> Decimal:
    """Yuan with at most 4 decimals, cut off rather than rounded up,
    so that nobody is shown credit that is not there."""
    exact = Decimal(micros).scaleb(-6).quantize(FOUR_PLACES, ROUND_FLOOR)
    return Decimal(f"{exact:f}".rstrip("0").rstrip("."))


def task_of(body: CaptchaRequest, kind: Kind, limits: ImageLimits) -> Task:
    images = (image_bytes(body.image, limits),)
    match kind:
        case Kind.TEXT:
            return Task(kind, images, text_options(body), body.confidence)
        case Kind.ARITHMETIC:
            return Task(kind, images, ArithmeticOptions(), body.confidence)
        case Kind.SLIDER:
            return Task(kind, images, SliderOptions(_piece(body, limits)), body.confidence)
    raise TypeError(f"this dialect has no task for {kind}")


def _piece(body: CaptchaRequest, limits: ImageLimits) -> bytes | None:
    """Under either name; clients in PHP send "" for nothing."""
    if body.piece:
        return image_bytes(body.piece, limits, field="piece")
    return image_bytes(body.slide_image, limits, field="slide_image") if body.slide_image else None


def success(answer: Answer, bill: Bill, group_name: str) -> bytes:
    result, extra = _result(answer)
    data = {"result": result} | bill.fields() | {"group_name": group_name} | extra
    return to_json({"code": 200, "msg": "识别成功", "data": data, "timestamp": bill.timestamp})


def _result(answer: Answer) -> tuple[str, dict[str, object]]:
    match answer:
        case TextAnswer():
            characters = [
                {"text": one.text, "confidence": round(one.confidence, 4)} for one in answer.characters
            ]
            return answer.text, {"confidence": round(answer.confidence, 4), "characters": characters}
        case ArithmeticAnswer():
            return answer.text, {"confidence": round(answer.confidence, 4), "expression": answer.expression}
        case SliderAnswer():
            return str(answer.box[0]), _slider(answer)
    raise TypeError(f"this dialect has no reply for {type(answer).__name__}")


def _slider(answer: SliderAnswer) -> dict[str, object]:
    piece_x = answer.piece_x
    return {
        "box": list(answer.box),
        "confidence": round(answer.confidence, 4),
        "piece_x": piece_x,
        "distance": None if piece_x is None else answer.box[0] - piece_x,
        "candidates": [{"x": one.x, "confidence": round(one.confidence, 4)} for one in answer.candidates],
    }


def status_of(refusal: Refusal) -> int:
    return row_of(REFUSALS, refusal).code


def failure(refusal: Refusal, bill: Bill | None, timestamp: int, trace_id: str) -> bytes:
    """The body of every error; `bill` is there when the caller is known and the call is in the log."""
    code, msg = row_of(REFUSALS, refusal)
    data: dict[str, object] = {} if bill is None else bill.fields()
    match refusal:
        case RecognitionFailed():
            pass  # their documents list what is in `data` here, so nothing is added
        case Unauthenticated() | NotAllowed():
            data.pop("balance", None)  # whoever may not call is not told
            data["detail"] = chinese(refusal)
        case BadRequest() | InsufficientCredit() | NotFound():
            msg = f"{msg}: {chinese(refusal)}"
        case _:
            data["detail"] = chinese(refusal)
            if bill is None:
                data["trace_id"] = trace_id  # what finds it in the server's log
    return to_json({"code": code, "msg": msg, "data": data, "timestamp": timestamp})


UNAUTHENTICATED = {
    "missing": "请求中没有 API 密钥; 请在请求头 X-API-Key 或请求体 api_key 中提供",
    "unknown": "API 密钥不存在; 请检查密钥是否完整",
    "revoked": "API 密钥已被撤销; 请新建一个密钥",
    "expired": "API 密钥已过期; 请新建一个密钥",
    "disabled": "API 密钥已停用; 请启用它或换一个密钥",
    "account_disabled": "账户已停用; 请联系管理员",
    "address": "此密钥不允许从该 IP 地址调用; 请修改密钥的地址白名单",
    "conflicting": "请求头 X-API-Key 与请求体 api_key 不一致; 请只提供一个",
}


def chinese(refusal: Refusal) -> str:
    """What happened and what to do, in Chinese."""
    match refusal:
        case InvalidField():
            return f"{refusal.field}: 收到 {_translate(refusal.got)}; 应为 {_translate(refusal.allowed)}"
        case BodyTooLarge():
            return f"body: 请求体过大; 应不超过 {refusal.limit} 字节"
        case IdempotencyConflict():
            return "Idempotency-Key: 24 小时内已用于另一个请求体; 应换一个新值, 或重发相同的请求体"
        case InsufficientCredit():
            advice = "请提高密钥的消费上限" if refusal.spend_cap else "请充值后再试"
            return f"余额 {yuan(refusal.balance)} 元, 本次价格 {yuan(refusal.price)} 元; {advice}"
        case Unauthenticated():
            return UNAUTHENTICATED[refusal.reason]
        case NotAvailable():
            return "type: 该类型的识别尚未提供; 请换用其他类型 (not available yet)"
        case NotAllowed():
            return "此密钥无权调用该类型; 请在密钥设置中允许它, 或换一个密钥"
        case NotFound():
            return "没有这个地址; 请使用 POST /api/v1/captcha.php"
        case RateLimited():
            return (
                f"每秒最多 {refusal.limit} 次; 请在 {refusal.retry_after:.1f} 秒后再试, 或联系管理员提高限额"
            )
        case TimedOut():
            return f"识别超过 {refusal.seconds:g} 秒, 未扣费; 请稍后再试"
        case InDoubt():
            return (
                "写入本次调用时数据库中断, 暂时无法确认是否已扣费; "
                "请用相同的 Idempotency-Key 重发 (不会重复扣费), 或稍后在调用记录中查询"
            )
        case Unavailable():
            return "服务暂时不可用, 未扣费; 请稍后再试"
        case BadRequest():
            return refusal.message
    return "服务器内部错误, 未扣费; 请稍后再试, 并附上 log_id 或 trace_id 联系管理员"


# The sentences of images.py, edge.py and schemas.py, in the order in which they are tried.
PHRASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(english), chinese_text)
    for english, chinese_text in (
        (r"^nothing$", "空"),
        (r"^null$", "null"),
        (r"^no bytes$", "0 字节"),
        (r"^more than (\d+) pixels$", r"超过 \1 像素"),
        (r"^more than (\d+) scans$", r"超过 \1 次扫描"),
        (r"^at most (\d+) scans$", r"最多 \1 次扫描"),
        (r"^more than (\d+) parts$", r"超过 \1 个数据段"),
        (r"^at most (\d+) parts$", r"最多 \1 个数据段"),
        (r"^(\d+) packed parts$", r"\1 个压缩数据段"),
        (r"^at most (\d+) packed parts$", r"最多 \1 个压缩数据段"),
        (r"^(\d+) bytes of Exif$", r"\1 字节 Exif 数据"),
        (r"^at most (\d+) bytes of Exif$", r"最多 \1 字节 Exif 数据"),
        (r"^a URL, which is not fetched$", "网址 (本服务不下载图片)"),
        (
            r"^(a complete|a) PNG, JPEG, GIF, BMP or WebP picture( in base64)?$",
            "完整的 PNG、JPEG、GIF、BMP 或 WebP 图片 (base64)",
        ),
        (r"^(about )?(\d+) bytes that are no whole picture$", r"\2 字节, 不是完整的图片"),
        (r"^about (\d+) bytes$", r"约 \1 字节"),
        (r"^(\d+) bytes$", r"\1 字节"),
        (r"^at most (\d+) bytes$", r"不超过 \1 字节"),
        (r"^(\d+x\d+) pixels$", r"\1 像素"),
        (
            r"^sides of (\d+) to (\d+) pixels and at most (\d+) pixels in all$",
            r"边长 \1 至 \2 像素, 总共不超过 \3 像素",
        ),
        (
            r"^a picture that is partly transparent, like a piece without its background$",
            "部分透明的图片, 像是没有背景的滑块小图",
        ),
        (
            r"^the background with the gap; the piece is a picture of its own$",
            "带缺口的背景图; 单独的滑块小图请放在 piece 中",
        ),
        (r"^a picture of (\d+x\d+) pixels$", r"\1 像素的图片"),
        (r"^a background with sides of at least (\d+) pixels$", r"边长不小于 \1 像素的背景图"),
        (r"^a picture in which nothing can be seen$", "看不到任何内容的图片"),
        (r"^the picture of the piece$", "滑块小图"),
        (r"^a piece of (\d+x\d+) pixels$", r"\1 像素的滑块小图"),
        (r"^a piece with sides of at least (\d+) pixels$", r"边长不小于 \1 像素的滑块小图"),
        (
            r"^a piece of (\d+x\d+) pixels for a background of (\d+x\d+)$",
            r"\1 像素的滑块小图, 而背景图为 \2 像素",
        ),
        (
            r"^a piece at most as high and half as wide as the background$",
            "高度不超过背景图、宽度不超过其一半的滑块小图; 背景图请放在 image 中",
        ),
        (r"^the same picture as the background$", "与 image 相同的图片"),
        (
            r"^the picture of the piece, or the photo without its gap$",
            "滑块小图, 或没有缺口的完整原图",
        ),
        (r"^the picture's bytes in base64$", "图片内容的 base64 编码"),
        (
            r"^text that is not base64 \(character (\d+) of it is (.*)\)$",
            r"不是 base64 的文本 (第 \1 个字符是 \2)",
        ),
        (r"^base64 cut short \((\d+) characters\)$", r"不完整的 base64 (\1 个字符)"),
        (r"^text that is not JSON(?: \(at line (\d+) column (\d+)\))?$", "不是 JSON 的文本"),
        (r"^one JSON object in UTF-8$", "一个 UTF-8 编码的 JSON 对象"),
        (r"^application/json, with a JSON object as the body$", "application/json, 请求体为 JSON 对象"),
        (r"^a body that is not compressed$", "未压缩的请求体"),
        (r"^(['\"].*['\"]) and (\d+) more characters$", r"\1 (后面还有 \2 个字符)"),
        (
            r"^(['\"].*['\"]) and (\d+) more characters with the character (.*)$",
            r"\1 (后面还有 \2 个字符), 其中有字符 \3",
        ),
        (r"^a list of (\d+)$", r"\1 个元素的列表"),
        (r"^an object$", "对象"),
        (r"^a very large number$", "过大的数字"),
        (
            r"^a type id of the price list, a whole number such as 50200$",
            "价目表中的类型 ID, 整数, 例如 50200",
        ),
        (r"^the key, unless the header X-API-Key has it$", "API 密钥 (文本), 也可放在请求头 X-API-Key 中"),
        (r"^another name of piece$", "与 piece 相同: 滑块小图的 base64 编码"),
        (r"^only for sliders: the picture of the piece in base64 .*$", "滑块小图的 base64 编码, 仅用于滑块"),
        (
            r"^digits, letters, lower, upper, alphanumeric, or the letters and digits themselves$",
            "digits、letters、lower、upper、alphanumeric, 或直接列出字母和数字",
        ),
        (r"^(.*) with the character (.*)$", r"\1, 其中有字符 \2"),
        (r"^a whole number from (\d+) to (\d+): .*$", r"\1 至 \2 的整数"),
        (r"^a number from 0 to 1: .*$", "0 至 1 的数字"),
        (r"^at most max_length, which is (\d+)$", r"不超过 max_length (\1)"),
        (r"^keep, lower or upper$", "keep、lower 或 upper"),
        (r"^1 to 255 printable ASCII characters without spaces$", "1 至 255 个不含空格的可打印 ASCII 字符"),
        (r"^POST$", "POST"),
    )
)


def _translate(phrase: str) -> str:
    for english, chinese_text in PHRASES:
        match = english.match(phrase)
        if match:
            return match.expand(chinese_text)
    return phrase


def to_json(value: object) -> bytes:
    return _write(value).encode()


def _write(value: object) -> str:
    """As json.dumps, but a Decimal is written digit by digit: an amount never passes through a float."""
    match value:
        case Decimal():
            return f"{value:f}"
        case Mapping():
            return "{" + ",".join(f"{json.dumps(name)}:{_write(one)}" for name, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
