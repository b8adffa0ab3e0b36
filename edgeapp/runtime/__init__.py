"""What runs the encoders: ONNX Runtime, and engines of TensorRT."""
