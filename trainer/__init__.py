"""Training of the aligned encoders."""
