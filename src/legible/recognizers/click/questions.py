"""From the wording of a question, in English or Chinese, to what it asks: a rule, a target, and how many."""

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
LONGEST = 300
_POLITE = re.compile(r"^(?:p?lease|kindly|now|first|then|请您?|麻烦)\s*")
_POLITE_AFTER = re.compile(r"\s*(?:please|thanks|thank you|谢谢)$")
_ALL = re.compile(
    r"(?:click|tap|find|select|choose|pick|locate|mark)\s(?:(?:in|on)\s)?all\b|\w{2}(?:所有|全部)"
)
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
    """Small letters without accents, look-alikes, invisible characters, punctuation and politeness."""
    plain = unicodedata.normalize("NFKD", text[: 2 * LONGEST]).casefold()
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Cf")).translate(TWINS)
    plain = re.sub(r"[’‘`´ʼ]", "'", plain)
    plain = re.sub(r"[^\w']|_", " ", plain)
    plain = _CHINESE_GAP.sub("", " ".join(plain.split()))
    while (polite := _POLITE.match(plain)) and polite.end():
        plain = plain[polite.end() :]
    return _POLITE_AFTER.sub("", plain)


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
            if found and rule is Rule.NAMED_POINT and count is None and _ALL.match(folded):
                return Question(Rule.DESCRIBED, found["thing"])  # how many they are is not known
            if found:
                return _thing(rule, found["thing"], count)
    return None


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
