"""The occurrence model of a pack, run for one place in all weeks of the year."""

import numpy as np
import pytest

from edgeapp.errors import PackError
from edgeapp.pack.format import Pack
from edgeapp.runtime.occurrence import occurrence
from tests.edgeapp import toy_pack as toy


@pytest.fixture
def pack(toy_copy):
    return Pack.load(toy.add_range(toy_copy))


def test_a_model_gives_the_whole_year_and_every_week(pack):
    names, values = occurrence(pack, 52.5, 13.4)
    assert names == ["Parus major", "Cuculus canorus", "", "Parus minor"]
    assert values.shape == (49, 4) and values.dtype == np.float32
    cuckoo = values[:, 1]
    assert cuckoo[0] == np.float32(0.3)
    assert [week for week in range(1, 49) if cuckoo[week] > 0.5] == list(range(17, 25))
    assert (values[:, 3] == np.float32(0.02)).all()
    assert (occurrence(pack, 35.0, 135.0)[1][:, 3] == np.float32(0.8)).all()


def test_a_pack_without_a_model_is_told_in_one_line(toy_pack):
    with pytest.raises(PackError, match="pack toy 1.0 has no occurrence model; use one that has"):
        occurrence(Pack.load(toy_pack), 52.5, 13.4)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("range.onnx", b"no graph", "range.onnx: cannot be run"),
        ("range.txt", b"Parus major\n", r"gave \[49, 4\] values, not \[49, 1\]"),
        ("range.txt", b"\xff\n", "range.txt: cannot be read"),
    ],
)
def test_a_model_that_cannot_be_used_is_named(pack, name, content, what):
    pack.path(name).write_bytes(content)
    with pytest.raises(PackError, match=what):
        occurrence(pack, 52.5, 13.4)


def test_values_that_are_no_occurrence_are_refused(pack):
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(pack.path("range.onnx")))
    [high] = [one for one in model.graph.initializer if one.name == "p9"]
    high.CopyFrom(numpy_helper.from_array(np.float32(1.5), "p9"))
    onnx.save(model, str(pack.path("range.onnx")))
    with pytest.raises(PackError, match="not between 0 and 1"):
        occurrence(pack, 52.5, 13.4)
