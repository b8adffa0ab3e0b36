"""`config check`, `listen` and `doctor` refuse the same settings, in the same words."""

from __future__ import annotations

import json

import pytest

from edgeapp.doctor import checkup
from edgeapp.doctor.checkup import examine

FAULTY = {
    "a language": ('[station]\nlanguage = "xx"\n', "station.language: there are no names in the language 'xx'"),
    "a taxon": ('[station]\nonly = ["Dodo"]\n', "station.only: no taxon is called 'Dodo'"),
    "a zone": ('[input]\nrecorder_zone = "Mars/One"\n', "input.recorder_zone: there is no time zone 'Mars/One'"),
    "a channel": ('[input]\nchannel = "up"\n', "input.channel: there is no channel 'up'"),
    "a watched file": ('[input]\nwatch = "list.txt"\n', "is not a readable folder"),
    "no threshold of speech": ("[privacy]\nspeech_threshold = 0\n", "privacy.speech_threshold: is 0"),
    "no list": ('[detections]\nspecies_list = "none.txt"\n', "none.txt is not there"),
    "an empty list": ('[detections]\nspecies_list = "empty.txt"\n', "empty.txt is empty"),
    "a bad table": (
        '[detections]\nlatitude = 1\nlongitude = 2\nrange_table = "list.txt"\n',
        "detections.range_table: range table",
    ),
    "no model": (
        "[detections]\nlatitude = 1\nlongitude = 2\nmin_occurrence = 0.5\n",
        "detections.min_occurrence: pack toy has no occurrence model",
    ),
    "a threshold": ('[thresholds]\n"Dodo" = 0.5\n', "thresholds: threshold of 'Dodo'"),
    "confirmation": ("[detections]\nconfirm = 50\n", "detections.confirm: 50 non-overlapping windows"),
    "a certificate": (
        '[mqtt]\nhost = "localhost"\ntls = true\nca_file = "list.txt"\n',
        "mqtt.host: {folder}/list.txt: no certificates",
    ),
    "a page for all": (
        '[web]\non = true\naddress = "0.0.0.0"\npassword_file = "none"\n',
        "web.address: the page at 0.0.0.0 could be used by everybody",
    ),
    "quiet hours": ('[notify]\nurl = ["json://x"]\nquiet = "22-6"\n', "notify.quiet: '22-6' are no quiet hours"),
    "a service": ('[notify]\nurl = ["tok3n"]\n', "notify.url: URL 1 of notify.url is not one of Apprise"),
    "a taxon to tell": ('[notify]\nspecies = ["Dodo"]\n', "notify.species: no taxon is called 'Dodo'"),
    "a title": ('[notify]\nurl = ["json://x"]\ntitle = "{{ bird }}"\n', "notify.title: 'bird' is undefined"),
    "a body": (
        '[webhook]\nurl = "https://x/"\ntemplate = "list.txt"\n',
        "webhook.url: {folder}/list.txt: does not make JSON",
    ),
    "a token": ('[birdweather]\ntoken = "tok3n/x"\n', "birdweather.token: the token of BirdWeather cannot be one"),
    "no TLS": ('[mqtt]\nhost = "localhost"\nca_file = "list.txt"\n', "mqtt.ca_file: needs TLS"),
    "a secret twice": (
        '[webhook]\nurl = "https://x/"\nurl_file = "list.txt"\n',
        "webhook.url_file: excludes url",
    ),
    # Files in the place of others.
    "a status for a journal": (
        '[station]\nstatus = "journal.sqlite"\n',
        "station.status: {folder}/journal.sqlite: is the",
    ),
    "a status for settings": (
        '[station]\nstatus = "./config.toml"\n',
        "{folder}/config.toml: is the file of the settings",
    ),
    "a status for a list": (
        '[station]\nstatus = "list.txt"\n',
        "{folder}/list.txt: is there, and no status of a station",
    ),
    "a status for a device": ('[station]\nstatus = "/dev/null"\n', "/dev/null: is no regular file"),
    "a log for a journal": (
        '[log]\nfile = "journal.sqlite"\n',
        "log.file: {folder}/journal.sqlite: is the file of the",
    ),
    "a log for a status": ('[log]\nfile = "journal.status.json"\n', "is the file of station.status as well"),
    "a log for a list": (
        '[detections]\nspecies_list = "list.txt"\n[log]\nfile = "list.txt"\n',
        "log.file: {folder}/list.txt: is the file of detections.species_list",
    ),
    "a log that is no text": ('[log]\nfile = "binary"\n', "log.file: {folder}/binary: is there, and no text"),
    "clips to be heard again": (
        '[input]\nwatch = "."\n[clips]\nfolder = "../{name}"\n',
        "is the folder that is watched: clips would be heard again",
    ),
    "a password of nobody": (
        '[mqtt]\nhost = "localhost"\npassword = "tok3n"\n',
        "mqtt.password: is the password of nobody",
    ),
    "a source twice": ('[microphone]\ndevice = ["USB", "USB"]\n', "microphone.device: names a source twice"),
    "a header twice": (
        '[webhook]\nurl = "https://x/"\nheader = ["X-Key: tok3n", "x-key: tok3n"]\n',
        "webhook.url: webhook.header: x-key is given twice",
    ),
    "a CA without TLS": (
        '[webhook]\nurl = "http://x/"\nca_file = "list.txt"\n',
        "webhook.url: the URL of the webhook is without TLS",
    ),
    # As people write them.
    "a slash at the end": (
        '[mqtt]\nhost = "localhost"\ntopic = "a/"\n',
        "mqtt.topic: MQTT topic 'a/' ends with a slash",
    ),
    "a host in German": (
        '[webhook]\nurl = "https://b\u00fccher/"\n',
        "webhook.url: the URL of the webhook is not ASCII",
    ),
    "a URL as host": ('[mqtt]\nhost = "mqtt://localhost:1883"\n', "mqtt.host: the MQTT broker is given as a URL"),
    "a topic": ('[mqtt]\nhost = "localhost"\ntopic = "a/+/#"\n', "mqtt.topic: MQTT topic 'a/+/#' cannot be used"),
    "another scheme": ('[webhook]\nurl = "ftp://tok3n@x/"\n', "webhook.url: invalid URL of the webhook"),
    "no scheme": ('[webhook]\nurl = "127.0.0.1:1/tok3n"\n', "webhook.url: invalid URL of the webhook"),
    "a header": (
        '[webhook]\nurl = "http://127.0.0.1:1/"\nheader = ["noColontok3n"]\n',
        "webhook.header: a header has no colon",
    ),
    "a number": ('[mqtt]\nhost = "localhost"\npassword = 7073163\n', "mqtt.password: is not a text"),
    "a line end": ('[mqtt]\nhost = "localhost"\npassword = "tok3n\\n"\n', "mqtt.password: it has a non-printable"),
}


