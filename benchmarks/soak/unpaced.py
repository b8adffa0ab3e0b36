"""`edgeapp.audio.microphones.receive` for a server that sends faster than real time."""

from __future__ import annotations

import math
import sys

from edgeapp.audio.microphones import receive

if __name__ == "__main__":
    receive.AHEAD_S = math.inf
    sys.exit(receive.main())
