"""Export of checkpoints and public classifiers as packs: ONNX graphs, checked from waveform to vector."""
