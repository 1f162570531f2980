"""Questions to click by: what each wording asks, in English and Chinese, and what no wording can break."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legible.recognizers.click.attributes import OPPOSITES, WORDED, Attribute
from legible.recognizers.click.names import network
from legible.recognizers.click.nouns import NOUNS, noun_of
from legible.recognizers.click.questions import LONGEST, Question, fold, parse
from legible.recognizers.click.wordings import Rule
from legible.recognizers.grid.labels import LABELS


@pytest.mark.parametrize(
    "question",
    [
        "Please click on the UNIQUE object among the others.",
        "Click the shape which appears only once",
        "please click the center of the object that is never repeated",
        "Select the icon that is different from all the others.",
        "Find the odd one out",
        "Click the symbol that doesn't have a match",
        "Tap the unpaired item",
        "please click the object that isn’t following the pattern",
        "选择唯一的物体",
        "请点击与众不同的图标",
        "请点击与其他图形不同的图形",
        "找出不成对的图案",
        "请 点击 从不重复的 物体",
        "点击不一样的图案",
        "请点击与其他不相同的图形",
        "Click the icon that is not the same as the others",
        "Find the shape that isn’t identical to the rest",
        "click the object that differs from the others",
        "Click the one with a different color",
        "click on the icon without a duplicate",
        "Tap the one that is not like the others",
        "Click on the object that does not have a matching pair",
        "Click the icon with no matching pair",
        "Select the object with no identical copy",
        "click on the object that doesn't appear twice",
        "请点击与其他不完全相同的图形",
        "点击没有相同的图形",
        "点击与其他物体不是同一种颜色的物体",
        "which of the shapes is not the same color as the others",
        "Find the shape that differs from the other three",
        "Of the four images, click the odd one out",
        "选择和其他两个不同的图形",
    ],
)
def test_the_odd_one_out_has_many_wordings(question: str) -> None:
    assert parse(question) == Question(Rule.ODD)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Click the circle where all shapes have the same colour", Question(Rule.UNIFORM)),
        ("请点击所有形状颜色相同的圆", Question(Rule.UNIFORM)),
        ("Please click on the two identical shapes", Question(Rule.PAIR, None, 2)),
        ("点击两个完全相同的图形", Question(Rule.PAIR, None, 2)),
        ("点击三个一样的图标", Question(Rule.PAIR, None, 3)),
        ("Click on the two icons that break the pattern", Question(Rule.ODD, None, 2)),
        ("请点击两个异常的图标", Question(Rule.ODD, None, 2)),
        ("Please click on the largest animal", Question(Rule.LARGEST)),
        ("Click the biggest shape in the picture", Question(Rule.LARGEST)),
        ("click on the largest of the objects", Question(Rule.LARGEST)),
        ("click the biggest shape of all", Question(Rule.LARGEST)),
        ("请点击最大的图形", Question(Rule.LARGEST)),
        # Of one kind: the others may be larger.
        ("Please click on the largest circle", Question(Rule.NAMED_POINT, "largest circle")),
        ("请点击最大的圆形", Question(Rule.DESCRIBED, "最大的圆形")),
        ("Select the two matching icons", Question(Rule.PAIR, None, 2)),
        ("请点击一样的两个图标", Question(Rule.PAIR, None, 2)),
        ("选择最大的物体", Question(Rule.LARGEST)),
        ("请点击图片中最大的一个图形", Question(Rule.LARGEST)),
        ("点击最小的物体，而不是最大的物体", Question(Rule.DESCRIBED, "最小的物体而不是最大的物体")),
        ("点击最大的物体旁边的物体", Question(Rule.DESCRIBED, "最大的物体旁边的物体")),
        ("点击最大的动物的头部", Question(Rule.PART)),
        ("click the dog in the picture", Question(Rule.NAMED_POINT, "dog")),
        ("Click on the elephant, please!", Question(Rule.NAMED_POINT, "elephant")),
        ("点击图片里的猫", Question(Rule.NAMED_POINT, "cat")),
        ("选择包含狗的图片", Question(Rule.NAMED_TILES, "dog")),
        ("点击一本书", Question(Rule.NAMED_POINT, "book")),
        ("点击这只猫", Question(Rule.NAMED_POINT, "cat")),
        ("点击两个不同的图形", Question(Rule.ODD, None, 2)),
        ("Select the smallest object.", Question(Rule.SMALLEST)),
        ("请点击最小的图形", Question(Rule.SMALLEST)),
        ("Please click each image containing a bus", Question(Rule.NAMED_TILES, "bus")),
        ("Select all images with traffic lights", Question(Rule.NAMED_TILES, "traffic light")),
        ("请点击每张包含一只小猫的图片", Question(Rule.NAMED_TILES, "kitten")),
        ("选择所有包含红绿灯的图片", Question(Rule.NAMED_TILES, "traffic light")),
        ("please click on the raccoon", Question(Rule.NAMED_POINT, "raccoon")),
        ("请点击大象", Question(Rule.NAMED_POINT, "elephant")),
        ("请点击图中的三只猫", Question(Rule.NAMED_POINT, "cat", 3)),
        ("点击2 只狗", Question(Rule.NAMED_POINT, "dog", 2)),
        ("点击两匹马", Question(Rule.NAMED_POINT, "horse", 2)),
        ("Please click on the three cats", Question(Rule.NAMED_POINT, "cat", 3)),
        ("Click both elephants", Question(Rule.NAMED_POINT, "elephant", 2)),
        ("Click on the pair of glasses", Question(Rule.NAMED_POINT, "glasses")),
    ],
)
def test_a_wording_has_its_rule_target_and_count(question: str, expected: Question) -> None:
    assert parse(question) == expected


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        ("Drag the piece to where it fits", Rule.DRAG),
        ("Click the objects that do not appear only once", Rule.REPEATED),
        ("请点击不是唯一的物体", Rule.REPEATED),
        ("拖动碎片以完成拼图", Rule.DRAG),
        ("Draw a bounding box around the dog", Rule.BOX),
        ("What is shown in the picture?", Rule.CHOICE),
        ("Select the cars that this truck can tow, as in the sample", Rule.SAMPLE),
        ("点击所有比示例小的动物", Rule.SAMPLE),
        ("Click the animal's head", Rule.PART),
        ("点击狗的尾巴", Rule.PART),
        ("Click the flower with the most petals", Rule.COUNT),
        ("Click each image containing something you can wear", Rule.REASONING),
        ("Click on the animal that does not belong in the environment", Rule.REASONING),
        ("Click on things that are heavier than a horse", Rule.REASONING),
        ("Please click each image containing the largest animal in real life", Rule.REASONING),
        ("选择适合放入高温烤箱的物品", Rule.REASONING),
        ("Click on objects that are bigger than a cat and smaller than a dog", Rule.REASONING),
        ("点击比猫大且比狗小的动物", Rule.REASONING),
        ("Click every icon that appears more than once", Rule.REPEATED),
        ("点击镜中方向不对的倒影", Rule.MIRROR),
        ("找出断裂的链条", Rule.LINES),
        ("点击放错位置的拼图", Rule.PUZZLE),
        ("点击被遮挡的字母", Rule.COVERED),
        ("找出看向左边的动物", Rule.POSE),
        ("Please click each image containing a car without a roof", Rule.DESCRIBED),
        ("Please click each image containing two cats", Rule.DESCRIBED),
        ("选择所有包含三只猫的图片", Rule.DESCRIBED),
        ("Please click each image containing a penguin surrounded by flowers", Rule.DESCRIBED),
    ],
)
def test_what_cannot_be_answered_has_a_name(question: str, rule: Rule) -> None:
    parsed = parse(question)
    assert parsed is not None
    assert parsed.rule is rule


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Please click on all objects that require sunlight to grow.", Attribute("needs sunlight")),
        ("点击所有需要阳光才能生长的物体", Attribute("needs sunlight")),
        (
            "Click on objects that are more expensive than a TV",
            Attribute("price", than="television", more=True),
        ),
        ("点击比电视贵的物品", Attribute("price", than="television", more=True)),
        ("Please select objects that are smaller than an adult cow", Attribute("size", than="cow")),
        ("选择比成年奶牛小的物体", Attribute("size", than="cow")),
        ("Select things cheaper than a bicycle", Attribute("price", than="bicycle")),
        ("Please click on the entity that is made by humans", Attribute("man-made")),
        ("select all objects that were not made by people", Attribute("man-made", negated=True)),
        ("Please click on the entity that you CANNOT buy in the market.", Attribute("not for sale")),
        ("click on things you can buy in a store", Attribute("not for sale", negated=True)),
        ("Please click on the animal that has a beak", Attribute("bird", among="animal")),
        ("Please click each image containing something you can eat", Attribute("edible")),
        ("选择不能吃的物品", Attribute("edible", negated=True)),
        ("please click on the thumbnail that is not a fruit", Attribute("fruit", negated=True)),
        (
            "click on the animal that does not belong to the sea",
            Attribute("sea animal", negated=True, among="animal"),
        ),
        ("select items that don't need electricity to use", Attribute("electric", negated=True)),
        ("选择不需要用电的物品", Attribute("electric", negated=True)),
        ("请点击每张包含动物的图片", Attribute("animal")),
        ("选择所有没有腿的动物", Attribute("no legs", among="animal")),
        ("select all animals that can't fly", Attribute("flies", negated=True, among="animal")),
        ("选择可以用来写字的物品", Attribute("writes")),
        ("click on animals smaller than a cat", Attribute("size", than="cat", among="animal")),
        ("点击比猫小的动物", Attribute("size", than="cat", among="animal")),
        ("点击生长在地下的食物", Attribute("grows underground", among="edible")),
        ("click on all animals", Attribute("animal")),
    ],
)
def test_what_things_are_like_has_many_wordings(question: str, expected: Attribute) -> None:
    parsed = parse(question)
    assert parsed is not None
    assert parsed.rule is Rule.ATTRIBUTE
    assert parsed.attribute == expected


@pytest.mark.parametrize(
    "question",
    [
        "Select all things that can eat",
        "things people can fly",
        "Select all images that do not contain an animal that can fly",
        "Do not select animals",
        "Select all foods that cannot be eaten",
        "选择所有需要用电的工具",
        "选择所有没有食物的动物",
        "选择所有昆虫的食物",
        "Select all objects that have legs",
        "Select all objects without legs",
        "animals that don't have no legs",
        "Select all animals that do not live in water",
        "Click the object larger than the dog",
        "Select all animals that cannot run",
        "Select the objects that do not emit light",
        "click on all objects that are edible and red",
        "select animals that can fly but not swim",
        "点击比猫大但比车小的物体",
        "点击水果和蔬菜",
    ],
)
def test_what_may_mean_something_else_is_not_taken_for_an_attribute(question: str) -> None:
    parsed = parse(question)
    assert parsed is None or parsed.rule is not Rule.ATTRIBUTE


@pytest.mark.parametrize("question", ["Identify all vehicles", "Click the fruits", "选择每个水果"])
def test_all_that_are_like_that_may_be_any_number(question: str) -> None:
    parsed = parse(question)
    assert parsed is not None
    assert (parsed.every, parsed.count) == (True, None)


def test_a_question_for_what_is_like_that_says_how_many() -> None:
    counted, every, one = map(
        parse,
        ("点击3个用于游戏或运动的物品", "Click all objects that can fly", "click the object that can fly"),
    )
    assert counted == Question(Rule.ATTRIBUTE, None, 3, Attribute("sports gear"))
    assert every == Question(Rule.ATTRIBUTE, None, None, Attribute("flies"), every=True)
    assert one == Question(Rule.ATTRIBUTE, None, None, Attribute("flies"))


@pytest.mark.parametrize(
    "question",
    [
        "Please click on all entities similar to the following pattern.",
        "click all images containing the same animal shown in the sample image",
        "the same animal as in the sample image",
        "Please click on the same object as shown in the reference image",
        "click the image matching an object shown in the example image",
        "点击所有与示例图片相同的物体",
    ],
)
def test_what_a_sample_shows_is_asked_for(question: str) -> None:
    assert parse(question) == Question(Rule.ALIKE)


def test_every_attribute_is_one_that_the_network_tells() -> None:
    told = network().attributes
    assert set(WORDED) <= {*told, *OPPOSITES}
    assert set(OPPOSITES.values()) <= set(told)


def test_an_unknown_thing_keeps_its_own_words() -> None:
    assert parse("Please click each image containing a gizmo") == Question(Rule.NAMED_TILES, "gizmo")


@pytest.mark.parametrize("question", ["", "?!", "hello there", "Пожалуйста, помогите", "12345", "click"])
def test_nonsense_is_not_understood(question: str) -> None:
    assert parse(question) is None


def test_letters_that_only_look_latin_are_folded() -> None:
    # Cyrillic а, с, е, о, р, а zero-width space and full-width letters.
    assert fold("Рlеаsе сliсk оn the\u200b ｃat’s") == "click on the cat's"
    assert parse("Рlеаsе сliсk еасh imаgе соntаining а bus") == parse(
        "please click each image containing a bus"
    )


def test_politeness_and_space_change_nothing() -> None:
    assert parse("   PLEASE   click on\tthe  odd one out!! ") == parse("click on the odd one out")


def test_there_are_sixty_nouns_in_both_languages() -> None:
    both = [words for words in NOUNS.values() if any(not word.isascii() for word in words)]
    assert len(both) == len(NOUNS) >= 60


def test_no_word_has_two_meanings() -> None:
    words = [word for noun, others in NOUNS.items() for word in (noun, *others)]
    assert len(words) == len(set(words))


def test_the_vocabulary_knows_every_name_of_the_grid() -> None:
    for names in LABELS.values():
        assert len({noun_of(name) for name in names} - {None}) == 1, names
        assert noun_of(names[0]) is not None


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_is_understood_in_both_languages(noun: str) -> None:
    article = "an" if noun[0] in "aeiou" else "a"
    assert parse(f"Please click each image containing {article} {noun}") == Question(Rule.NAMED_TILES, noun)
    chinese = next(word for word in NOUNS[noun] if not word.isascii())
    assert parse(f"请点击每张包含{chinese}的图片") == Question(Rule.NAMED_TILES, noun)


@given(st.text(max_size=400))
def test_no_text_breaks_the_parser(text: str) -> None:
    parsed = parse(text)
    assert parsed is None or isinstance(parsed.rule, Rule)


@given(st.text(max_size=200))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(
    st.sampled_from(sorted(NOUNS)),
    st.sampled_from(["Please click each image containing {}", "CLICK ON THE {}."]),
)
def test_case_and_punctuation_do_not_matter(noun: str, wording: str) -> None:
    question = wording.format(noun)
    assert parse(question.upper()) == parse(question.lower() + " ?")


@pytest.mark.parametrize(
    "question",
    [
        "Please click on all elephants",
        "点击所有大象",
        "Click on objects that have the same color as the arrow",
    ],
)
def test_what_needs_more_than_a_name_is_not_taken_for_a_name(question: str) -> None:
    asked = parse(question)
    assert asked is None or asked.rule in (Rule.DESCRIBED, Rule.REASONING)


def test_the_only_one_of_its_kind_is_not_the_odd_one() -> None:
    asked = parse("点击唯一的猫")
    assert asked is None or asked.rule is not Rule.ODD
    assert parse("点击唯一的图标") == Question(Rule.ODD)


@pytest.mark.parametrize(
    "question",
    [
        "Click the object that isn't unique",
        "Click on every icon except the unique one",
        "the non-unique object",
        "object that does not stand out",
        "do not differ from the others",
        "Click all objects except the one that is different",
        "all icons but the odd one",
        "click every object apart from the odd one",
        "Click the icon that does not break the pattern",
        "请点击不止出现一次的图标",
        "請點擊不只出現一次的圖標",
        "点击并非只出现一次的图标",
        "点击非唯一的图标",
        "点击除了唯一的图标以外的所有图标",
        "点击与其他没有不同的图标",
        "点击不独特的物体",
        "没有落单的",
    ],
)
def test_what_is_not_the_odd_one_is_not_taken_for_it(question: str) -> None:
    assert parse(question) == Question(Rule.REPEATED)


@pytest.mark.parametrize(
    "question",
    [
        "All are the same except one. Click the different one",
        "Pick the shape that does not fit, the odd one",
        "Click the one that is not the same; it stands out",
        "Click the icon that has no pair and is unique",
        "点击只出现一次的物体",
        "不成对的",
    ],
)
def test_the_odd_one_is_still_found_where_others_are_spoken_of(question: str) -> None:
    assert parse(question) == Question(Rule.ODD)


@pytest.mark.parametrize(
    "question",
    [
        "elephant",
        "大象",
        "click on the <b>elephant</b>",
        "click on the &quot;elephant&quot;",
        "Identify the elephant",
        "Touch the elephant in this image",
        "click on the elephant in the picture below",
        "press the elephant shown below",
        "請點擊大象",
        "請點選圖中的大象",
        "请在下图中点击大象",
        "点击这张图片中的大象",
        "请点一下大象",
    ],
)
def test_an_elephant_is_asked_for_in_many_words(question: str) -> None:
    assert parse(question) == Question(Rule.NAMED_POINT, "elephant")


@pytest.mark.parametrize(
    "question",
    [
        "Identify all images containing a dog",
        "Select all images which contain a dog",
        "Click each picture where there is a dog",
        "Select all images with a dog. If there are none, click skip",
        "Select all images with a <strong>dog</strong>. Click verify once there are none left.",
        "請選擇所有包含狗的圖片",
        "请选择包含狗的所有图片",
        "请选择所有狗的图片",
        "请选择所有包含狗的图片。如果没有，请点击跳过",
    ],
)
def test_pictures_of_dogs_are_asked_for_in_many_words(question: str) -> None:
    assert parse(question) == Question(Rule.NAMED_TILES, "dog")


@pytest.mark.parametrize(
    "question",
    [
        "Select everything but the same animal as in the sample image",
        "Click on the object that is not the same as in the sample image",
        "点击不是与示例图片相同的物体",
        "点击和示例图片相同的动物以外的图片",
    ],
)
def test_what_is_not_like_the_sample_is_refused(question: str) -> None:
    assert parse(question) == Question(Rule.SAMPLE)


@pytest.mark.parametrize(
    "question", ["点击所有大象", "請在圖中點擊所有大象", "点一下所有大象", "识别出全部大象"]
)
def test_all_of_them_in_one_scene_are_not_one(question: str) -> None:
    assert parse(question).rule is Rule.DESCRIBED


@pytest.mark.parametrize("question", ["几只狗？", "幾隻狗", "几辆车"])
def test_how_many_there_are_is_not_where_one_is(question: str) -> None:
    assert parse(question) is None


@pytest.mark.parametrize(
    ("question", "noun"),
    [
        ("点击出租车", "taxi"),
        ("識別出計程車", "taxi"),
        ("点击手錶", "watch"),
        ("Click on the <elephant>", "elephant"),
        ("click the <red> elephant", "red elephant"),
    ],
)
def test_a_name_is_read_whole(question: str, noun: str) -> None:
    assert parse(question).target == noun


@pytest.mark.parametrize("question", ["请选择所有不是狗的图片", "Select all images without a dog"])
def test_pictures_without_a_dog_are_not_pictures_of_dogs(question: str) -> None:
    assert parse(question).target != "dog"


def test_a_question_grows_no_longer_than_is_read() -> None:
    assert len(fold("\u249c" * 500)) <= LONGEST
