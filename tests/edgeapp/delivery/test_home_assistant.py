"""What Home Assistant is told keeps to the documented fields of its MQTT integration, and its templates find values."""

from __future__ import annotations

import json
import re

import jinja2
import pytest

from edgeapp.delivery.home_assistant import MICROPHONE_STATES, Topics, device_config
from edgeapp.delivery.station_state import StationState
from edgeapp.station.microphone_health import State
from tests.conftest import PROJECT

TOPICS = Topics("biovita/garden/detections")

# The options of the documentation of MQTT discovery, of sensors and of binary sensors:
# home-assistant.io/integrations/mqtt, /integrations/sensor.mqtt and /integrations/binary_sensor.mqtt
AVAILABILITY = {"topic", "payload_available", "payload_not_available", "value_template"}
OF_DEVICE = {
    *("configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model", "model_id", "name"),
    *("serial_number", "suggested_area", "sw_version", "via_device"),
}
OF_ORIGIN = {"name", "sw_version", "support_url"}
SHARED = {"availability", "availability_mode", "availability_topic", "command_topic", "encoding", "qos", "state_topic"}
OF_EVERY_ENTITY = {
    *("platform", "unique_id", "name", "state_topic", "value_template", "icon", "entity_category", "entity_picture"),
    *("enabled_by_default", "expire_after", "force_update", "json_attributes_template", "json_attributes_topic"),
    *("default_entity_id", "device_class", "qos", "encoding"),
}
OF_PLATFORM = {
    "sensor": OF_EVERY_ENTITY
    | {"last_reset_value_template", "options", "state_class", "suggested_display_precision", "unit_of_measurement"},
    "binary_sensor": OF_EVERY_ENTITY | {"off_delay", "payload_on", "payload_off"},
}
STATE_CLASSES = {"measurement", "measurement_angle", "total", "total_increasing"}
DEVICE_CLASSES = {"sensor": {"enum", "duration", "signal_strength"}, "binary_sensor": {"problem", "connectivity"}}


@pytest.fixture(params=[[], ["USB"], ["USB", "Garten"]], ids=len)
def told(request):
    topic, payload = device_config(TOPICS, "biovita-edge-garden", "garden", "1.0", request.param)
    assert topic == "homeassistant/device/biovita-edge-garden/config"
    return json.loads(json.dumps(payload))


def test_every_field_is_documented(told):
    assert set(told) <= SHARED | {"device", "origin", "components"}
    assert {"name"} <= set(told["origin"]) <= OF_ORIGIN
    assert {"identifiers"} <= set(told["device"]) <= OF_DEVICE
    assert all({"topic"} <= set(one) <= AVAILABILITY for one in told["availability"])
    for name, component in told["components"].items():
        allowed = OF_PLATFORM[component["platform"]]
        assert {"platform", "unique_id", "state_topic"} <= set(component) <= allowed, name
        assert component.get("state_class", "measurement") in STATE_CLASSES
        assert (
            component.get("device_class", "problem" if component["platform"] != "sensor" else "enum")
            in (DEVICE_CLASSES[component["platform"]])
        )


def test_the_rules_of_home_assistant_for_sensors_are_kept(told):
    """An enum has options and neither unit nor state class; options need an enum; ids are unique."""
    components = told["components"].values()
    assert len({one["unique_id"] for one in components}) == len(components)
    for one in components:
        assert (one.get("device_class") == "enum") == ("options" in one)
        assert not ("options" in one and ("unit_of_measurement" in one or "state_class" in one))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", told["device"]["identifiers"][0])


def test_states_of_microphones_are_those_that_there_are():
    assert set(MICROPHONE_STATES) == {state.value for state in State}


def rendered(text: str, value: object, **more: object) -> str:
    """A template of Home Assistant, which reads these as Jinja does."""
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(text).render(value_json=value, **more)


def test_templates_of_detections_find_what_is_in_the_document():
    document = json.loads((PROJECT / "tests/edgeapp/journal/golden_document.json").read_text(encoding="utf-8"))
    found = device_config(TOPICS, "n", "garden", "", [])[1]["components"]
    earlier = {"state": "earlier", "attributes": {"id": "earlier"}}
    for updated, shown in ((False, ["Parus", "75.0", document["id"]]), (True, ["earlier", "earlier", "earlier"])):
        value = document | {"updated": updated}
        last, confidence = found["last_detection"], found["last_confidence"]
        values = [rendered(one["value_template"], value, this=earlier) for one in (last, confidence)]
        attributes = json.loads(rendered(last["json_attributes_template"], value, this=earlier))
        assert [*values, attributes["id"]] == shown


@pytest.mark.parametrize(("state", "problem"), [("hearing", "OFF"), ("silent", "ON")])
def test_templates_of_states_find_what_is_in_them(state, problem):
    told = StationState.of(
        {
            **{"state": "listening", "detections": 7, "targets": {"mqtt": {"state": "ok", "waiting": 2}}},
            "microphones": [{"name": "USB", "state": state, "why": "flat", "level_dbfs": None}],
        }
    )
    values = {TOPICS.state: told.station, TOPICS.microphone(1): told.microphones[0]}
    found = {
        name: rendered(one["value_template"], values[one["state_topic"]])
        for name, one in device_config(TOPICS, "n", "garden", "", ["USB"])[1]["components"].items()
        if one["state_topic"] in values
    }
    assert found == {
        **{"detections": "7", "state": "listening", "problem": problem, "messages_waiting": "2"},
        **{"microphone_1": state, "microphone_1_level": "None", "microphone_1_problem": problem},
    }
