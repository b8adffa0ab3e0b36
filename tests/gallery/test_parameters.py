"""Decision parameters: what they hold, and what is refused."""

import json

import pytest

from gallery import DecisionParameters, GalleryError


def test_they_pass_through_json_unchanged(parameters: DecisionParameters):
    assert DecisionParameters.from_dict(json.loads(json.dumps(parameters.to_dict()))) == parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"floor": ...}, "floor is missing; give scale, bias"),
        ({"flor": 1.0}, "flor is unknown"),
        ({"floor": "0.5"}, "floor is '0.5'; give a number"),
        ({"floor": True}, "floor is True"),
        ({"floor": 0.0}, "floor must be above 0"),
        ({"floor": 1.5}, "at most 1"),
        ({"slope": 0.0}, "slope must be above 0"),
        ({"slope": float("inf")}, "slope must be above 0"),
        ({"offset": float("nan")}, "finite"),
        ({"threshold": 1.0}, "threshold must be between 0 and 1"),
        ({"scale": 3.0}, "scale is 3.0; give a number for each modality"),
        ({"scale": {"text": 1.0}}, "same modalities"),
        ({"scale": {"text": 0.0, "image": 1.0}}, "scale must be above 0"),
        ({"bias": {"text": float("nan"), "image": 1.0}}, "finite"),
        ({"weight": {"text": -1.0, "image": 1.0}}, "no weight may be below 0"),
        ({"weight": {"text": 0.0, "image": 0.0}}, "one weight must be above 0"),
        ({"pool_windows": 0}, "at least 1"),
        ({"evidence": -1.0}, "at least 0"),
        ({"pool_windows": 1.5}, "whole number"),
    ],
)
def test_what_cannot_be_right_is_refused(parameters: DecisionParameters, change, message: str):
    values = {**parameters.to_dict(), **change}
    values = {name: value for name, value in values.items() if value is not ...}
    with pytest.raises(GalleryError, match=message):
        DecisionParameters.from_dict(values)
