"""The station: microphone supervision, classification of windows, storage of detections."""
