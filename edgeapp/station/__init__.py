"""The listening station: microphones that are watched, windows that are judged, detections that are kept."""
