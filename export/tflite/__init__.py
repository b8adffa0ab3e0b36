"""Conversion of TFLite audio classifiers to ONNX, operator by operator, without TensorFlow."""
