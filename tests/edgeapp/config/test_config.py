"""Settings come from one table: file, environment, flags and help agree, and nothing wrong in a file goes unseen."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from edgeapp.config import SETTINGS, Setting, Settings, load
from edgeapp.config.document import page
from edgeapp.config.file import example, read, toml_value
from edgeapp.config.flags import with_settings
from edgeapp.config.load import examine
from edgeapp.config.settings import THRESHOLD
from edgeapp.config.values import ConfigError
from tests.conftest import PROJECT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BY_KEY = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.delenv("BIOVITA_CONFIG", raising=False)


@pytest.fixture
def write(tmp_path: Path):
    def at(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return at


def other(setting: Setting):
    """A value that is not the default."""
    if setting.choices:
        one = next(choice for choice in setting.choices if choice != setting.default)
    elif setting.type is bool:
        one = not setting.default
    elif setting.type in (int, float):
        default = setting.default if setting.default is not None else setting.minimum or setting.above or 0
        step = 0.25 if setting.type is float and setting.maximum == 1 else 2
        one = setting.type(default - step if default and setting.maximum == 1 else default + step)
    elif setting.type is Path:
        one = Path("/somewhere/else")
    else:
        valid = {
            **{"mqtt.host": "broker.example", "webhook.url": "https://host/path", "input.channel": "best"},
            **{"birdweather.url": "https://host/path", "notify.quiet": "22:00-06:30"},
        }
        one = valid.get(setting.key, "Some: thing")
    return (one,) if setting.many else one


def command_of_all():
    seen = []

    def listen(settings: Settings, source: Annotated[str, typer.Argument()] = "") -> None:
        """Listen."""
        seen.append((settings, source))

    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    app.command()(with_settings(listen))
    return app, seen


def text_of(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@BY_KEY
def test_each_setting_can_be_set_in_the_file(setting, write):
    value = other(setting)
    assert value != setting.default
    shown = [str(one) if isinstance(one, Path) else one for one in value] if setting.many else value
    path = write(f"[{setting.section}]\n{setting.name} = {toml_value(shown)}\n")
    found = read(path)
    assert found.faults == []
    assert found.values == {setting.key: value}


@BY_KEY
def test_each_setting_can_be_set_in_the_environment_and_tells_so(setting):
    value = other(setting)
    text = ";".join(map(str, value)) if setting.many else text_of(value)
    settings = examine(environment={setting.variable: text}).settings
    assert settings.value(setting) == value
    assert settings.origin(setting) == f"environment {setting.variable}"


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.flag], ids=lambda setting: setting.key)
def test_each_flag_sets_its_setting_and_no_other(setting):
    app, seen = command_of_all()
    value = other(setting)
    if setting.type is bool:
        words = [setting.flag if value else f"--no-{setting.flag[2:]}"]
    elif setting.commas:
        words = [setting.flag, ",".join(value)]
    else:
        words = [word for one in (value if setting.many else [value]) for word in (setting.flag, str(one))]
    extra = {
        "detections.latitude": ["--longitude", "2"],
        "detections.longitude": ["--latitude", "2"],
        "detections.range_table": ["--latitude", "2", "--longitude", "2"],
        "detections.min_occurrence": ["--latitude", "2", "--longitude", "2"],
        "clips.longest": ["--pre-roll", "0"],
        "mqtt.ca_file": ["--mqtt-tls"],
        "mqtt.cert_file": ["--mqtt-tls"],
        "mqtt.key_file": ["--mqtt-tls", "--mqtt-cert-file", "garden.pem"],
    }.get(setting.key, [])
    done = CliRunner().invoke(app, [*words, *extra])
    assert done.exit_code == 0, done.output or done.exception
    settings, source = seen[0]
    assert (settings.value(setting), settings.origin(setting)) == (value, f"flag {setting.flag}")
    assert source == ""
    set_by_flags = {key for key, origin in settings.origins.items() if origin.startswith("flag")}
    assert len(set_by_flags) == 1 + sum(word.startswith("--") for word in extra)


def test_a_flag_goes_before_the_environment_which_goes_before_the_file(write):
    path = write("[station]\nhop = 1.0\n[microphone]\nstall = 3\n[log]\nkeep = 7\n")
    environment = {"BIOVITA_STATION_HOP": "2", "BIOVITA_MICROPHONE_STALL": "4"}
    settings = load(path, {"station.hop": "2.5"}, environment)
    assert (settings.station.hop, settings.microphone.stall, settings.log.keep) == (2.5, 4.0, 7)
    assert settings.origins == {
        "station.hop": "flag --hop",
        "microphone.stall": "environment BIOVITA_MICROPHONE_STALL",
        "log.keep": str(path),
    }


def test_the_example_file_changes_nothing_until_a_line_is_uncommented(write):
    path = write(example())
    settings = load(path, environment={})
    assert dataclasses.replace(settings, file=None) == Settings()
    # With every line uncommented it still says the same: the defaults in it are the defaults.
    path.write_text(re.sub(r'^#(?=[a-z_"])', "", example(), flags=re.MULTILINE), encoding="utf-8")
    found = read(path)
    assert found.faults == []
    assert found.thresholds == {"Parus major": 0.8}
    assert found.values == {setting.key: setting.default for setting in SETTINGS}


def test_every_fault_of_a_file_is_told_with_its_key_and_a_remedy(write):
    path = write(
        """
        hop = 3
        [staton]
        [station]
        hopp = 3
        hop = "often"
        threads = 0
        format = "tabel"
        stall = 4
        only = "Aves"
        [clips]
        pre_roll = true
        folder = 5
        [microphone]
        device = "USB"
        stall = nan
        [thresholds]
        Parus.major = 0.8
        "Parus minor" = 80
        """
    )
    told = [str(fault) for fault in examine(path, environment={}).faults]
    assert [line.removeprefix(f"{path}: ") for line in told] == [
        "hop: unknown section; it belongs under [station]",
        "staton: unknown section; did you mean 'station'?",
        "station.hopp: unknown setting; did you mean 'hop'?",
        "station.hop: is 'often', not a number; write for example 1",
        "station.threads: is 0; give at least 1",
        "station.format: there is no 'tabel'; did you mean 'table'?",
        "station.stall: unknown setting; it belongs under [microphone]",
        "clips.pre_roll: is true, not a number; write for example 2",
        'clips.folder: is 5, not a path; write for example "folder/file"',
        "microphone.stall: is nan; give above 0",
        'thresholds."Parus": is a table; write the name in quotes: "Parus major" = 0.8',
        'thresholds."Parus minor": is 80; give 0 to 1',
    ]


def test_one_line_names_the_first_fault_and_how_many_more(write):
    path = write("[station]\nhopp = 3\nthreads = 0\n")
    with pytest.raises(ConfigError) as raised:
        load(path, environment={})
    assert str(raised.value) == (
        f"{path}: station.hopp: unknown setting; did you mean 'hop'? (1 more; `biovita-edge config check` shows all)"
    )
    assert raised.value.exit_code == 2


def test_a_file_that_is_not_toml_is_told_with_its_line(write):
    path = write("[station]\nname = forest\n")
    with pytest.raises(ConfigError, match=r"is not TOML .*line 2"):
        load(path, environment={})


def test_a_named_file_must_be_there_and_the_default_one_need_not(tmp_path):
    assert load(environment={}) == Settings()
    for missing in ({"config": tmp_path / "no.toml"}, {"environment": {"BIOVITA_CONFIG": str(tmp_path / "no.toml")}}):
        with pytest.raises(ConfigError, match="no.toml: is not there"):
            load(**{"environment": {}, **missing})


def test_paths_in_a_file_start_at_its_folder_those_in_flags_here(write):
    path = write('[station]\njournal = "journal.sqlite"\npack = "~/pack"\n')
    settings = load(path, {"clips.folder": "clips"}, {})
    assert settings.station.journal == path.parent / "journal.sqlite"
    assert settings.station.pack == str(Path.home() / "pack")
    assert settings.clips.folder == Path("clips")
    assert settings.status_path == path.parent / "journal.status.json"


def test_an_empty_text_unsets_what_the_file_sets(write):
    path = write('[clips]\nfolder = "clips"\n[station]\nonly = ["Aves"]\nduration = 60.0\n')
    settings = load(path, {"clips.folder": "", "station.only": [""], "station.duration": ""}, {})
    assert (settings.clips.folder, settings.station.only, settings.station.duration) == (None, (), None)


def test_thresholds_of_flags_join_those_of_the_file(write):
    path = write('[thresholds]\n"Parus major" = 0.8\nAves = 0.5\n')
    settings = load(path, {THRESHOLD.key: ["Aves=0.25", "Bufo bufo = 1"]}, {})
    assert settings.thresholds == {"Parus major": 0.8, "Aves": 0.25, "Bufo bufo": 1.0}
    assert settings.origins["thresholds.Aves"] == "flag --threshold"
    assert settings.origins["thresholds.Parus major"] == str(path)


@pytest.mark.parametrize("text", ["Aves", "=0.5", "Aves=", "Aves=often", "Aves=2", "Aves=nan"])
def test_a_threshold_that_says_nothing_is_refused(text):
    with pytest.raises(ConfigError, match="--threshold"):
        load(None, {THRESHOLD.key: [text]}, {})


def test_a_variable_with_a_wrong_letter_is_told():
    with pytest.raises(ConfigError, match="BIOVITA_STATION_HOPP: unknown setting; did you mean 'BIOVITA_ST"):
        load(environment={"BIOVITA_STATION_HOPP": "3"})
    assert load(environment={"BIOVITA_THREADS": "2", "BIOVITA_SHARED": "x"}) == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[detections]\nlatitude = 52.5\n", "a location needs both coordinates"),
        ('[detections]\nrange_table = "range.csv"\n', "needs a location"),
        ('[mqtt]\npassword = "a"\npassword_file = "b"\n', "excludes password"),
        (
            '[input]\nwatch = "in"\n[microphone]\ndevice = ["USB"]\n',
            "a watched folder and microphones exclude each other",
        ),
        ("[clips]\nlongest = 3.0\n", "less than pre_roll and post_roll"),
        ('[webhook]\nheader = ["Token"]\n', "a header has no colon"),
        ('[webhook]\nheader = ["Töken: 1"]\n', "a header of the webhook cannot be sent"),
        ('[webhook]\nurl = "ftp://host/"\n', "invalid URL of the webhook"),
        ('[webhook]\nurl = "host:1/path"\n', "invalid URL of the webhook"),
        ('[webhook]\nurl = "http://host:99999/"\n', "invalid URL of the webhook"),
        ('[mqtt]\nhost = "mqtt://localhost:1883"\n', "the MQTT broker is given as a URL"),
        ('[mqtt]\nhost = "localhost:1883"\n', "the MQTT broker is not a host's name"),
        ('[mqtt]\ntopic = "a/+/#"\n', "MQTT topic 'a/./#' cannot be used"),
    ],
)
def test_settings_that_do_not_fit_together_are_told(write, text, told):
    with pytest.raises(ConfigError, match=told):
        load(write(text), environment={})


@pytest.mark.parametrize(
    "host", ["broker", "broker.example.", "192.0.2.1", "2001:db8::1", "[::1]", "bröker.example", "a_b"]
)
def test_a_broker_is_a_name_or_an_address(write, host):
    assert load(write(f'[mqtt]\nhost = "{host}"\n'), environment={}).mqtt.host == host


@pytest.mark.parametrize(
    "text",
    [
        "[mqtt]\npassword = 739182645\n",
        '[mqtt]\npassword = "739182645\\n"\n',
        '[mqtt]\npassword = ["739182645"]\n',
        "[webhook]\nurl = 739182645\n",
        '[webhook]\nurl = "ftp://739182645@host/739182645"\n',
        '[webhook]\nheader = ["739182645"]\n',
        "[webhook]\nheader = 739182645\n",
        '[webhook]\nheader = ["X: 739182645\\u0007"]\n',
    ],
)
def test_a_secret_that_is_wrong_is_never_shown(run, write, text):
    path = write(text)
    for command in ("check", "show"):
        done = run("config", command, "--config", path)
        assert done.exit_code == 2
        assert "739182645" not in done.stdout + done.stderr
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    assert "739182645" not in str(caught.value)


def test_a_wrong_flag_ends_as_one_line_that_names_it():
    app, _ = command_of_all()
    done = CliRunner().invoke(app, ["--format", "tabel"])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "--format: there is no 'tabel'; did you mean 'table'?"


def test_flags_keep_their_names_and_the_help_their_defaults():
    app, _ = command_of_all()
    text = " ".join(CliRunner().invoke(app, ["--help"]).output.replace("│", " ").split())
    for flag in [
        "--device",
        "--hop",
        "--pack",
        "--gallery",
        "--only",
        "--modalities",
        "--threads",
        "--provider",
        "--journal",
    ]:
        assert flag in text
    for flag in [
        "--min-confidence",
        "--latitude",
        "--longitude",
        "--duration",
        "--format",
        "-f",
        "--config",
        "--threshold",
    ]:
        assert flag in text
    assert "Seconds between the starts of windows; the pack's if not given (5 for starter); above 0." in text
    assert "Time within which these windows must agree; above 0. [default: 60]" in text
    assert "--mqtt-password " not in text  # a password on a command line is seen by every user of the machine


def test_every_setting_says_what_it_is():
    for setting in SETTINGS:
        assert setting.help.endswith(".")
    assert len({setting.flag for setting in SETTINGS if setting.flag}) == len([s for s in SETTINGS if s.flag])


def test_show_tells_value_and_origin_and_hides_secrets(run, write):
    path = write('[station]\nhop = 2.5\n[mqtt]\nhost = "h"\npassword = "s3cret"\n[webhook]\nheader = ["X: s3cret"]\n')
    told = run("config", "show", "--config", path, "--format", "json")
    shown = json.loads(told.stdout)
    assert shown["station"]["hop"]["value"] == 2.5
    assert shown["station"]["hop"]["origin"] == str(path)
    assert shown["station"]["pack"]["origin"] == "default"
    assert (shown["mqtt"]["password"]["value"], shown["webhook"]["header"]["value"]) == ("(hidden)", "(hidden)")
    text = run("config", "show", "--long", "--config", path).stdout
    assert "s3cret" not in told.stdout + text
    assert re.search(rf"^hop = 2.5 +# {path}$", text, re.MULTILINE)
    assert "--hop; BIOVITA_STATION_HOP" in text
    assert tomllib.loads(text)["station"]["hop"] == 2.5


def test_check_tells_all_and_ends_with_2(run, write):
    path = write('[station]\nhopp = 1\nthreads = 0\npack = "./nowhere"\n')
    done = run("config", "check", "--config", path)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 3
    assert f"{path.parent / 'nowhere'} is not there" in done.stderr
    assert run("config", "check", "--config", write("")).exit_code == 0


def test_a_pack_in_a_file_is_a_name_or_a_folder_beside_the_file(run, write):
    path = write('[station]\npack = "starter"\n')
    assert load(path, {}, {}).station.pack == "starter"
    assert run("config", "check", "--config", path).exit_code == 0
    path = write('[station]\npack = "mine"\n')
    assert load(path, {}, {}).station.pack == "mine"
    done = run("config", "check", "--config", path)
    assert (done.exit_code, "'mine': is not installed" in done.stderr) == (2, True)
    (path.parent / "mine").mkdir()
    assert load(path, {}, {}).station.pack == str(path.parent / "mine")
    (path.parent / "starter").mkdir()
    assert load(write('[station]\npack = "starter"\n'), {}, {}).station.pack == "starter"
    assert load(write('[station]\npack = "./starter"\n'), {}, {}).station.pack == str(path.parent / "starter")


def test_init_writes_a_file_for_its_owner_and_leaves_an_older_one(run, tmp_path):
    path = tmp_path / "new" / "config.toml"
    assert run("config", "init", "--config", path).exit_code == 0
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("# mine\n")
    done = run("config", "init", "--config", path)
    assert (done.exit_code, path.read_text()) == (2, "# mine\n")
    assert "exists already" in str(done.stderr)


def test_path_is_the_users_own_or_the_named_one(run, tmp_path):
    own = Path(run("config", "path").stdout.strip())
    assert own.name == "config.toml" and tmp_path / "home" in own.parents
    assert run("config", "path", "--config", "my.toml").stdout == "my.toml\n"


def test_naming_a_recording_does_not_wait_for_the_settings():
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, edgeapp.cli; print([m for m in sys.modules if 'edgeapp.config' in m])"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=True,
    )
    assert seen.stdout.strip() == "[]"


def test_the_page_of_settings_is_that_of_the_table():
    made = "make it anew: python -m edgeapp.config.document > docs/settings.md"
    assert (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8") == page(), made
    assert all(f"| `{setting.name}` |" in page() for setting in SETTINGS)


def test_a_command_whose_annotation_python_3_10_would_change_is_refused():
    def listen(settings: Settings, source: Annotated[str | None, typer.Argument()] = None) -> None:
        """Listen."""

    with pytest.raises(TypeError, match="None as its default"):
        with_settings(listen)


def thresholds(*texts: str) -> dict[str, float]:
    return dict(load(flags={THRESHOLD.key: texts}, environment={}).thresholds)


def test_thresholds_of_the_command_line():
    assert thresholds(" Parus   major = 0.8 ", "Aves=1") == {"Parus major": 0.8, "Aves": 1.0}
    with pytest.raises(ConfigError, match="Aves has two thresholds"):
        thresholds("Aves=1", "Aves=0.5")


@pytest.mark.parametrize("text", ["", "Aves", "=0.5", "Aves=", "Aves=high", "Aves=1.5", "Aves=-0.1", "Aves=nan"])
def test_a_threshold_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="^--threshold: "):
        thresholds(text)
