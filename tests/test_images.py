"""From encoded pictures to pixels."""

from io import BytesIO

import numpy as np
from PIL import Image

from legible.images import decode


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
