"""Sound on its way to the encoder: sources, resampling, windows.

The trainer decodes and cuts with the same functions, so that training hears what the device hears.
"""