@pytest.fixture
def write(tmp_path, toy_pack):
    """Write settings beside files that they may name."""

    def written(text):
        (tmp_path / "list.txt").write_text("Parus major\n")
        (tmp_path / "empty.txt").write_text("")
        (tmp_path / "binary").write_bytes(b"SQLite format 3\0")
        text = text.replace("{name}", tmp_path.name)
        path = tmp_path / "config.toml"
        pack = f'pack = "{toy_pack}"\njournal = "journal.sqlite"\n'
        own = "" if "[station]" in text else f"[station]\n{pack}"
        path.write_text(own + text.replace("[station]\n", f"[station]\n{pack}"))
        return path

    return written


@pytest.mark.parametrize("name", FAULTY)
def test_the_three_doors_refuse_the_same(name, run, write, tmp_path, monkeypatch):
    text, told = FAULTY[name]
    told = told.format(folder=tmp_path)
    config = write(text)
    monkeypatch.setattr(
        "edgeapp.commands.doctor.examine", lambda one: examine(one, {"config": checkup.CHECKS["config"]})
    )

    checked = run("config", "check", "--config", config)
    assert (checked.exit_code, checked.output.count("\n")) == (2, 1), checked.output
    assert told in checked.output
    examined = run("doctor", "--config", config, "--json", "--no-microphone")
    [finding] = json.loads(examined.stdout)["findings"]
    assert (examined.exit_code, finding["state"]) == (2, "error") and told in finding["what"]
    listened = run("listen", "-", "--config", config)
    assert listened.exit_code == 2
    what = told if told.startswith(("mqtt", "web", "notify.quiet")) else told.rpartition(": ")[2]
    assert what in listened.output
    for text in (checked.output, examined.output, listened.output):
        assert "tok3n" not in text and "7073163" not in text


def test_a_secret_on_the_command_line_is_told(run, write):
    listened = run("listen", "-", "--webhook-url", "https://x.invalid/tok3n", "--config", write(""), input=bytes(2))
    assert "--webhook-url: every user of this machine can read it; --webhook-url-file keeps" in listened.output
    assert "tok3n" not in listened.output


def test_what_listen_takes_is_valid(run, write):
    config = write('[detections]\nspecies_list = "list.txt"\n[clips]\nfolder = "c"\ndisk_share = 1.0\n')
    assert run("config", "check", "--config", config).exit_code == 0
    assert run("listen", "-", "--config", config, input=bytes(2)).exit_code in (0, 1)
