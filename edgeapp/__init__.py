"""What runs on the device: packs, encoders, audio sources, windows, outputs, the command line. Without torch."""

import os

# Windows are analysed side by side, a thread each: NumPy's matrix products must not start threads of their own beside
# them. Read when NumPy is loaded; an own value is kept.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Libraries that would report on their use, and what keeps each from it. Read when the library is loaded, by child
# processes too; no other value is kept: nothing is sent anywhere.
TELEMETRY_OFF = {
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, and what is built on it
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime from 1.29 on: an identity in the user's cache, and its maker's host
    "RAY_USAGE_STATS_ENABLED": "0",
}
os.environ.update(TELEMETRY_OFF)
