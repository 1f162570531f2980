"""From encoded pictures to pixels."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from legible import images
from legible.errors import InvalidImage
from legible.images import check_header, decode


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    data = BytesIO()
    image.save(data, kind)
    return data.getvalue()


def test_transparency_is_laid_on_white_for_every_level_of_colour_and_alpha() -> None:
    colour, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    picture = decode(encoded(Image.fromarray(np.dstack([colour, colour, colour, alpha]), "RGBA")))
    share = alpha / 255
    np.testing.assert_array_equal(picture.rgb[:, :, 1], np.rint(colour * share + 255 * (1 - share)))
    np.testing.assert_array_equal(picture.alpha, alpha)


def test_a_transparent_colour_of_a_palette_is_white() -> None:
    image = Image.fromarray(np.eye(8, dtype=np.uint8), "P")
    image.putpalette([200, 10, 10, 0, 0, 0])
    data = BytesIO()
    image.save(data, "PNG", transparency=0)
    picture = decode(data.getvalue())
    assert picture.rgb[0, 1].tolist() == [255, 255, 255]
    assert picture.rgb[0, 0].tolist() == [0, 0, 0]


def test_a_transparent_colour_among_all_colours_is_white() -> None:
    image = Image.fromarray(np.zeros((4, 4, 3), np.uint8))
    image.putpixel((1, 2), (9, 9, 9))
    data = BytesIO()
    image.save(data, "PNG", transparency=(0, 0, 0))
    picture = decode(data.getvalue())
    assert picture.rgb.reshape(-1, 3).tolist().count([255, 255, 255]) == 15
    assert picture.alpha is not None
    assert np.count_nonzero(picture.alpha) == 1


def test_texts_that_are_not_packed_are_read_over() -> None:
    texts = PngInfo()
    for number in range(20):
        texts.add_itxt(f"key {number}", "plain")
    data = BytesIO()
    Image.new("RGB", (20, 20), "white").save(data, "PNG", pnginfo=texts)
    assert decode(data.getvalue()).rgb.shape == (20, 20, 3)
    for number in range(20):
        texts.add_itxt(f"packed {number}", "plain", zip=True)
    data = BytesIO()
    Image.new("RGB", (20, 20), "white").save(data, "PNG", pnginfo=texts)
    with pytest.raises(InvalidImage, match="20 packed parts"):
        decode(data.getvalue())


def test_frames_that_outgrow_the_first_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that reaches beyond the screen makes it larger, which no viewer shows; nor is it made pixels
    of, since each may be as large as a picture may be."""
    flattened = []
    monkeypatch.setattr(
        images, "_flatten", lambda frame, real=images._flatten: flattened.append(1) or real(frame)
    )
    data = BytesIO()
    frames = [Image.new("RGB", (40, 20), colour) for colour in ("white", "grey", "black")]
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    grown = bytearray(data.getvalue())
    second = grown.index(b",", grown.index(b",") + 1)
    grown[second + 1 : second + 5] = b"\x0a\0\x0a\0"
    picture = decode(bytes(grown))
    assert picture.rgb.shape == (20, 40, 3)
    assert picture.frames == ()
    assert len(flattened) == 1


@pytest.mark.parametrize("form", ["JPEG", "MPO"])
@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_a_photo_is_turned_as_its_camera_was_held(
    form: str, orientation: int, corner: tuple[int, int]
) -> None:
    image = Image.new("RGB", (64, 32), "white")
    image.paste((0, 0, 0), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = BytesIO()
    further = {"save_all": True, "append_images": [image]} if form == "MPO" else {}
    image.save(data, form, exif=exif, **further)
    picture = decode(data.getvalue())
    assert picture.rgb[corner].max() < 40
    assert check_header(data.getvalue()) == (picture.rgb.shape[1], picture.rgb.shape[0])
    assert picture.rgb.shape == ((64, 32, 3) if orientation > 4 else (32, 64, 3))


def test_a_photo_whose_camera_says_nonsense_is_read_as_it_is() -> None:
    data = BytesIO()
    Image.new("RGB", (64, 32), "white").save(data, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(data.getvalue()).rgb.shape == (32, 64, 3)
    assert check_header(data.getvalue()) == (64, 32)


def test_an_empty_fourth_channel_of_a_bitmap_hides_nothing() -> None:
    pixels = np.full((4, 6, 4), (10, 200, 30, 0), np.uint8)
    header = struct.pack("<2sIHHI", b"BM", 122 + pixels.nbytes, 0, 0, 122)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header += struct.pack("<IiiHHIIiiII", 108, 6, 4, 1, 32, 3, pixels.nbytes, 0, 0, 0, 0) + masks
    picture = decode(header.ljust(122, b"\0") + pixels.tobytes())
    assert picture.rgb[0, 0].tolist() == [30, 200, 10]


def test_other_views_in_a_photo_of_a_camera_are_no_animation() -> None:
    data = BytesIO()
    first = Image.new("RGB", (40, 20), "white")
    first.save(data, "MPO", save_all=True, append_images=[Image.new("RGB", (20, 10), "black")])
    assert Image.open(BytesIO(data.getvalue())).format == "MPO"
    picture = decode(data.getvalue())
    assert (picture.rgb.shape, picture.frames) == ((20, 40, 3), ())


def test_the_picture_of_an_apng_for_programs_that_cannot_move_is_none_of_its_frames() -> None:
    data = BytesIO()
    still, first, second = (Image.new("RGB", (20, 20), colour) for colour in ("red", "white", "black"))
    still.save(data, "PNG", save_all=True, append_images=[first, second], default_image=True)
    picture = decode(data.getvalue())
    assert picture.rgb[0, 0].tolist() == [255, 255, 255]
    assert len(picture.frames) == 2
