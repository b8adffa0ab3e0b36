"""Training of the aligned encoders."""

import edgeapp as edgeapp  # keeps libraries from reporting on their use, before any is loaded
