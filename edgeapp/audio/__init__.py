"""Audio input: sources, resampling, windows.

The trainer decodes and cuts with the same functions, so that training uses the same input as the device.
"""
