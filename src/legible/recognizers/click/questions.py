"""From the wording of a question, in English or Chinese, to what it asks: a rule, a target, and how many."""

import html
import re
import unicodedata
from dataclasses import dataclass

from legible.recognizers.click.attributes import Attribute, attribute_of
from legible.recognizers.click.nouns import noun_of
from legible.recognizers.click.wordings import COUNTS, MEASURES, OTHERS, POINT, TABLE, TILES, Rule

# Small letters of other scripts that look like Latin ones: published prompts hide them in words to defeat
# look-ups.
TWINS = str.maketrans(
    "авеіјкмнорстухѕһԁԛԝӏѵɡɑıαβεηικνορτυχϲϳ",
    "abeijkmhopctyxshdqwlvgaiabeniknoptuxcj",
)
# The traditional forms of the Chinese characters that our wordings and nouns are written with.
TRADITIONAL = str.maketrans(
    "識別範於錶佈麪眾牀綫鷄與專東絲兩個為烏樂書買產從倉儀們價會傘體備夠頭夾獎屬帳帶並異張懶戲護擇掛擋數斷無時顯機條來檸樹樣橋樓櫚橫"
    "櫻沒漢灘燈靈爐點煉燭煙煩熱獅獨豬貓蝟獺環現畫電盞盤確禮種筆築籃類紅紙線織綿綠縮網脈腦腳藝蘋蘿薩蟲蝦蟻螞蠟"
    "蠍襯裝裡裏規視計記設話該請謝貨購貴輪輕轎輛邊過運還這遠連適選郵鬱鐘鍾鋼鑰鈴鉛鐺鏈鎖錨錘鍵鍛鏡長門鬧陽階雛"
    "頂項頸顆顏風飛飲餅馬驢駝駱髏魚鯊鯨鰓鱷鳥雞鴉鴨鵝鵡鸚鷹龍龜場塊圓園圖複復雙發號隻臺單臥廳參製則創動寫準擊"
    "寶實對壽壺標狀蝸車軟氣溫潛幾辦囪蔔麵",
    "识别范于表布面众床线鸡与专东丝两个为乌乐书买产从仓仪们价会伞体备够头夹奖属帐带并异张懒戏护择挂挡数断无时显机条来柠树样桥楼榈横"
    "樱没汉滩灯灵炉点炼烛烟烦热狮独猪猫猬獭环现画电盏盘确礼种笔筑篮类红纸线织绵绿缩网脉脑脚艺苹萝萨虫虾蚁蚂蜡"
    "蝎衬装里里规视计记设话该请谢货购贵轮轻轿辆边过运还这远连适选邮郁钟钟钢钥铃铅铛链锁锚锤键锻镜长门闹阳阶雏"
    "顶项颈颗颜风飞饮饼马驴驼骆髅鱼鲨鲸鳃鳄鸟鸡鸦鸭鹅鹉鹦鹰龙龟场块圆园图复复双发号只台单卧厅参制则创动写准击"
    "宝实对寿壶标状蜗车软气温潜几办囱卜面",
)
LONGEST = 300
_TAG = re.compile(r"</?(?:b|i|u|em|strong|span|p|div|br|font|a|small|mark)\b[^<>]{0,200}>", re.IGNORECASE)
_ENTITY = re.compile(r"&#?\w{1,8};")
# What to do when nothing is there, or all is done.
_TAIL = re.compile(
    r"\s(?:if there (?:are|is) (?:none|no \w+)(?: left)?,? (?:click|press|tap|select)(?: on)?(?: the)? skip"
    r"|(?:click|press|tap)(?: on)?(?: the)? (?:verify|skip|submit) (?:once|when|if) "
    r"there (?:are|is) none(?: left)?)(?: button)?$"
    r"|(?:如果|若|如)(?:图中|其中)?(?:都?没有|不存在)(?:的话|了)?则?请?(?:点击|按|选择)?(?:跳过|验证)(?:按钮)?$"
)
_POLITE = re.compile(r"^(?:p?lease|kindly|now|first|then|请您?|麻烦)\s*")
_POLITE_AFTER = re.compile(r"\s*(?:please|thanks|thank you|谢谢)$")
_ALL = re.compile(
    r"(?:click|tap|find|select|choose|pick|locate|mark|identify|touch|press)\s(?:(?:in|on)\s)?all\b"
)
_HOW_MANY = re.compile("[几多]")
_SEVERAL = re.compile(
    r"\b(?:all|each|every|any|objects|items|things|entities|ones|animals|creatures|foods|fruits|vegetables"
    r"|vehicles|insects|mammals|instruments|drinks|beverages|birds)\b|[所全每]"
)
_ONE = re.compile(rf"^(?:点击|选择|选出|找出|挑选|单击|点选|找到)[一1] ?[{MEASURES}]")
_CHINESE = "\u4e00-\u9fff"
_CHINESE_GAP = re.compile(rf"(?<=[{_CHINESE}])\s+(?=[{_CHINESE}])")
_ARTICLE = re.compile(
    rf"^[一两二三四几这那1-4] ?[{MEASURES}]|^(?:一(?!样)|任何)"
    r"|^(?:(?:an?|the|some|any|both|two|three|four|[2-4])\s+)+"
)


