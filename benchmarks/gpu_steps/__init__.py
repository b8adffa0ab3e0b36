"""The steps of `benchmarks/gpu.py`, a module each; every step runs in a process of its own."""

import edgeapp as edgeapp  # keeps libraries from reporting on their use, before any is loaded
