"""What runs on the device: packs, encoders, audio sources, windows, outputs, the command line. Without torch."""
