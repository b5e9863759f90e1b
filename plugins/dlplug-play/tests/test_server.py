"""Who is let in, and what is taken."""

import asyncio
import os
import struct
import tempfile
from argparse import ArgumentParser

import pytest

from dlplug import InputError, WeightsSpec
from dlplug_play.command import configure
from dlplug_play.server import BYTES, Guard, bind, is_loopback, settle
from dlplug_play.sounds import check_sound


def ask(guard, host="127.0.0.1:7860", query="", **headers):
    """Return the status and headers of an answer."""
    sent = []
    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    pairs = [(name.encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": pairs, "query_string": query.encode()}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"])


async def page(scope, receive, send):
    assert not any(name.startswith(b"x-forwarded") for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": []})


LOCAL = Guard(page, "127.0.0.1", 7860)
SHARED = Guard(page, "0.0.0.0", 7860, "secret")


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "LOCALHOST"])
def test_this_machine_is_let_in(host):
    status, headers = ask(LOCAL, host, x_forwarded_host="evil.example")
    assert status == 200
    assert b"default-src 'self'" in headers[b"content-security-policy"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "", "[", "10.0.0.1:7860"])
def test_other_hosts_are_refused(host):
    assert ask(LOCAL, host)[0] == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9999", "https://[::1"])
def test_other_origins_are_refused(origin):
    assert ask(LOCAL, origin=origin)[0] == 403


def test_its_own_origin_is_let_in():
    assert ask(LOCAL, origin="http://127.0.0.1:7860")[0] == 200


@pytest.mark.parametrize(
    "headers", [{"content_length": str(2 * BYTES)}, {"content_length": "-1"}, {"transfer_encoding": "chunked"}]
)
def test_what_is_too_large_or_does_not_say_is_refused(headers):
    assert ask(LOCAL, **headers)[0] == 413


def test_with_a_token_only_who_knows_it_is_let_in():
    assert ask(SHARED)[0] == 403
    assert ask(SHARED, query="token=wrong")[0] == 403
    status, headers = ask(SHARED, query="token=secret")
    assert (status, headers[b"location"]) == (303, b"/")
    cookie = headers[b"set-cookie"].decode()
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ask(SHARED, cookie=cookie.partition(";")[0])[0] == 200
    assert ask(SHARED, "192.168.1.7:7860", cookie=cookie.partition(";")[0])[0] == 200
    assert ask(SHARED, "evil.example", cookie=cookie.partition(";")[0])[0] == 421
    assert ask(SHARED, cookie="dlplug-play-7860=wrong")[0] == 403


def test_websockets_are_closed():
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(LOCAL({"type": "websocket", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close"}]


def test_what_gradio_would_read_from_the_environment_is_overridden(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "environ", {"GRADIO_SHARE": "True", "GRADIO_ALLOWED_PATHS": "/", "HOME": "/x"})
    settle("/tmp/here")
    assert {name: value for name, value in os.environ.items() if name != "HOME"} == {
        "GRADIO_TEMP_DIR": "/tmp/here",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }


def test_an_address_that_is_taken_or_is_none_is_bad_input():
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(InputError, match=r"cannot serve at 127.0.0.1:\d+"):
            bind("127.0.0.1", taken.getsockname()[1])
        with bind("127.0.0.1", None) as free:
            assert free.getsockname()[1]
    for host, port, why in (("nowhere.invalid", 7860, "cannot serve at"), ("127.0.0.1", 99999, "--port is from 0")):
        with pytest.raises(InputError, match=why):
            bind(host, port)
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "a.example")] == [True] * 3 + [
        False
    ] * 2


def wav(path, seconds, rate=8000):
    head = b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    path.write_bytes(head + b"data" + struct.pack("<I", 0) + bytes(2 * rate * seconds))
    return str(path)


def test_sounds_are_bounded_in_seconds(tmp_path):
    check_sound(wav(tmp_path / "short.wav", 2))
    with pytest.raises(InputError, match="that takes 90 seconds: 60 at most"):
        check_sound(wav(tmp_path / "long.wav", 90))
    (tmp_path / "text.wav").write_text("no sound" * 10)
    with pytest.raises(InputError, match="not a WAV file"):
        check_sound(str(tmp_path / "text.wav"))


def play(*args):
    parser = ArgumentParser()
    configure(parser)
    options = parser.parse_args(args)
    return options.run(options)


def test_without_a_run_those_there_are_are_offered(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there are no trained runs in runs"):
        play()
    for name in ("trained", "begun"):
        run = tmp_path / "runs" / "cnn" / name
        (run / "checkpoints").mkdir(parents=True)
        (run / "config.yaml").write_text("")
        (run / "about.json").write_text('{"model": {"name": "cnn"}, "data": {"name": "digits"}}')
    (tmp_path / "runs" / "cnn" / "trained" / "checkpoints" / "best.ckpt").touch()
    weights = WeightsSpec("cnn-mine", "mine:weights", "cnn trained on mine.", digest="0")
    monkeypatch.setattr("dlplug_play.command.Registry.discover", lambda: [weights])
    assert play() == 0
    offered = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert offered == [
        ["dlplug", "play", "cnn-mine", "cnn", "trained", "on", "mine."],
        ["dlplug", "play", "runs/cnn/trained", "cnn", "on", "digits"],
    ]
    with pytest.raises(InputError, match="holds no checkpoint yet"):
        play("begun")
