"""What a confidence is worth."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from legible.calibration import Calibration

TABLE = Calibration((0.0, 0.0, 0.2, 0.9, 1.0), (0.0, 0.1, 0.5, 0.5, 0.95), 0.5)


@given(st.floats(0.0001, 1))
def test_between_two_rows_of_the_table_it_is_between_their_values(raw: float) -> None:
    np.testing.assert_allclose(TABLE(raw), np.interp(raw, TABLE.raw, TABLE.right), atol=1e-12)


def test_the_ends_of_the_table_are_part_of_it() -> None:
    assert TABLE(1.0) == 0.95
    assert 0.0 <= TABLE(0.0) <= 0.1
    assert Calibration()(0.25) == 0.25


def test_a_table_is_read_as_a_model_brings_it() -> None:
    assert Calibration.from_table({"raw": [0, 1], "right": [0.5, 1], "threshold": 0.7})(0.5) == 0.75
