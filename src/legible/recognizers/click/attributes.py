"""Questions that name nothing, but say what a thing is like: it needs sunlight, it costs more than a
television. Which sets of what our network knows they mean, in English and Chinese."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from legible.recognizers.click.nouns import noun_of


@dataclass(frozen=True, slots=True)
class Attribute:
    """`name`: a set of the network's, or a scale (`size`, `price`) with the noun that it is compared to and
    whether less or more of it is asked for. `negated`: what is not so is asked for; `among`: only
    of what is in that set as well."""

    name: str
    negated: bool = False
    than: str | None = None
    more: bool = False
    among: str | None = None


# What follows "that", or stands for the thing itself, by the network's set: in English, in Chinese.
_YOU_CAN, _CAN = "(?:you|people|humans|a person|we|they) can", "(?:can|(?:is|are) able to)"
_MADE = "(?:made|crafted|built|created|produced|manufactured|man made|manmade)"
WORDED: Mapping[str, tuple[str, str]] = {
    "animal": ("(?:is|are) an? animals?|an? animal|animals", "动物"),
    "bird": (
        "has a beak|have beaks|has feathers|have feathers|has wings and feathers",
        "有喙|有(?:鸟)?嘴喙|有羽毛",
    ),
    "fruit": ("(?:is|are) (?:an? )?fruits?|(?:an? )?fruits?", "水果"),
    "vegetable": ("(?:is|are) (?:an? )?vegetables?|(?:an? )?vegetables?", "蔬菜"),
    "vehicle": ("(?:is|are) (?:an? )?vehicles?|(?:an? )?vehicles?", "(?:交通工具|车辆)"),
    "insect": ("(?:is|are) (?:an? )?insects?|(?:an? )?insects?", "昆虫"),
    "mammal": ("(?:is|are) (?:an? )?mammals?|(?:an? )?mammals?", "哺乳动物"),
    "furniture": (
        "(?:is|are) (?:(?:a piece|pieces|items?) of )?furniture|(?:(?:a piece|pieces|items?) of )?furniture",
        "家具",
    ),
    "clothing": (
        "(?:(?:a piece|pieces|items?|articles?|an item) of )?(?:clothing|clothes)",
        "衣服|服装|衣物",
    ),
    "instrument": ("(?:an? )?musical instruments?", "乐器"),
    "edible": (
        rf"{_YOU_CAN} eat|can be (?:eaten|consumed)|(?:is|are) edible|(?:an? )?food(?: items?)?"
        "|edible (?:things?|items?)",
        "(?:可以|可|能|能够)(?:被)?(?:吃|食用)|食物|食品",
    ),
    "food or drink": (
        "(?:an? )?(?:foods? or beverages?|foods? or drinks?)(?: items?)?",
        "食物或饮料|食品或饮料",
    ),
    "drink": (
        rf"{_YOU_CAN} drink|can be drunk|(?:an? )?(?:drinks?|beverages?)",
        "(?:可以|可|能|能够)(?:被)?(?:喝|饮用)|饮料",
    ),
    "needs sunlight": (
        "(?:requires?|needs?) (?:the )?(?:sunlight|sun)(?: (?:in order )?to (?:grow|live|survive))?",
        "需要(?:阳光|太阳光?|日光|光照)(?:才能|来|以)?(?:生长|存活)?",
    ),
    "grows underground": ("grows? (?:under ?ground|in the ground|below the ground)", "(?:生)?长在地下"),
    "man-made": (
        rf"(?:(?:is|are|was|were) )?{_MADE}(?: by (?:humans?|people|man|men|mankind|a person|persons))?",
        "(?:由|是)?人类?(?:手工)?(?:制造|制作|制成|创造|建造|造)(?:出来)?|人造",
    ),
    "for sale": (
        "(?:you )?can (?:buy|be bought|purchase)"
        "(?: (?:in|at|from) (?:the|an?) (?:super)?(?:market|store|shop))?",
        "(?:可以|能)(?:够)?(?:在(?:市场|商店|超市)[里上中]?)?(?:买到|购买)",
    ),
    "sea animal": (
        "(?:belongs? to|lives? in) (?:the )?(?:sea|ocean)",
        "(?:属于|生活在|住在)(?:大海|海洋|海里|海中)",
    ),
    "gills": ("breathes? (?:with|through|using) gills|(?:has|have) gills", "用鳃呼吸|有鳃"),
    "lays eggs": ("lays? eggs", "(?:会|能)?(?:下蛋|产卵|产蛋)"),
    "legs": (
        "(?:has|have) legs|(?:moves?|walks?) (?:with|on|using) (?:its |their )?legs",
        "用腿(?:移动|行走|走路)|有腿",
    ),
    "no legs": ("(?:has|have) no legs|without legs", "没有腿"),
    "runs": (rf"{_CAN} run|runs?", "(?:会|能|能够|可以)(?:奔)?跑步?"),
    "climbs trees": (rf"{_CAN} climb(?: up)? (?:an? )?trees?|climbs? trees?", "(?:会|能|能够|可以)?爬树"),
    "flies": (rf"{_CAN} fly|flies", "(?:会|能|能够|可以)飞(?:行|翔)?"),
    "emits light": (
        "(?:emits?|gives? off|produces?) light|glows?",
        "(?:自身|自己)?(?:能|会|可以)?(?:够)?发光",
    ),
    "melts": (rf"melts?|{_CAN} melt", "(?:放在|放置在)?(?:外面|室外|高温下)?(?:会|能)融化"),
    "cloth": (
        "(?:is |are )?made (?:of|from|out of) (?:cloth|fabric|textiles?)",
        "(?:由|用)(?:布料?|织物|面料)(?:制成|做成|制作)",
    ),
    "zipper": ("(?:has|have|can have|usually has|usually have) (?:an? )?zippers?", "(?:可以|通常)?有拉链"),
    "inflatable": (
        rf"{_YOU_CAN} inflate|can be inflated(?: with air)?|(?:is|are) inflatable",
        "(?:可以|能)?(?:用空气)?充气",
    ),
    "sports gear": (
        "(?:is |are )?used (?:for|in) (?:sports?|exercis(?:e|ing)|games? or sports?)"
        "|(?:an? )?sports? (?:equipment|gear)",
        "(?:可|可以)?用(?:于|来)(?:游戏或|锻炼或)?(?:运动|体育)(?:和健身)?|(?:运动|体育)(?:和健身)?器材",
    ),
    "garden tool": (
        "(?:is |are )?used (?:for|in) gardening|(?:an? )?garden(?:ing)? tools?",
        "用于(?:种植花园|园艺)(?:的工具)?|园艺工具",
    ),
    "swimwear": (
        "(?:you|people|a person) (?:can |normally |usually )?wears? (?:for|while|when) swimming|swimwear",
        "游泳时可以?穿戴?|泳装",
    ),
    "scoop": ("(?:is |are |can be )?used to scoop(?: materials?)?", "(?:可)?用于舀取?(?:材料)?(?:的工具)?"),
    "worn on the head": (
        "(?:is |are )?(?:normally |usually )?worn on (?:the|your|their) heads?"
        "|(?:a person|people|you) (?:normally |usually )?wears? on (?:the|your|their) heads?",
        "(?:通常)?戴在头上",
    ),
    "worn on the feet": (
        "(?:is |are )?(?:normally |usually )?worn on (?:the|your|their) (?:feet|foot)"
        "|(?:a person|people|you) (?:normally |usually )?wears? on (?:the|your|their) (?:feet|foot)",
        "(?:通常)?穿在脚上",
    ),
    "writes": (
        rf"{_YOU_CAN} write with|can be used to write(?: with)?|(?:is |are )?used (?:for|to) writ(?:e|ing)",
        "(?:可以|能)?用[来于]写字?",
    ),
    "office equipment": (
        "(?:an? )?(?:items? of |pieces? of )?office (?:equipment|supplies|supply)",
        "办公(?:用品|设备)",
    ),
    "electric": (
        "(?:needs?|requires?|uses?|runs? on) electricity(?: to (?:use|work|run|operate|function))?",
        "需要(?:用|使用)?电",
    ),
}
# What is asked for by its opposite as well: the first is the network's set.
OPPOSITES = {"for sale": "not for sale"}
_LESS_MORE: tuple[tuple[str, str, str], ...] = (
    ("size", "smaller|littler|tinier", "larger|bigger|greater"),
    ("price", "cheaper|less expensive|less costly", "more expensive|costlier|pricier|more costly|dearer"),
)
_LESS_MORE_ZH = (("size", "小", "大"), ("price", "便宜", "贵"))

_VERBS = (
    r"(?:(?:click|select|choose|pick|mark|tap|touch|press|find|identify|locate|on|all|each|every|of|the|an?|any|both|those"
    r"|two|three|four|[2-4])\s)+"
)
_TILE = (
    "(?:(?:images?|pictures?|photos?|tiles?|squares?|thumbnails?)(?: that)?"
    "(?: (?:containing|contains?|with|of|showing|shows?))? )?"
)
_THING = (
    r"(?:(?:an?|the|all|any|some) ){0,2}"
    "(?:(?:objects?|items?|things?|entit(?:y|ies)|ones?|something|(?P<among>animals?|foods?)) )?"
)
_WHICH = "(?:(?:that|which|who) )?"
_ZH_PICK = (
    "^(?:请?(?:点击|选择|选出|找出|挑选|单击|点选|找到))(?:所有|全部|每[一]?[个张]|[一两三四1-4]?[个张只])?"
    "(?:包含|含有|显示)?(?:图[片像]?[中里])?"
)
_ZH_THING = (
    "的?(?:物品|物体|东西|对象|项目|事物|实体|(?P<among>动物|食物))?(?:的?(?:图片|图像|照片|缩略图))?$"
)


def _english(predicate: str) -> re.Pattern[str]:
    return re.compile(rf"^{_VERBS}{_TILE}{_THING}{_WHICH}(?:{predicate})$")


def _chinese(predicate: str) -> re.Pattern[str]:
    return re.compile(rf"{_ZH_PICK}(?P<no>不|无法|不能|没有)?(?P<what>{predicate}){_ZH_THING}")


_PATTERNS = tuple((name, _english(english), _chinese(chinese)) for name, (english, chinese) in WORDED.items())
_COMPARED = tuple(
    (scale, more, re.compile(
        rf"^{_VERBS}{_TILE}{_THING}{_WHICH}(?:(?:is|are|cost|costs) )?(?:{words}) than "
        r"(?:an? |any )?(?:adult |average |typical |normal |(?:fully )?grown |real )?"
        r"(?P<than>\w+(?: \w+)?)$"
    ))
    for scale, less_words, more_words in _LESS_MORE
    for more, words in ((False, less_words), (True, more_words))
)  # fmt: skip
_COMPARED_ZH = tuple(
    (
        scale,
        more,
        re.compile(rf"{_ZH_PICK}比(?:一[只头台个辆])?(?:成年)?(?P<than>.+?)(?:还|更|要)?{word}{_ZH_THING}"),
    )
    for scale, less_word, more_word in _LESS_MORE_ZH
    for more, word in ((False, less_word), (True, more_word))
)
# "does not belong to the sea", "cannot be eaten": what is left without the word that turns it around.
_TURNED = re.compile(
    r"\b(?:(?P<can>can)(?:not| not|'t)|(?:does|do)(?: not|n't)|(?P<be>is|are|was|were)(?: not|n't))\b"
)


# The sets that a question may keep to, by its words for them.
AMONG = {
    "animal": "animal",
    "animals": "animal",
    "动物": "animal",
    "food": "edible",
    "foods": "edible",
    "食物": "edible",
}
# Whose opposite is as well known: what lies in no other set may emit light, run or melt all the same.
NEGATED = {
    "animal", "bird", "fruit", "vegetable", "vehicle", "insect", "mammal", "furniture", "clothing",
    "instrument", "edible", "food or drink", "needs sunlight", "man-made", "not for sale", "sea animal",
    "gills", "lays eggs", "legs", "flies", "electric",
}  # fmt: skip
# Chairs have legs, too; and "animals without food" are no food.
_LEGS = re.compile(r"\b(?:ha(?:s|ve)(?: no)?|without) legs|(?<!用)有腿")
_ZH_NOUN = re.compile(
    "动物|哺乳动物|昆虫|水果|蔬菜|交通工具|车辆|家具|衣服|服装|衣物|乐器|食物|食品|饮料|食物或饮料|食品或饮料"
)
_HOLDS = re.compile(r"\b(?:not|n't) (?:contain|show|have)\b.* (?:that|which|who)\b")


def attribute_of(folded: str) -> Attribute | None:
    """What a folded question asks of things without naming one; None where it is nothing that we know, or
    may mean something else."""
    for patterns in (_COMPARED, _COMPARED_ZH):
        for scale, more, pattern in patterns:
            found = pattern.match(folded)
            than = noun_of(found["than"]) if found else None
            if found and than:
                return Attribute(scale, than=than, more=more, among=AMONG.get(found["among"] or ""))
    if _TURNED.match(folded) or _HOLDS.search(folded):
        return None
    plain, turned = _TURNED.subn(lambda found: found["can"] or found["be"] or "", folded)
    plain = " ".join(plain.split())
    for name, english, chinese in _PATTERNS:
        found = chinese.match(folded) or (english.match(plain) if turned <= 1 else None)
        if found:
            among = AMONG.get(found["among"] or "")
            is_chinese = found.re is chinese
            if is_chinese and among and (found["no"] == "没有" or _ZH_NOUN.fullmatch(found["what"])):
                return None
            return _kept(name, bool(found["no"]) if is_chinese else turned == 1, among, folded)
    return None


def _kept(name: str, negated: bool, among: str | None, folded: str) -> Attribute | None:
    """The attribute, or None where its opposite or its set is not known well enough."""
    if name in OPPOSITES:
        name, negated = OPPOSITES[name], not negated
    if negated and (name not in NEGATED or among == name):
        return None
    if among != "animal" and _LEGS.search(folded):
        return None
    return Attribute(name, negated, among=None if among == name else among)
