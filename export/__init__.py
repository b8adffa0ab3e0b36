"""From a checkpoint to a pack: ONNX graphs, checked from waveform to vector."""
