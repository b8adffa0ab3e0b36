"""Export of checkpoints and public classifiers as packs: ONNX graphs, checked from waveform to vector."""

import edgeapp as edgeapp  # keeps libraries from reporting on their use, before any is loaded
