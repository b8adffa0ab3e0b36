"""Execution of encoders: ONNX Runtime and TensorRT engines."""
