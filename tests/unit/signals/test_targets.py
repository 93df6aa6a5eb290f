"""Mail, webhook and command against real servers and programs on this machine."""

import email
import email.policy
import hashlib
import hmac
import json
import os
import select
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exclave.config import ConfigurationInvalid, parse_toml
from exclave.errors import ConfigurationError
from exclave.signals.cause import Cause, Message, Told
from exclave.signals.interface import AlertUndelivered, Target
from exclave.signals.settings import AlertsTable, CommandTarget, open_targets
from tests.support.alert_targets import (
    Mailbox,
    certificate,
    hook_server,
    mail_server,
    trickle_server,
)

MOMENT = datetime(2030, 1, 1, 12, tzinfo=UTC)
CAUSE = Cause(key="late land", severity="critical", summary="land is late", hint="look there")
MESSAGE = Message(
    source="example", moment=MOMENT, new=(Told(cause=CAUSE, began=MOMENT),), standing=(), over=()
)
SECRET = "correct-horse-battery"


def target(folder: Path, text: str) -> Target:
    table = parse_toml(("[[target]]\n" + text).encode(), AlertsTable, name="alerts.toml")
    (opened,) = open_targets(table, folder)
    return opened


def private(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return name


def mail(port: int, *lines: str) -> str:
    return "\n".join(
        [
            'kind = "email"\nname = "people"\nserver = "localhost"\nsender = "exclave@example.org"',
            f'recipients = ["a@example.org", "b@example.org"]\nport = {port}',
            *lines,
        ]
    )


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path)


def test_mail_goes_over_tls_with_credentials(tmp_path: Path, pem: Path) -> None:
    private(tmp_path, "mail.secret", f"user\n{SECRET}\n")
    lines = ('credentials_file = "mail.secret"', f'ca_file = "{pem.name}"')
    with mail_server(pem, Mailbox(credentials=("user", SECRET))) as box:
        target(tmp_path, mail(box.port, *lines)).send(MESSAGE)
    assert box.logins == [("user", SECRET)]
    assert box.in_clear == 0
    (text,) = box.mails
    found = email.message_from_string(text, policy=email.policy.default)
    assert found["Subject"] == "[example] critical: land is late"
    assert found["To"] == "a@example.org, b@example.org"
    assert found["Auto-Submitted"] == "auto-generated"
    body = found.get_content()
    assert "CRITICAL: land is late (since 2030-01-01T12:00:00Z)" in body
    assert "hint: look there" in body


@pytest.mark.parametrize("name", ["localhost", "elsewhere.example"])
def test_mail_is_not_given_to_a_server_that_is_not_trusted(tmp_path: Path, name: str) -> None:
    """Of an authority that nobody named, or under another name."""
    pem = certificate(tmp_path, name=name)
    lines = () if name == "localhost" else (f'ca_file = "{pem.name}"',)
    with mail_server(pem) as box, pytest.raises(AlertUndelivered) as caught:
        target(tmp_path, mail(box.port, *lines)).send(MESSAGE)
    assert "its certificate is not to be trusted" in caught.value.message
    assert (box.mails, box.in_clear) == ([], 0)


def test_mail_without_tls_only_by_an_unsafe_name(tmp_path: Path) -> None:
    with mail_server(None) as box:
        with pytest.raises(AlertUndelivered):
            target(tmp_path, mail(box.port)).send(MESSAGE)
        assert box.mails == []
        target(tmp_path, mail(box.port, "unsafe_without_tls = true")).send(MESSAGE)
        assert len(box.mails) == 1


def test_a_wrong_password_is_not_repeated(tmp_path: Path, pem: Path) -> None:
    private(tmp_path, "mail.secret", f"user\n{SECRET}\n")
    lines = ('credentials_file = "mail.secret"', f'ca_file = "{pem.name}"')
    with mail_server(pem, Mailbox(credentials=("user", "another"))) as box:
        people = target(tmp_path, mail(box.port, *lines))
        with pytest.raises(AlertUndelivered) as caught:
            people.send(MESSAGE)
    assert caught.value.message == "mail: the server answered 535"
    assert SECRET not in str(caught.value.__cause__.args[:1])  # type: ignore[union-attr]


@pytest.mark.parametrize("box", [Mailbox(greeting="554 busy"), Mailbox(refuses=("b@example.org",))])
def test_mail_that_is_not_taken_for_all_is_undelivered(
    tmp_path: Path, pem: Path, box: Mailbox
) -> None:
    with mail_server(pem, box), pytest.raises(AlertUndelivered):
        target(tmp_path, mail(box.port, f'ca_file = "{pem.name}"')).send(MESSAGE)


def test_a_mail_server_that_is_down(tmp_path: Path) -> None:
    with mail_server(None) as box:
        pass
    with pytest.raises(AlertUndelivered) as caught:
        target(tmp_path, mail(box.port)).send(MESSAGE)
    assert caught.value.message == "mail: connection refused"


def hook(url: str, *lines: str) -> str:
    return "\n".join(
        ['kind = "webhook"\nname = "hook"', *([f'url = "{url}"'] if url else []), *lines]
    )


