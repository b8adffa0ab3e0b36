"""What runs on the device: packs, encoders, audio sources, windows, outputs, the command line. Without torch."""

import os

# Windows are analysed side by side, a thread each: NumPy's matrix products must not start threads of their own beside
# them. Read when NumPy is loaded; an own value is kept.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