@dataclass(frozen=True, slots=True)
class Question:
    """`target`: the thing it names, as our noun or in its own words; `count`: how many it says (None: it
    does not); `attribute`: what it says of things that it does not name; `every`: of all that are like that,
    however many."""

    rule: Rule
    target: str | None = None
    count: int | None = None
    attribute: Attribute | None = None
    every: bool = False


def fold(text: str) -> str:
    """Small letters without accents, look-alikes, invisible characters, HTML, punctuation and politeness, in
    simplified Chinese."""
    plain = _ENTITY.sub(lambda entity: html.unescape(entity[0]), _TAG.sub(" ", text[: 2 * LONGEST]))
    # One character may become three. What is as long as that names nothing, and takes its time.
    plain = unicodedata.normalize("NFKD", plain).casefold()[: 2 * LONGEST]
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Cf"))
    plain = plain.translate(TWINS).translate(TRADITIONAL)
    plain = re.sub(r"[’‘`´ʼ]", "'", plain)
    plain = re.sub(r"[^\w']|_", " ", plain)
    plain = _CHINESE_GAP.sub("", " ".join(plain.split()))
    while (polite := _POLITE.match(plain)) and polite.end():
        plain = plain[polite.end() :]
    return _POLITE_AFTER.sub("", _TAIL.sub("", plain))[:LONGEST]


def parse(text: str) -> Question | None:
    """What the question asks; None for a wording that we do not know."""
    folded = fold(text)
    if attribute := attribute_of(folded):
        count = 1 if _ONE.match(folded) else _count(folded)
        every = count is None and bool(_SEVERAL.search(folded))
        return Question(Rule.ATTRIBUTE, count=count, attribute=attribute, every=every)
    for rule, pattern in TABLE:
        if pattern.search(folded):
            return Question(rule, None, _count(OTHERS.sub(" ", folded) if rule is Rule.ODD else folded))
    count = _count(folded)
    for patterns, rule in ((TILES, Rule.NAMED_TILES), (POINT, Rule.NAMED_POINT)):
        for pattern in patterns:
            found = pattern.match(folded)
            is_all = found and (_ALL.match(folded) or found.groupdict().get("all"))
            if found and rule is Rule.NAMED_POINT and count is None and is_all:
                return Question(Rule.DESCRIBED, found["thing"])  # how many they are is not known
            if found:
                return _thing(rule, found["thing"], count)
    noun = None if _HOW_MANY.match(folded) else noun_of(_ARTICLE.sub("", folded))
    return Question(Rule.NAMED_POINT, noun, count) if noun else None


def _count(folded: str) -> int | None:
    return next((number for number, pattern in COUNTS if pattern.search(folded)), None)


def _thing(rule: Rule, words: str, count: int | None) -> Question:
    """A thing that is only named keeps the rule; one that is described as well is refused as such."""
    bare = _ARTICLE.sub("", words.strip()).strip()
    noun = noun_of(bare)
    if rule is Rule.NAMED_TILES and count is not None:
        return Question(Rule.DESCRIBED, words.strip(), count)  # how many there are is not looked at
    if noun is not None:
        return Question(rule, noun, count)
    return Question(rule if _is_plain(bare) else Rule.DESCRIBED, bare, count)


def _is_plain(words: str) -> bool:
    """A name of one or two words, or of up to five Chinese characters: not known, but no description
    either."""
    if re.search(f"[{_CHINESE}]", words):
        return len(words) <= 5 and "的" not in words
    return 1 <= len(words.split()) <= 2
