"""Packs of ONNX audio classifiers with an embedding and a linear last layer: `python -m export trunk`."""
