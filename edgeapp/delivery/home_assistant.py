"""What Home Assistant is told of a station: one device, with sensors of its detections, its state and its microphones.

The payload is that of its MQTT integration for a whole device (``homeassistant/device/ID/config``, Home Assistant
2024.11 and later): https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeapp.delivery.station_state import STATION_STATES
from edgeapp.paths import PROGRAM

ONLINE, OFFLINE = "online", "offline"
PREFIX = "homeassistant"
MICROPHONE_STATES = (
    *("starting", "hearing", "silent", "stalled", "lost", "back"),
    *("dead channel", "inverted channel", "noisy channel"),
)
# Topics of the sensors that earlier versions announced one by one; an empty message removes them.
EARLIER = ("sensor/{node}/last_detection", "sensor/{node}/last_confidence")


@dataclass(frozen=True)
class Topics:
    """Topics of a station.

    Attributes
    ----------
    detections : str
    """

    detections: str

    @property
    def base(self) -> str:
        """What all of them begin with."""
        return self.detections.rpartition("/")[0] or self.detections

    @property
    def availability(self) -> str:
        """``online`` or ``offline``, retained."""
        return f"{self.base}/availability"

    @property
    def state(self) -> str:
        """The state of the station."""
        return f"{self.base}/state"

    @property
    def probe(self) -> str:
        """Where `doctor` publishes."""
        return f"{self.base}/probe"

    def microphone(self, number: int) -> str:
        """The state of a microphone, from 1."""
        return f"{self.base}/microphones/{number}/state"


def earlier_topics(node: str, prefix: str = PREFIX) -> list[str]:
    """Where sensors were announced by earlier versions."""
    return [f"{prefix}/{topic.format(node=node)}/config" for topic in EARLIER]


def device_config(
    topics: Topics, node: str, name: str, version: str, microphones: Sequence[str], prefix: str = PREFIX
) -> tuple[str, dict[str, Any]]:
    """Topic and payload that announce a station and all its sensors.

    Parameters
    ----------
    topics : Topics
    node : str
        Id of the station: ASCII letters, digits, ``_`` and ``-``.
    name, version : str
        Of the station, and of this program.
    microphones : sequence of str
        Their names, in the order of their numbers.
    prefix : str
        Under which Home Assistant looks.
    """
    found: dict[str, dict[str, Any]] = {}

    def add(key: str, label: str, platform: str = "sensor", **fields: Any) -> None:
        found[key] = {"platform": platform, "unique_id": f"{node}_{key}", "name": label, **fields}

    diagnostic = {"entity_category": "diagnostic", "state_topic": topics.state}
    add(
        "last_detection",
        "Last detection",
        state_topic=topics.detections,
        value_template=_newest("value_json.taxon.scientific_name", "this.state"),
        json_attributes_topic=topics.detections,
        json_attributes_template=_newest("value_json | tojson", "this.attributes | tojson"),
        icon="mdi:bird",
    )
    add(
        "last_confidence",
        "Confidence of the last detection",
        state_topic=topics.detections,
        value_template=_newest("(value_json.confidence * 100) | round(1)", "this.state"),
        unit_of_measurement="%",
        state_class="measurement",
        icon="mdi:percent",
    )
    add(
        "detections",
        "Detections",
        state_topic=topics.state,
        value_template="{{ value_json.detections }}",
        state_class="total_increasing",
        icon="mdi:counter",
    )
    add(
        "state",
        "State",
        **diagnostic,
        value_template="{{ value_json.state }}",
        device_class="enum",
        options=list(STATION_STATES),
    )
    add(
        "problem",
        "Problem",
        "binary_sensor",
        **diagnostic,
        value_template="{{ 'ON' if value_json.problem else 'OFF' }}",
        json_attributes_topic=topics.state,
        device_class="problem",
    )
    add(
        "messages_waiting",
        "Messages waiting",
        **diagnostic,
        value_template="{{ value_json.messages_waiting }}",
        state_class="measurement",
        icon="mdi:tray-full",
    )
    for number, called in enumerate(microphones, start=1):
        of_it = {"state_topic": topics.microphone(number), "entity_category": "diagnostic"}
        add(
            f"microphone_{number}",
            f"Microphone {called}",
            **of_it,
            value_template="{{ value_json.state }}",
            json_attributes_topic=topics.microphone(number),
            device_class="enum",
            options=list(MICROPHONE_STATES),
            icon="mdi:microphone",
        )
        add(
            f"microphone_{number}_level",
            f"Level of {called}",
            **of_it,
            value_template="{{ value_json.level_dbfs }}",  # of null this makes None, which is an unknown value there
            unit_of_measurement="dBFS",
            state_class="measurement",
            icon="mdi:volume-medium",
        )
        add(
            f"microphone_{number}_problem",
            f"Problem of {called}",
            "binary_sensor",
            **of_it,
            value_template="{{ 'ON' if value_json.problem else 'OFF' }}",
            device_class="problem",
        )
    payload = {
        "device": {
            "identifiers": [node],
            "name": f"{PROGRAM} {name}",
            "manufacturer": PROGRAM,
            "model": "Acoustic monitoring station",
            **({"sw_version": version} if version else {}),
        },
        "origin": {"name": PROGRAM, **({"sw_version": version} if version else {})},
        "availability": [{"topic": topics.availability, "payload_available": ONLINE, "payload_not_available": OFFLINE}],
        "qos": 1,
        "components": found,
    }
    return f"{prefix}/device/{node}/config", payload


def _newest(value: str, before: str) -> str:
    """A template of Home Assistant that an update of an earlier detection does not change."""
    return f"{{{{ ({before}) if value_json.updated else ({value}) }}}}"
