"""The things that a grid may be asked for: their ids, and the English and Chinese names they are known by."""

import re

# id: the name shown, then every other name. Longer names win over shorter ones inside them ("school bus"
# over "bus").
LABELS: dict[str, tuple[str, ...]] = {
    "/m/0pg52": ("taxis", "taxi", "出租车", "计程车", "的士", "計程車", "出租車"),
    "/m/01bjv": ("bus", "buses", "巴士", "公交车", "公共汽车", "公車", "公交車"),
    "/m/02yvhj": ("school bus", "school buses", "校车", "校車", "校巴"),
    "/m/04_sv": (
        "motorcycles",
        "motorcycle",
        "motorbikes",
        "motorbike",
        "motor bikes",
        "motor bike",
        "motor cycles",
        "motor cycle",
        "摩托车",
        "摩托車",
        "機車",
        "机车",
        "电单车",
        "電單車",
    ),
    "/m/013xlm": ("tractors", "tractor", "拖拉机", "拖拉機"),
    "/m/01jk_4": ("chimneys", "chimney", "烟囱", "煙囪"),
    "/m/014xcs": (
        "crosswalks",
        "crosswalk",
        "cross walks",
        "cross walk",
        "pedestrian crossings",
        "pedestrian crossing",
        "zebra crossings",
        "zebra crossing",
        "人行横道",
        "斑马线",
        "过街人行道",
        "行人穿越道",
        "斑馬線",
        "行人過路處",
        "行人过路处",
    ),
    "/m/015qff": (
        "traffic lights",
        "traffic light",
        "trafficlights",
        "trafficlight",
        "traffic signals",
        "traffic signal",
        "红绿灯",
        "交通灯",
        "交通信号灯",
        "紅綠燈",
        "交通燈",
    ),
    "/m/0199g": ("bicycles", "bicycle", "bikes", "bike", "自行车", "单车", "自行車", "腳踏車", "單車"),
    "/m/015qbp": (
        "parking meters",
        "parking meter",
        "停车计价表",
        "停车计时器",
        "停车咪表",
        "停車計時器",
        "停車收費錶",
    ),
    "/m/0k4j": ("cars", "car", "汽车", "小轿车", "轿车", "汽車", "轎車"),
    "/m/015kr": ("bridges", "bridge", "桥", "桥梁", "橋", "橋樑"),
    "/m/019jd": ("boats", "boat", "船", "船只", "船隻"),
    "/m/0cdl1": ("palm trees", "palm tree", "棕榈树", "棕櫚樹"),
    "/m/09d_r": (
        "mountains or hills",
        "mountains",
        "mountain",
        "hills",
        "hill",
        "山",
        "山峰",
        "山峰或山",
        "山或丘陵",
        "山脉",
        "山丘",
        "山脈",
    ),
    "/m/01pns0": (
        "fire hydrant",
        "fire hydrants",
        "firehydrant",
        "firehydrants",
        "hydrant",
        "hydrants",
        "消防栓",
        "消火栓",
    ),
    "/m/01lynh": (
        "stairs",
        "stair",
        "staircase",
        "staircases",
        "stairway",
        "stairways",
        "楼梯",
        "台阶",
        "樓梯",
        "階梯",
        "台階",
    ),
}

# Asked for the first, people choose the second as well: a school bus is a bus, a taxi is a car.
PARTS = {"/m/01bjv": "/m/02yvhj", "/m/0k4j": "/m/0pg52"}

_BY_NAME = {name: label for label, names in LABELS.items() for name in names}
_LONGEST_FIRST = sorted(_BY_NAME, key=len, reverse=True)
_HAN = "[\u4e00-\u9fff]"


def _in_a_sentence(name: str) -> str:
    """English names are whole words. Chinese has no spaces to tell words by, so that a name of one character,
    which many other words end or begin with, counts only where nothing but the sentence is beside it."""
    if name.isascii():
        return rf"(?<![a-z]){name}(?![a-z])"
    return (
        name
        if len(name) > 1
        else rf"(?:(?<=[含有示是击择出擊擇选選带帶的])|(?<!{_HAN})){name}(?:(?=的)|(?!{_HAN}))"
    )


_NAMES = re.compile("|".join(map(_in_a_sentence, _LONGEST_FIRST)))
# Before the name: asked for what does not show it, or for another thing, the tiles that do would be the wrong
# ones.
_NEGATION = re.compile(
    r"(?:\b(?:without|except|excluding|lacking|no|non|not|other than|free of|(?:all|every|any)(?:thing)? but)"
    r"|n't)\b[a-z ]{0,20}$"
    r"|\b(?:dirt|quad|exercise|stationary|pit|trail|moto|motor|motori[sz]ed) $"
    r"|(?:不|没有|沒有|除|无|無|非(?!常))\w{0,4}$"
)
# After it: what is asked for is another thing, or without it.
_EXCEPTED = re.compile(
    r"以外|之外|站|牌|票|司机|洗| (?:stops?|stations?|wash|lanes?|signs?|tickets?|drivers?|parks?|rentals?)\b"
    r"|(?: that| which)? (?:are|is) not\b| that (?:aren't|isn't)\b"
)


def label_of(question: str) -> str | None:
    """The id that a question is about: an id, a name, or a sentence with one name in it;
    None for anything else, and where it asks for what is not there."""
    asked = question.strip()
    if asked in LABELS:
        return asked
    # Programs write names as fire_hydrant and school-bus.
    asked = " ".join(re.split(r"[\s_-]+", asked.lower().replace("\u2019", "'"))).strip()
    matches = list(_NAMES.finditer(asked))
    if len({_BY_NAME[match[0]] for match in matches}) != 1:
        return None
    first = matches[0]
    if _NEGATION.search(asked[: first.start()]) or _EXCEPTED.match(asked, first.end()):
        return None
    return _BY_NAME[first[0]]


def known_labels() -> str:
    """The whole table in one line, for a sentence."""
    return ", ".join(f"{label} ({names[0]})" for label, names in LABELS.items())