def test_a_webhook_gets_signed_json_over_verified_tls(tmp_path: Path, pem: Path) -> None:
    private(tmp_path, "hook.key", f"{SECRET}\n")
    with hook_server(pem) as server:
        url = f"https://localhost:{server.port}/alerts?to=me"
        target(tmp_path, hook(url, 'key_file = "hook.key"', f'ca_file = "{pem.name}"')).send(
            MESSAGE
        )
        with pytest.raises(AlertUndelivered) as caught:
            target(tmp_path, hook(url)).send(MESSAGE)
    assert "not to be trusted" in caught.value.message
    ((path, headers, body),) = server.posts
    assert path == "/alerts?to=me"
    wanted = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["Exclave-Signature"] == f"hmac-sha256={wanted}"
    value = json.loads(body)
    assert (value["kind"], value["state"], value["source"]) == (
        "exclave-alert",
        "critical",
        "example",
    )
    assert value["new"] == [
        {
            "key": "late land",
            "severity": "critical",
            "summary": "land is late",
            "hint": "look there",
            "began": "2030-01-01T12:00:00Z",
            "ended": None,
        }
    ]
    assert "land is late" in value["text"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_answers_otherwise_is_undelivered_and_followed_nowhere(
    tmp_path: Path, status: int
) -> None:
    with hook_server(status=status) as server, pytest.raises(AlertUndelivered) as caught:
        target(tmp_path, hook(f"http://127.0.0.1:{server.port}/")).send(MESSAGE)
    assert caught.value.message == f"webhook: expected a status of 2xx, got {status}"
    assert len(server.posts) == 1


def test_an_address_that_is_a_secret_stands_in_no_error(tmp_path: Path) -> None:
    with hook_server() as server:
        pass
    private(tmp_path, "url", f"http://127.0.0.1:{server.port}/{SECRET}\n")
    with pytest.raises(AlertUndelivered) as caught:
        target(tmp_path, hook("", 'url_file = "url"')).send(MESSAGE)
    assert caught.value.message == "webhook: connection refused"
    private(tmp_path, "url", f"http://example.org/{SECRET}\n")
    with pytest.raises(ConfigurationError) as refused:
        target(tmp_path, hook("", 'url_file = "url"'))
    assert SECRET not in refused.value.message


def program(*words: str, timeout: str = "20s") -> str:
    return (
        f'kind = "command"\nname = "program"\ncommand = {json.dumps(words)}\ntimeout = "{timeout}"'
    )


def test_a_command_gets_the_message_and_no_more_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    code = (
        "import json, os, sys\n"
        "print(json.dumps([json.load(sys.stdin), dict(os.environ)]), file=open('out', 'w'))"
    )
    target(tmp_path, program(sys.executable, "-c", code)).send(MESSAGE)
    value, environment = json.loads((tmp_path / "out").read_text())
    assert value["new"][0]["key"] == "late land"
    assert SECRET not in environment.values()


def test_a_command_that_fails_or_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AlertUndelivered, match="expected exit code 0, got 7"):
        target(tmp_path, program(sys.executable, "-c", "raise SystemExit(7)")).send(MESSAGE)
    with pytest.raises(AlertUndelivered, match="no such file"):
        target(tmp_path, program("./nothing")).send(MESSAGE)


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess,sys,time;child=subprocess.Popen(['sleep','1000']);"
        "print(child.pid,file=open('pid','w'),flush=True);time.sleep(1000)"
    )
    opened = target(tmp_path, program(sys.executable, "-c", code, timeout="1s"))
    with pytest.raises(AlertUndelivered, match="not over within 1 s"):
        opened.send(MESSAGE)
    assert _ends(int((tmp_path / "pid").read_text()))


def _ends(process: int) -> bool:
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 60)[0])
    finally:
        os.close(handle)


def test_who_trickles_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is in time, and the whole is not."""
    monkeypatch.setattr("exclave.signals.mail.SECONDS", 0.5)
    monkeypatch.setattr("exclave.signals.webhook.SECONDS", 0.5)
    with trickle_server() as port:
        with pytest.raises(AlertUndelivered, match="mail: "):
            target(tmp_path, mail(port, "unsafe_without_tls = true")).send(MESSAGE)
        with pytest.raises(AlertUndelivered, match="webhook: "):
            target(tmp_path, hook(f"http://127.0.0.1:{port}/")).send(MESSAGE)


WRONG = [
    ('kind = "email"\nname = "a"', "target[0].server: expected a value"),
    (mail(25, 'credentials_file = "x"', "unsafe_without_tls = true"), "no credentials without TLS"),
    (mail(25).replace("a@example.org", "a at example.org"), "expected an e-mail address"),
    (hook("ftp://example.org/"), "expected a web address"),
    (hook("http://example.org/"), "expected https://, got http:// to another machine"),
    (hook(""), "expected either url or url_file"),
    (program(timeout="1h").replace("[]", '["true"]'), "expected less than or equal to 600"),
    (program(), "expected 1 to 64 items"),
    (hook("https://example.org/") + "\n[[target]]\n" + hook("https://example.org/"), "names once"),
    ('kind = "pigeon"\nname = "a"', "expected 'email', 'webhook' or 'command'"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_wrong_settings(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        target(tmp_path, text)
    assert said in caught.value.message


@pytest.mark.parametrize("mode", [0o640, 0o604, None])
def test_a_secret_that_others_may_read_or_that_is_not_there(
    tmp_path: Path, mode: int | None
) -> None:
    if mode is not None:
        (tmp_path / private(tmp_path, "hook.key", f"{SECRET}\n")).chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        target(tmp_path, hook("https://example.org/", 'key_file = "hook.key"'))
    assert "hook.key" in caught.value.message
    assert SECRET not in caught.value.message


def test_a_command_is_a_value_as_good_as_its_file() -> None:
    """Whoever builds settings in code gets the same shapes."""
    made = CommandTarget(kind="command", name="a", command=("true",))
    assert replace(made, timeout=5).timeout == 5
