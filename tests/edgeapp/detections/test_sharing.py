"""A location leaves the station as exactly as the settings allow."""

from __future__ import annotations

import pytest

from edgeapp.detections.sharing import shared


@pytest.mark.parametrize(
    ("how", "told"), [("exact", (52.5163, -13.3777)), ("coarse", (52.5, -13.4)), ("no", (None, None))]
)
def test_a_location_is_shared_as_asked(how, told):
    assert shared(52.5163, -13.3777, how) == told
    assert shared(None, None, how) == (None, None)
