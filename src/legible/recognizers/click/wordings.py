"""The wordings that we know, as patterns over a folded question: and which rule each
asks for. The first that fits wins."""

import re
from enum import StrEnum


class Rule(StrEnum):
    """What a question asks for, in the words of our refusals. The first five are answered, the next four
    where a network can name things."""

    ODD = "the object that differs from the others"
    UNIFORM = "the circle whose shapes are all of one colour"
    PAIR = "objects that are identical"
    LARGEST = "the largest object"
    SMALLEST = "the smallest object"
    NAMED_TILES = "each image containing a named thing"
    NAMED_POINT = "naming objects in a scene"
    ATTRIBUTE = "what is like that: edible, made by humans, smaller than a cow"
    ALIKE = "what is like the sample pictures in `anchors`"
    # Everything from here on is refused by this name.
    DESCRIBED = "a thing described by more than its name"
    PART = "a part of an object"
    BOX = "drawing or judging a box"
    CHOICE = "choosing among written answers"
    DRAG = "dragging"
    SAMPLE = "comparing with a sample picture"
    REASONING = "reasoning about what things are for or like"
    COUNT = "counting"
    REPEATED = "finding all objects that repeat"
    MIRROR = "comparing mirror images"
    LINES = "following lines, chains or rings"
    PUZZLE = "finding wrong or missing pieces"
    COVERED = "seeing what covers what"
    POSE = "telling where someone looks"


_THING = (
    "(?:object|item|element|entity|icon|shape|image|picture|pattern|symbol|figure|thing|one|animal|solid|circle)"
    "s?"
)
_ZH_SAMPLE = "(?:示例|范例|例图|样本|参考|所示|图示|以下图案)"
_ZH_THING = "(?:图|物|对象|形|元素|动物|圆|项|东西|那个|一个|箭头)"
# Of any kind: where sizes are compared, a circle is not just a thing.
_WHATEVER = "(?:object|item|element|entity|icon|shape|image|picture|symbol|figure|thing|one|animal)s?"
_ZH_WHATEVER = "(?:图|物|对象|形|元素|动物|项|东西|那个|一个)"
_ZH_PICK = (
    "^(?:点击|选择|选出|找出|单击|点选|找到|在?(?:这张|下|上)?(?:图|图片|图像|画面|场景)[中里]"
    "|所有|物体|中|的|[一1][个只])*"
)
_PICK = (
    r"^(?:(?:find|click|select|choose|tap|touch|press|identify|pick|mark|locate|and|on|out|all|the|center|of"
    r"|in)\s)+"
)
_WHERE = rf"(?: (?:in the (?:image|picture|scene)|of (?:all|them|these|all the {_WHATEVER})))?$"
_COMPARED = rf"(?:of (?:the |all (?:the )?)?)?{_WHATEVER}"
_ZH_SIZED = rf"(?:[一1]个)?{_ZH_WHATEVER}(?:体|品|案|形|标|像|片)?$"
_OTHERS = "(?: (?:in|with|to|the|others?|rest|group|set|pattern|among|here|a))*$"
_NOT = "(?:does not|doesn't|doesnt|do not|don't)"

