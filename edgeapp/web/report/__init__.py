"""Reports: one HTML file that opens anywhere, without a network, with spectrograms, sound and pictures in it."""
