"""Recognition: windows to vectors, and vectors to detections."""
