"""Any ONNX classifier of sound with an embedding and a linear last layer as a pack: `python -m export trunk`."""
