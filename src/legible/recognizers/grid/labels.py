"""The things that a grid may be asked for: their ids, and the English and Chinese names they are known by."""

import re

# id: the name shown, then every other name. Longer names win over shorter ones inside them ("school bus"
# over "bus").
LABELS: dict[str, tuple[str, ...]] = {
    "/m/0pg52": ("taxis", "taxi", "出租车", "计程车", "的士"),
    "/m/01bjv": ("bus", "buses", "巴士", "公交车", "公共汽车"),
    "/m/02yvhj": ("school bus", "school buses", "校车"),
    "/m/04_sv": ("motorcycles", "motorcycle", "motorbikes", "motorbike", "摩托车"),
    "/m/013xlm": ("tractors", "tractor", "拖拉机"),
    "/m/01jk_4": ("chimneys", "chimney", "烟囱"),
    "/m/014xcs": (
        "crosswalks",
        "crosswalk",
        "pedestrian crossings",
        "pedestrian crossing",
        "人行横道",
        "斑马线",
        "过街人行道",
    ),
    "/m/015qff": ("traffic lights", "traffic light", "红绿灯", "交通灯", "交通信号灯"),
    "/m/0199g": ("bicycles", "bicycle", "bikes", "bike", "自行车", "单车"),
    "/m/015qbp": ("parking meters", "parking meter", "停车计价表", "停车计时器", "停车咪表"),
    "/m/0k4j": ("cars", "car", "汽车", "小轿车", "轿车"),
    "/m/015kr": ("bridges", "bridge", "桥", "桥梁"),
    "/m/019jd": ("boats", "boat", "船", "船只"),
    "/m/0cdl1": ("palm trees", "palm tree", "棕榈树"),
    "/m/09d_r": ("mountains or hills", "mountains", "mountain", "hills", "hill", "山", "山脉", "山丘"),
    "/m/01pns0": ("fire hydrant", "fire hydrants", "消防栓", "消火栓"),
    "/m/01lynh": ("stairs", "stair", "楼梯", "台阶"),
}

# Asked for the first, people choose the second as well: a school bus is a bus, a taxi is a car.
PARTS = {"/m/01bjv": "/m/02yvhj", "/m/0k4j": "/m/0pg52"}

_BY_NAME = {name: label for label, names in LABELS.items() for name in names}
_LONGEST_FIRST = sorted(_BY_NAME, key=len, reverse=True)
# English names are whole words; Chinese has no spaces to tell words by.
_NAMES = re.compile(
    "|".join(rf"(?<![a-z]){name}(?![a-z])" if name.isascii() else re.escape(name) for name in _LONGEST_FIRST)
)


def label_of(question: str) -> str | None:
    """The id that a question is about: an id, a name, or a sentence with one name in it;
    None for anything else."""
    asked = " ".join(question.split())
    if asked in LABELS:
        return asked
    found = {_BY_NAME[name] for name in _NAMES.findall(asked.lower())}
    return found.pop() if len(found) == 1 else None


def known_labels() -> str:
    """The whole table in one line, for a sentence."""
    return ", ".join(f"{label} ({names[0]})" for label, names in LABELS.items())
