"""An address of a source in the network is shown without anything that opens it."""

from __future__ import annotations

import pytest

from edgeapp.audio.microphones.addresses import checked, is_address, redacted, with_log_in
from edgeapp.errors import DeviceError, UsageError


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://anna:secret@camera:554/stream1", "rtsp://camera:554/stream1"),
        ("rtsp://anna:p@ss@camera/stream1", "rtsp://camera/stream1"),
        (
            "http://camera/audio.cgi?user=anna&pwd=secret&channel=1",
            "http://camera/audio.cgi?user=***&pwd=***&channel=1",
        ),
        ("https://host/live.m3u8?token=abc%26def#x", "https://host/live.m3u8?token=***#x"),
        ("https://host/a?X-Auth-Token=abc", "https://host/a?X-Auth-Token=***"),
        (
            "http://camera/av.asf?loginuse=anna&loginpas=secret&rate=0",
            "http://camera/av.asf?loginuse=***&loginpas=***&rate=0",
        ),
        ("https://host/a?tok=abc&sessionid=d", "https://host/a?tok=***&sessionid=***"),
        ("https://host/a?access_key=abc&q=2", "https://host/a?access_key=***&q=2"),
        (
            "rtsp://camera/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp",
            "rtsp://camera/user=***_password=***_channel=1_stream=0.sdp",
        ),
        ("http://radio.example/listen?bird=robin", "http://radio.example/listen?bird=robin"),
        ("USB @ home", "USB @ home"),
    ],
)
def test_a_log_in_is_hidden_wherever_it_stands(address, shown):
    assert redacted(address) == shown


def test_what_is_an_address_and_which_can_be_opened():
    assert is_address(" RTSP://camera/1") and not is_address("hw:CARD=Device") and not is_address("pulse:x")
    with pytest.raises(DeviceError, match=r"ftp:// is not supported .*use rtsp, rtsps, http, https"):
        checked("ftp://anna:secret@host/x")
    for wrong in ("rtsp://", "http://anna:secret@/x", "http://host:port/x"):
        with pytest.raises(DeviceError, match="has no valid host") as error:
            checked(wrong)
        assert "secret" not in str(error.value)


def test_a_netrc_file_has_the_log_in_of_a_host(tmp_path):
    file = tmp_path / "netrc"
    file.write_text('machine camera login anna password "a@b:c"\n')

    assert with_log_in("rtsp://camera:554/1?x=2", file) == "rtsp://anna:a%40b%3Ac@camera:554/1?x=2"
    assert with_log_in("rtsp://other/1", file) == "rtsp://other/1"
    assert with_log_in("rtsp://eva:x@camera/1", file) == "rtsp://eva:x@camera/1"
    assert with_log_in("rtsp://camera/1", None) == "rtsp://camera/1"


def test_a_netrc_file_that_is_wrong_is_named_without_what_is_in_it(tmp_path):
    file = tmp_path / "netrc"
    file.write_text("machine camera login anna password\nsecret word\n")
    with pytest.raises(UsageError, match=r"netrc: line \d+ is not understood") as error:
        with_log_in("rtsp://camera/1", file)
    assert "secret" not in str(error.value)
    with pytest.raises(UsageError, match="cannot be read"):
        with_log_in("rtsp://camera/1", tmp_path / "none")
