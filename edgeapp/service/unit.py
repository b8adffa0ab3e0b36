"""The unit file that makes the station a service of systemd.

The unit has Type=notify and a watchdog: the station sends ``READY=1`` when it hears or waits for a microphone, and
``WATCHDOG=1`` while it is alive (sd_notify(3)).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeapp.pack.installed import VARIABLE

NAME = "biovita-edge.service"
WATCHDOG_S = 180  # an encoder on a small board may take its time; a station that hangs must not
RESTART_S = 10
STOP_S = 90  # what was heard is finished before the end

MARK = "# Written by `biovita-edge service install`, which overwrites it; put changes into a drop-in file."

# What keeps the service from harming the machine, and leaves it /dev/snd, the sound server's socket and the network.
# Without PrivateDevices and PrivateTmp, which hide cards and sockets; without MemoryDenyWriteExecute, since ONNX
# Runtime and TensorRT make code as they run.
HARDENING = (
    "ProtectSystem=full",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
)


@dataclass(frozen=True)
class Unit:
    """What a unit file says.

    Attributes
    ----------
    interpreter : Path
        The Python that has the program, absolute.
    config : Path or None
        File of settings, absolute; the default one of the user when None.
    user : str or None
        Who runs a service of the system; None for a service of a user.
    path : Path or None
        Folder in which the program lies, where it is not installed in `interpreter`.
    packs : Path or None
        Folder of packs, absolute, where ``BIOVITA_PACKS`` names it.
    """

    interpreter: Path
    config: Path | None = None
    user: str | None = None
    path: Path | None = None
    packs: Path | None = None

    def text(self) -> str:
        """The unit file."""
        words = [str(self.interpreter), "-m", "edgeapp", "listen"]
        words += ["--config", str(self.config)] if self.config is not None else []
        words += ["--wait"]
        lines = [
            MARK,
            "[Unit]",
            "Description=Acoustic monitoring station (biovita-edge)",
            # The clock and the network need not be there: rows are marked, messages wait.
            "After=sound.target" if self.user is not None else "After=pipewire.service pulseaudio.service",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=notify",
            f"ExecStart={' '.join(map(quoted, words))}",
            "ExecReload=/bin/kill -HUP $MAINPID",
            *([f"Environment={quoted(f'PYTHONPATH={self.path}', in_command=False)}"] if self.path is not None else []),
            *(
                [f"Environment={quoted(f'{VARIABLE}={self.packs}', in_command=False)}"]
                if self.packs is not None
                else []
            ),
            "Environment=PYTHONUNBUFFERED=1",
            "Restart=always",
            f"RestartSec={RESTART_S}",
            f"WatchdogSec={WATCHDOG_S}",
            # The first start of an accelerator builds an engine.
            "TimeoutStartSec=15min",
            f"TimeoutStopSec={STOP_S}",
            # The processes that record end with the station, not before it.
            "KillMode=mixed",
            "NoNewPrivileges=yes",
        ]
        if self.user is not None:
            lines += [f"User={self.user}", "SupplementaryGroups=audio", *HARDENING]
        lines += ["", "[Install]", f"WantedBy={'multi-user' if self.user is not None else 'default'}.target", ""]
        return "\n".join(lines)


def quoted(word: str, in_command: bool = True) -> str:
    """A word as systemd reads it: systemd.service(5), "Command lines"; a dollar sign means something only there."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    text = text.replace("$", "$$") if in_command else text
    return text if text.isascii() and not set(text) & set(" \t'\";\\") else f'"{text}"'
