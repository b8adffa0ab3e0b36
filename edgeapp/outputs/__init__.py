"""One writer per output format, behind one small protocol, and detections in words."""
