"""Groups of options in the help of long commands."""

from __future__ import annotations

RECOGNITION = "Recognition"
PRIVACY = "Privacy"
PLACE = "Place and season"
OUTPUT = "Output"
OTHER_INPUT = "Other input"
SOURCES = "Sources"
CHOICE = "Selection"
DOWNLOAD = "Download"
DATA_SET = "Data set"
# Section of the settings -> the group of its flags, for settings that name no other.
OF_SECTION = {
    "station": RECOGNITION,
    "microphone": "Microphone",
    "input": OTHER_INPUT,
    "detections": "Detections",
    "thresholds": "Detections",
    "privacy": PRIVACY,
    "clips": "Clips",
    "mqtt": "MQTT",
    "webhook": "Webhook",
    "notify": "Notifications",
    "birdweather": "BirdWeather",
    "web": "Live page",
    "log": "Log",
}