# A rule and the wordings that mean it. They meet a question that is folded: small letters, no punctuation,
# no "please".
_TABLE: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    # What is no click at all.
    (Rule.DRAG, (r"\bdrag\b", "拖动|拖到|拖入|拖放|拖拽|放入缺失|拼块放")),
    (Rule.BOX, ("bounding box", "边界框|画框")),
    (
        Rule.CHOICE,
        (
            "^what (?:is|are|object|kind|animal)",
            "^which (?:word|text|sentence)",
            "description of the image",
            "最准确的描述",
        ),
    ),
    # What needs more than one look.
    (Rule.MIRROR, ("mirror|reflection", "镜子|镜中|镜像|倒影")),
    (
        Rule.LINES,
        (
            r"connection|missing link|broken chain|\b(?:line|rope|wire|ring)s?\b",
            "连线|连接|链条|断裂|圆环|的环|两个环|在线上|线上的|线段",
        ),
    ),
    (Rule.PUZZLE, ("puzzle|missing piece|wrong piece", "拼图|缺少方块|缺失")),
    (Rule.COVERED, (r"\bcovered by|occluded|hidden behind", "被.*遮挡")),
    (Rule.POSE, ("looking (?:at|toward|away|left|right)", "看向")),
    (
        Rule.REASONING,
        (
            "(?:colder|warmer|darker|brighter) in comparison",
            "in (?:the )?real (?:life|world)|animal species",
            "^click each image containing (?:the|an?) (?:largest|smallest|biggest)",
        ),
    ),
    (
        Rule.SAMPLE,
        (
            r"(?:\bnot|n't|\bbut|\bexcept|\bother than|\bdifferent from|\bunlike)(?: \w+){0,5}"
            r" (?:same|similar|match(?:es|ing)?)\b.*\b(?:sample|example|reference|following)\b",
            f"(?:不是?|非|没有|除了?)[与和同跟]{_ZH_SAMPLE}|{_ZH_SAMPLE}.*(?:以外|之外|除外)",
        ),
    ),
    (
        Rule.ALIKE,
        (
            r"^(?:click|select|choose|find|pick|mark|tap)\b.* (?:most )?similar (?:\w+ )?to the "
            "(?:following|sample|example|reference|given) "
            "(?:pattern|reference|shape|image|object|picture|sample)s?"
            r"(?: (?:pattern|shape|image|object|picture))?$",
            r"\b(?:same|matching|match(?:es)?) (?:as )?(?:an? |the )?"
            "(?:animal|object|item|thing|entity|shape|pattern)? ?(?:as )?(?:shown |that is shown )?"
            "(?:in|as) the (?:sample|example|reference)(?: (?:image|picture|shape))?$",
            f"^(?:请?(?:点击|选择|选出|找出|挑选)).*[与和同跟]{_ZH_SAMPLE}(?:图片?|图像|图案|图形|形状|物体|中)*的?"
            "(?:物体|动物|图案|图形|形状)?(?:最|相|最为)?(?:相似|相同|一样|匹配)的",
        ),
    ),
    (
        Rule.SAMPLE,
        (
            "following (?:pattern|reference|shape|image|object)",
            r"\b(?:sample|example|reference)\b|this body part",
            "示例|范例|例图|样本|参考|图示|所示|这个物体|这辆车|该车辆|该物体|以下图案|与显示|显示数量",
        ),
    ),
    # Rules over objects, without a vocabulary. What is not so comes before what is.
    (
        Rule.ODD,
        (
            r"\b(?:no|without(?: an?)?|(?:not|n't) have (?:an? |its |any )?)\s*"
            r"(?:matching|identical|similar|duplicate|twin)\b",
            r"(?:\bnot|n't|\bnever) (?:appears?|looks?|seen) (?:twice|alike|the same)\b",
            r"(?:\bnot|n't) (?:of |in )?(?:the )?same colou?r",
            "不完全(?:相同|一样)|没有(?:完全)?(?:相同|一样|一模一样)的|不是?(?:相同|同一种|同一个|同样|一种)的?颜色",
        ),
    ),
    (
        Rule.UNIFORM,
        (
            r"\b(?:shapes|objects|items|figures|symbols|elements)\b.*"
            r"\b(?:same|one|single|identical) colou?rs?\b(?! as\b)",
            "single colou?red? (?:shapes|objects)",
            "颜色(?:都|全部|全都)?(?:相同|一样|一致)",
            "(?:相同|同一种|同一个|同样|一种)的?颜色",
        ),
    ),
    (
        Rule.REPEATED,
        (
            r"more than once|\bavoid\b",
            r"(?:\bnot|n't|\bnon|\bno|\bnever)"
            r"(?: (?:is|are|be|have|has|an?|the|one|of|really|at|all|appears?|occurs?|looks?|seen|that))*"
            r" (?:unique|only once|odd|stands? out|differ|unpaired|break the (?:pattern|rule))",
            r"\b(?:except|besides|apart from|excluding|other than|(?:all|any|every\w*)(?: \w+){0,3} but)\b"
            r"(?! (?:for )?one\b)(?: \w+){0,7} (?:unique|odd|different|only once)\b",
            "出现多次|不止(?:出现|显示)?(?:过|了)?[一1]次",
            "(?:不|非|没有|无)(?:是|只|仅)*(?:唯一|独一无二|独特|与众不同|落单|异常|(?:出现|显示)(?:过|了)?[一1]次)",
            "(?:没有(?:什么|任何)?|并?无)不同|除了?.*(?:唯一|独特|独一无二|不同|出现[一1]次).*(?:以外|之外|外的)",
        ),
    ),
    (
        Rule.ODD,
        (
            r"\bunique\b|\bonly once\b|\b(?:never|not) repeat",
            _NOT + " (?:repeat|belong|fit|match|have a (?:pair|match|twin))" + _OTHERS,
            r"\b(?:not|isn't|isnt|aren't|arent) (?:the same|identical|alike|similar)\b",
            r"\bunpaired\b|without a (?:pair|duplicate|double)|\bno (?:pair|duplicate)",
            r"\b(?:not like|unlike|differs? from) (?:all )?(?:the )?(?:others?|rest)\b",
            r"\b(?:of|in|with|has|have) an? different colou?r\b",
            r"\bodd (?:one|object|shape|item|icon)|\bstands? out",
            "(?:isn't|isnt|is not|does not|doesn't) follow(?:ing)? the pattern",
            "break(?:s|ing)? the (?:pattern|rule)",
            "(?:is|are|looks?) (?:the )?(?:different|odd)"
            "(?: (?:from|to|than)(?: (?:all|the|others?|rest|of|them))*)?$",
            r"\bdifferent " + _THING + "$",
            "唯一的?(?:一个)?的?(?:$|"
            + _ZH_THING
            + ")|与众不同|独特|独一无二|出现(?:过|了)?一次|(?:从不|不|没有|未|从未)重复|落单",
            "打破规律|不符合规[律则]|不合规律|异常|不成对|没有(?:配对|成对)",
            "[与和]其[他它余].*不(?:同|一样)|不(?:同|相同|一样)的" + _ZH_THING,
        ),
    ),
    (
        Rule.PAIR,
        (
            r"\bidentical\b|most similar to each other|matching pair|\b(?:two|2) matching\b|appears? twice",
            r"\b(?:are|look) (?:exactly )?(?:the same|alike)$",
            "same (?:shapes|objects|icons|items|elements|images)$",
            "一模一样|同一类型|完全相同|(?:相同|一样)的(?:[两二2]个)?" + _ZH_THING,
            "最相似的两个|两个最相似|成对的",
        ),
    ),
    (
        Rule.COUNT,
        (
            r"\b(?:most|fewest|least|more|fewer) "
            "(?:petals|dots|points|legs|sides|shapes|objects|items|corners|holes)",
            "how many",
            "数量|最多|最少",
        ),
    ),
    (
        Rule.REASONING,
        (
            r"\b(?:larger|smaller|bigger|heavier|lighter|taller|cheaper|faster|slower) than\b",
            r"\b(?:more|less) \w+ than\b",
            "比.+(?:大|小|轻|重|贵|便宜|快|慢)",
        ),
    ),
    (Rule.LARGEST, (rf"{_PICK}(?:largest|biggest) {_COMPARED}{_WHERE}", rf"{_ZH_PICK}最大的?{_ZH_SIZED}")),
    (
        Rule.SMALLEST,
        (rf"{_PICK}(?:smallest|littlest|tiniest) {_COMPARED}{_WHERE}", rf"{_ZH_PICK}最小的?{_ZH_SIZED}"),
    ),
    (
        Rule.REASONING,
        (
            r"\bsomething\b|\b(?:require|crafted|made) by\b|\brequire|\bnormally\b",
            r"\b(?:that|which|who) "
            r"(?:can|could|cannot|can't|is|are|isn't|aren't|has|have|does|do|doesn't|don't|needs?|"
            r"requires?|lives?|grows?|emits?|you|people|a person|moves?|lays?|breathes?|melts?|belongs?)\b",
            "可以|可用|能(?:够|发|爬|被|移|移动)|用于|由.+制成的(?:物品|东西)|没有腿|用.+(?:呼吸|移动)|下蛋|专为|适合",
            "生长|柔软|运动和健身|会融化|用途|时可|你可以|人们通常",
        ),
    ),
    (
        Rule.PART,
        (
            r"'s? (?:head|tail|lock|nose|trunk|eye|ear|beak|wing|paw)s?\b|\b\w+s (?:head|tail|lock)$",
            r"\b(?:head|tail|trunk|nose|eye|ear|beak|paw|lock|wing)s? of the\b",
            "的(?:头|头部|尾巴|鼻子|眼睛|耳朵)$",
        ),
    ),
)

