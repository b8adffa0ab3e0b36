"""Training of the aligned encoders: one code path, two sizes (presets ``starter`` and ``biovita``)."""
