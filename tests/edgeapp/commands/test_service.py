"""The unit file that keeps a station running."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeapp.commands import service as service_commands
from edgeapp.service.unit import MARK, NAME, Unit, quoted

FOREST = Unit(Path("/opt/biovita/bin/python"), Path("/etc/biovita edge/config.toml"), "forest")

SYSTEM_UNIT = f"""{MARK}
[Unit]
Description=Acoustic monitoring station (biovita-edge)
After=sound.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/opt/biovita/bin/python -m edgeapp listen --config "/etc/biovita edge/config.toml" --wait
ExecReload=/bin/kill -HUP $MAINPID
Environment=PYTHONUNBUFFERED=1
Restart=always
RestartSec=10
WatchdogSec=180
TimeoutStartSec=15min
TimeoutStopSec=90
KillMode=mixed
NoNewPrivileges=yes
User=forest
SupplementaryGroups=audio
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy=multi-user.target
"""

USER_UNIT = f"""{MARK}
[Unit]
Description=Acoustic monitoring station (biovita-edge)
After=pipewire.service pulseaudio.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/bin/python3 -m edgeapp listen --wait
ExecReload=/bin/kill -HUP $MAINPID
Environment=PYTHONPATH=/src
Environment=PYTHONUNBUFFERED=1
Restart=always
RestartSec=10
WatchdogSec=180
TimeoutStartSec=15min
TimeoutStopSec=90
KillMode=mixed
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("BIOVITA_CONFIG", raising=False)
    return tmp_path / "systemd" / "user"


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl and a loginctl that write down what they were asked; gives the file."""
    told, folder = tmp_path / "told", tmp_path / "bin"
    folder.mkdir()
    for name in ("systemctl", "loginctl"):
        program = folder / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {told}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return told


def test_the_unit_of_the_system_and_of_a_user():
    assert FOREST.text() == SYSTEM_UNIT
    assert Unit(Path("/usr/bin/python3"), path=Path("/src")).text() == USER_UNIT


@pytest.mark.parametrize(
    ("word", "written"),
    [("plain", "plain"), ("two words", '"two words"'), ('a"b', '"a\\"b"'), ("50%", "50%%"), ("$HOME", "$$HOME")],
)
def test_a_path_survives_the_command_line_of_systemd(word, written):
    assert quoted(word) == written


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (package systemd)")
@pytest.mark.parametrize("user", [None, "root"], ids=["user", "system"])
def test_systemd_understands_every_line(tmp_path, user):
    config = tmp_path / "a $strange 100% folder" / "config.toml"
    unit = tmp_path / NAME
    unit.write_text(Unit(Path(sys.executable), config, user, tmp_path, tmp_path / "my 100% packs").text())
    words = ["systemd-analyze", *([] if user else ["--user"]), "--man=no", "--recursive-errors=no", "verify"]
    done = subprocess.run(
        [*words, str(unit)], capture_output=True, text=True, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if NAME in line]) == (0, [])
    # And it would have told of a line it does not know.
    unit.write_text(unit.read_text().replace("Restart=always", "Restart=perhaps"))
    wrong = subprocess.run(
        [*words, str(unit)], capture_output=True, text=True, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    )
    assert "perhaps" in wrong.stderr


def test_install_writes_the_unit_and_tells_how_to_start_it(run, user_folder, tmp_path, systemctl):
    config = tmp_path / "config.toml"
    config.write_text("[station]\nhop = 2.5\n")
    done = run("service", "install", "--config", config)
    assert done.exit_code == 0, done.output
    unit = (user_folder / NAME).read_text()
    assert f"ExecStart={sys.executable} -m edgeapp listen --config {config} --wait\n" in unit
    assert "User=" not in unit
    assert "systemctl --user enable --now biovita-edge.service" in done.stdout
    assert not systemctl.exists()  # nothing was run
    assert run("service", "show").stdout == unit
    assert os.listdir(user_folder) == [NAME]


def test_the_service_has_the_packs_of_who_installed_it(run, user_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BIOVITA_PACKS", str(tmp_path / "my packs"))
    run("service", "install")
    assert f'\nEnvironment="BIOVITA_PACKS={tmp_path}/my packs"\n' in (user_folder / NAME).read_text()
    monkeypatch.delenv("BIOVITA_PACKS")
    run("service", "install")
    assert "BIOVITA_PACKS" not in (user_folder / NAME).read_text()


def test_now_runs_the_commands_and_uninstall_takes_all_back(run, user_folder, systemctl):
    assert run("service", "install", "--now").exit_code == 0
    assert "--config" not in (user_folder / NAME).read_text()  # there is no file of settings
    assert run("service", "uninstall", "--now").exit_code == 0
    assert systemctl.read_text().splitlines() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now biovita-edge.service",
        "loginctl enable-linger",
        "systemctl --user disable --now biovita-edge.service",
        "systemctl --user daemon-reload",
    ]
    assert not (user_folder / NAME).exists()
    assert run("service", "uninstall").exit_code == 2


def test_a_service_of_the_system_runs_as_a_person(run, tmp_path, monkeypatch, user_folder):
    monkeypatch.setattr(service_commands, "SYSTEM_FOLDER", tmp_path / "system")
    assert run("service", "install", "--system", "--run-as", "root").exit_code == 0
    unit = (tmp_path / "system" / NAME).read_text()
    assert "\nUser=root\nSupplementaryGroups=audio\n" in unit
    done = run("service", "install", "--run-as", "root")
    assert (done.exit_code, "--run-as needs --system" in done.stderr) == (2, True)


def test_a_service_that_could_only_fail_is_not_written(run, user_folder, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("[station]\nhopp = 2.5\n")
    for path in (config, tmp_path / "missing.toml"):
        done = run("service", "install", "--config", path)
        assert (done.exit_code, (user_folder / NAME).exists()) == (2, False)


def test_a_unit_of_somebody_else_is_left_alone(run, user_folder):
    user_folder.mkdir(parents=True)
    (user_folder / NAME).write_text("[Service]\nExecStart=/bin/true\n")
    for command in ("install", "uninstall"):
        done = run("service", command)
        assert done.exit_code == 2
        assert "not written by biovita-edge" in done.stderr
    assert (user_folder / NAME).read_text().startswith("[Service]")
