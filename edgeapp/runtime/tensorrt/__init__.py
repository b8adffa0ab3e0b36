"""TensorRT: built engines of a pack's graphs, on disk, on the GPU, and compared with the graph on the CPU.

Nothing here is imported where a graph runs on ONNX Runtime's CPU or CUDA.
"""
