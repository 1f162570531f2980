"""The things that a grid may be asked for."""

import pytest

from legible.recognizers.grid.labels import LABELS, known_labels, label_of


@pytest.mark.parametrize(
    ("label", "name"), [(label, name) for label, names in LABELS.items() for name in names]
)
def test_every_name_means_its_label_alone_and_in_a_sentence(label: str, name: str) -> None:
    assert label_of(name) == label
    assert label_of(name.upper()) == label
    assert label_of(f"Select all images with {name}.") == label
    assert label_of(f"请选择包含{name}的所有图片") == label


@pytest.mark.parametrize(
    ("question", "label"),
    [
        ("/m/01pns0", "/m/01pns0"),
        (" /m/01pns0\n", "/m/01pns0"),
        ("Select all squares with a  fire hydrant\nIf there are none, click skip", "/m/01pns0"),
        ("school bus", "/m/02yvhj"),
        ("公共汽车", "/m/01bjv"),
        ("hills", "/m/09d_r"),
        ("fire_hydrant", "/m/01pns0"),
        ("Select all images with motor-bikes", "/m/04_sv"),
        ("motor bikes", "/m/04_sv"),
        ("cross-walks", "/m/014xcs"),
        ("traffic signals", "/m/015qff"),
        ("山或丘陵", "/m/09d_r"),
        ("quad bikes", None),
        ("school-buses", "/m/02yvhj"),
        ("Traffic-Lights", "/m/015qff"),
        ("選取所有包含紅綠燈的圖片", "/m/015qff"),
        ("请选择包含公交车的所有图片，在没有新图片可以点按后，请点击“验证”", "/m/01bjv"),
        ("Select all images with a bus. Click verify once there are no new images", "/m/01bjv"),
        ("山", "/m/09d_r"),
        ("select all images without cars", None),
        ("Select all images that don’t contain buses", None),
        ("all images with no bus", None),
        ("选择所有不包含公交车的图片", None),
        ("没有公交车的图片", None),
        ("select all images excluding cars", None),
        ("Select all images other than cars", None),
        ("images free of cars", None),
        ("everything but buses", None),
        ("汽车以外的图片", None),
        ("選取除汽車以外的圖片", None),
        ("选择非汽车图片", None),
        ("選出無汽車的圖片", None),
        ("請選取所有含有電單車的圖片", "/m/04_sv"),
        ("請選取所有含有單車的圖片", "/m/0199g"),
        ("请点选所有的船", "/m/019jd"),
        ("选择带船的图片", "/m/019jd"),
        ("火山", None),
        ("请选择包含山羊的所有图片", None),
        ("请选择包含飞船的所有图片", None),
        ("Select all images with bus stops", None),
        ("选择包含公交车站的图片", None),
        ("汽车站", None),
        ("car wash", None),
        ("non-bus", None),
        ("traffic lights that are not red", None),
        ("bicycle lanes", None),
        ("scars", None),
        ("business", None),
        ("cars and boats", None),
        ("/m/nothing", None),
        ("", None),
    ],
)
def test_a_question_means_one_label_or_none(question: str, label: str | None) -> None:
    assert label_of(question) == label


def test_a_refusal_can_list_them_all() -> None:
    assert all(label in known_labels() for label in LABELS)
