"""Which detections count: thresholds, lists, range, confirmation, speech."""
