"""An RTSP server of the test's own: GStreamer's, in the system's Python, where its bindings are installed.

    python3 rtsp_server.py PORT [USER PASSWORD]

It serves `/tone`, 1 kHz in stereo at 16 kHz; `/video` without sound; `/both`, pictures and sound. Standard input takes
orders: `drop` closes the connections of all clients; the end of the input ends the server.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"
TONE = (
    "audiotestsrc is-live=true wave=sine freq=1000 volume=0.5 ! audio/x-raw,rate=16000,channels=2 ! audioconvert ! "
    "audio/x-raw,format=S16BE ! rtpL16pay name=pay{} pt=97"
)
PICTURES = (
    "videotestsrc is-live=true ! video/x-raw,format=RGB,width=64,height=48,framerate=5/1 ! rtpvrawpay name=pay0 pt=96"
)
PATHS = {"/tone": TONE.format(0), "/video": PICTURES, "/both": f"{PICTURES} {TONE.format(1)}"}


@cache
def missing() -> str:
    """What this machine lacks for such a server; empty when it lacks nothing."""
    code = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True)
    except OSError:
        return "there is no system Python"
    return "GStreamer's RTSP server is not installed (Debian: gir1.2-gst-rtsp-server-1.0)" if done.returncode else ""


class RtspServer:
    """A running server."""

    def __init__(self, port: int, user: str = "", password: str = "") -> None:
        log_in = [user, password] if user else []
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(Path(__file__)), str(port), *log_in], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())  # 0 asked for one that is free

    def drop(self) -> None:
        """Close all connections."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"drop\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """A camera that loses its power."""
        self._process.kill()
        self._process.wait()


@contextmanager
def rtsp_server(port: int = 0, user: str = "", password: str = "") -> Iterator[RtspServer]:
    """Start a server, and end it."""
    server = RtspServer(port, user, password)
    try:
        yield server
    finally:
        server.kill()


def _serve() -> None:
    import threading

    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    for path, launch in PATHS.items():
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(f"( {launch} )")
        factory.set_shared(True)
        server.get_mount_points().add_factory(path, factory)
        if len(sys.argv) > 2:
            role = "listener"
            permissions = GstRtspServer.RTSPPermissions.new()
            permissions.add_permission_for_role(role, "media.factory.access", True)
            permissions.add_permission_for_role(role, "media.factory.construct", True)
            factory.set_permissions(permissions)
    if len(sys.argv) > 2:
        auth = GstRtspServer.RTSPAuth.new()
        token = GstRtspServer.RTSPToken.new()
        token.set_string("media.factory.role", role)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(sys.argv[2], sys.argv[3]), token)
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        server.set_auth(auth)
    loop = GLib.MainLoop()
    server.attach(None)
    print(server.get_bound_port(), flush=True)

    def dropped() -> bool:
        server.client_filter(lambda server, client: GstRtspServer.RTSPFilterResult.REMOVE)
        return False

    def obey() -> None:
        for _ in sys.stdin:
            GLib.idle_add(dropped)
        loop.quit()

    threading.Thread(target=obey, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    _serve()
