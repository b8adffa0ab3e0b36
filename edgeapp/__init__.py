"""What runs on the device: packs, encoders, audio sources, windows, outputs and the command line. Never imports torch."""