TABLE = tuple((rule, re.compile("|".join(wordings))) for rule, wordings in _TABLE)

_IN_PICTURE = (
    "(?: (?:in|on) (?:the|this) (?:image|picture|photo|scene))?(?: (?:shown|below|above|here))*"
    "(?: (?:in|on) (?:the|this) (?:image|picture|photo|scene))?(?: below| above)?"
)
_ZH_IN_PICTURE = "(?:在?(?:这张|下|上|本)?(?:图片?|图像|照片|画面|场景)(?:[中里上]的?|的))?"
_ZH_VERBS = "(?:点击|选择|选出|找出|单击|点选|找到|点一下|点按|按下|识别|挑选)"
# What is left asks for a thing: "each image containing a bus", "click on the elephant".
_VERBS = (
    r"(?:(?:click|select|choose|pick|mark|tap|find|identify|locate|touch|press|on|all|each|every|of|the"
    r"|any)\s)+"
)
TILES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^{_VERBS}(?:image|picture|photo|tile|square|thumbnail)s? (?:(?:that|which) )?"
        r"(?:containing|contains?|having|with|of|showing|shows?|where there (?:is|are)) (?P<thing>.+)$",
        "^select all (?P<thing>.+) (?:images|pictures|photos)$",
        f"^{_ZH_VERBS}?(?:(?:每张|每一张|所有|全部|每个)(?:显示|有)|"
        "(?:每张|每一张|所有|全部|每个)?(?:包含|含有|带有))(?P<thing>.+?)"
        "(?:的图像)?的?(?:所有|全部)?的?(?:图片|图像|照片|方块)$",
        f"^{_ZH_VERBS}(?:所有|全部)(?P<thing>.+?)的(?:图片|图像|照片|方块)$",
    )
)
POINT = tuple(
    re.compile(pattern)
    for pattern in (
        r"^(?:click|tap|find|select|choose|pick|locate|mark|identify|touch|press)\s(?:(?:in|on)\s)?"
        r"(?:(?:the )?cent(?:er|re) of\s)?(?:all\s)?"
        rf"(?P<thing>.+?){_IN_PICTURE}$",
        f"^{_ZH_IN_PICTURE}(?:依次|分别)?{_ZH_VERBS}(?:一下|出(?!租|口))?{_ZH_IN_PICTURE}"
        f"(?:[一两二三四1-9]个|(?P<all>所有|全部|每一?个))?{_ZH_IN_PICTURE}(?P<thing>.+)$",
    )
)

# Chinese words between a number and a thing.
MEASURES = "只个条匹辆艘架张朵座把台头本棵颗块顶支件扇面盏双根枝瓶杯位名"
# One thing that English calls a pair.
PAIRED = "glasses|sunglasses|scissors|pants|trousers|jeans|shorts|headphones|binoculars|pliers|goggles"
# How many the others are, or all of them, in a question for the one that is not like them.
OTHERS = re.compile(
    r"\b(?:others?|of the|of these|among the|these|remaining) (?:two|three|four|[2-4])\b|\bpairs?\b"
    rf"|(?:其[他它余]|另外|剩下|剩余)的?[两二三四2-4] ?[{MEASURES}]"
)
# How many are asked for, when a question says.
COUNTS: tuple[tuple[int, re.Pattern[str]], ...] = (
    (
        2,
        re.compile(rf"\b(?:two|both|2|pair)\b(?<!a pair)(?! of (?:{PAIRED}))|[两二2] ?[{MEASURES}]|成对的两"),
    ),
    (3, re.compile(rf"\b(?:three|3)\b|[三3] ?[{MEASURES}]")),
    (4, re.compile(rf"\b(?:four|4)\b|[四4] ?[{MEASURES}]")),
)
