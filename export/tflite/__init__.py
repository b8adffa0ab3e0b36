"""TFLite classifiers of sound as ONNX graphs: read, folded, lowered operator by operator, without TensorFlow."""
