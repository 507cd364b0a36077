from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from borgwatch import config
from borgwatch.config import load
from borgwatch.errors import ConfigError
from borgwatch.policy.alerts import EventFilter
from borgwatch.policy.deadman import Expectation
from borgwatch.secret import Secret
from borgwatch.settings import SETTINGS, Settings, SourceSetting, Verify
from borgwatch.spans import parse_span
from borgwatch.truenas.address import Address
from borgwatch.truenas.alerts import ClassChoice

KEY = "7-" + "Zq3" * 21 + "Z"
FINGERPRINT = "ab" * 32

# Every setting: its variable, its key in the file, a text, where it stands in the settings, and what is read.
EVERY: list[tuple[str, str, str, str, Any]] = [
    ("NOTIFY_TRUENAS_ENABLED", "truenas.enabled", "yes", "truenas.enabled", True),
    ("NOTIFY_TRUENAS_API_URL", "truenas.url", "wss://nas.lan", "truenas.address", Address("nas.lan", 443)),
    ("NOTIFY_TRUENAS_API_KEY", "truenas.key", KEY, "truenas.key", Secret(KEY)),
    ("NOTIFY_TRUENAS_USERNAME", "truenas.username", "borg", "truenas.username", "borg"),
    ("NOTIFY_TRUENAS_VERIFY_SSL", "truenas.verify", "pin", "truenas.verify", Verify.PIN),
    ("NOTIFY_TRUENAS_CA_FILE", "truenas.ca_file", "/ca.pem", "truenas.ca_file", Path("/ca.pem")),
    ("NOTIFY_TRUENAS_SERVER_NAME", "truenas.server_name", "localhost", "truenas.server_name", "localhost"),
    ("NOTIFY_TRUENAS_FINGERPRINT", "truenas.fingerprint", FINGERPRINT.upper(), "truenas.fingerprint", FINGERPRINT),
    ("NOTIFY_TRUENAS_ALLOW_PLAIN", "truenas.allow_plain", "true", "truenas.allow_plain", True),
    (
        "NOTIFY_TRUENAS_CLASSES",
        "truenas.classes",
        "failure=RsyncFailed, success=ScrubNotStarted",
        "truenas.classes",
        ClassChoice("RsyncFailed", "ScrubNotStarted", "ScrubNotStarted"),
    ),
    ("NOTIFY_EVENTS", "events", "backup.*, prune.failure", "events", EventFilter(("backup.*", "prune.failure"))),
    ("BORGWATCH_WATCH", "watch", "/a, /b c", "watch", (Path("/a"), Path("/b c"))),
    ("BORGWATCH_STATE", "state", "/s", "state", Path("/s")),
    ("BORGWATCH_RUN", "run", "/t", "run", Path("/t")),
    ("BORGWATCH_RULES", "rules", "/r", "rules", (Path("/r"),)),
    ("BORGWATCH_EXPECT", "expect", "26h", "expect", (Expectation("*", "backup", timedelta(hours=26)),)),
    ("BORGWATCH_STALLED_AFTER", "stalled_after", "1.5d", "stalled_after", timedelta(hours=36)),
    ("BORGWATCH_POLL", "poll", "10s", "poll", timedelta(seconds=10)),
    ("BORGWATCH_INSTANCE", "instance", "two", "instance", "two"),
    ("BORGWATCH_KEEP", "keep", "90d", "keep", timedelta(days=90)),
    ("BORGWATCH_KEEP_SIZE", "keep_size", "20MB", "keep_size", 20_000_000),
    ("BORGWATCH_LOG_FORMAT", "log_format", "JSON", "log_format", "json"),
    ("BORGWATCH_WEB_PORT", "web_port", "9117", "web_port", 9117),
    ("BORGWATCH_WEB_HOST", "web_host", "0.0.0.0", "web_host", "0.0.0.0"),  # noqa: S104 - what the image sets
    ("BORGWATCH_WEB_NAMES", "web_names", "nas.example.org, NAS", "web_names", ("nas.example.org", "nas")),
]
every_setting = pytest.mark.parametrize(
    ("variable", "key", "text", "place", "value"), EVERY, ids=[row[0] for row in EVERY]
)


@pytest.fixture(autouse=True)
def _no_file_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "DEFAULT_CONFIG", tmp_path / "none.yaml")


def get(settings: Settings, place: str) -> object:
    found: object = settings
    for name in place.split("."):
        found = getattr(found, name)
    return found


def with_file(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "borgwatch.yaml"
    path.write_text(text)
    return load({"BORGWATCH_CONFIG": str(path), **environ})


def in_file(key: str, text: str) -> str:
    outer, _, inner = key.partition(".")
    return f"{outer}:\n  {inner}: '{text}'\n" if inner else f"{outer}: '{text}'\n"


def test_every_setting_is_tried_below() -> None:
    assert [(setting.variable, setting.key) for setting in SETTINGS] == [row[:2] for row in EVERY]


def test_nothing_said_gives_the_defaults() -> None:
    assert Settings() == load({"PATH": "/bin", "NOTIFY_SOCKET": "/run/systemd/notify"})


@every_setting
def test_a_setting_is_read_from_the_environment(variable: str, key: str, text: str, place: str, value: object) -> None:
    settings = load({variable: text})

    assert value == get(settings, place)
    assert value != get(Settings(), place)
    assert [p for p in settings.problems if "missing" not in p] == [], key


@every_setting
@pytest.mark.parametrize("quote", ["'{}'", '"{}"', " {} ", '"{}"\n'])
def test_quotes_that_docker_leaves_standing_are_taken_off(
    quote: str, variable: str, key: str, text: str, place: str, value: object
) -> None:
    assert value == get(load({variable: quote.format(text)}), place), key


@every_setting
def test_a_setting_is_read_from_the_file(
    tmp_path: Path, variable: str, key: str, text: str, place: str, value: object
) -> None:
    assert value == get(with_file(tmp_path, in_file(key, text)), place), variable


@every_setting
def test_the_environment_wins_over_the_file(
    tmp_path: Path, variable: str, key: str, text: str, place: str, value: object
) -> None:
    other = {
        "NOTIFY_TRUENAS_ENABLED": "false",
        "NOTIFY_TRUENAS_API_URL": "wss://other",
        "NOTIFY_TRUENAS_API_KEY": "8-" + "x" * 64,
        "NOTIFY_TRUENAS_VERIFY_SSL": "false",
        "NOTIFY_TRUENAS_FINGERPRINT": "cd" * 32,
        "NOTIFY_EVENTS": "verify.*",
        "BORGWATCH_EXPECT": "1h",
        "BORGWATCH_STALLED_AFTER": "1h",
        "BORGWATCH_POLL": "1h",
        "BORGWATCH_KEEP": "7d",
        "BORGWATCH_KEEP_SIZE": "1GB",
        "BORGWATCH_LOG_FORMAT": "logfmt",
        "BORGWATCH_WEB_PORT": "9118",
        "BORGWATCH_WEB_HOST": "127.0.0.2",
        "BORGWATCH_WEB_NAMES": "other",
    }.get(variable, "/other")
    file = in_file(key, other)

    assert value != get(with_file(tmp_path, file), place)
    assert value == get(with_file(tmp_path, file, **{variable: text}), place)


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    empty = dict.fromkeys((row[0] for row in EVERY), "") | {"NOTIFY_TRUENAS_API_KEY_FILE": " "}

    assert Settings() == load(empty)
    assert with_file(tmp_path, "instance: two", **empty).instance == "two"


def test_a_file_takes_lists_where_commas_would_stand(tmp_path: Path) -> None:
    settings = with_file(tmp_path, "watch: [/a, /b]\nevents:\n  - backup.*\n  - prune.failure\n")

    assert ((Path("/a"), Path("/b")), ("backup.*", "prune.failure")) == (settings.watch, settings.events.patterns)
    assert settings.events_chosen


def test_sources_are_read_from_the_file(tmp_path: Path) -> None:
    settings = with_file(
        tmp_path, "sources:\n  - {path: 'nas/*.log', job: big, operation: prune}\n  - path: check.log\n"
    )

    assert (SourceSetting("nas/*.log", "big", "prune"), SourceSetting("check.log")) == settings.sources
    assert settings.problems == ()


# -- the settings of the predecessor ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address", "verification"),
    [
        ("http://192.168.1.10/api/v2.0", Address("192.168.1.10", 80, was_plain=True), Verify.PIN),
        ("ws://truenas.local", Address("truenas.local", 80, was_plain=True), Verify.PIN),
        ("wss://truenas.local", Address("truenas.local", 443), Verify.FULL),
        ("https://truenas.local:8443/api/v2.0/", Address("truenas.local", 8443), Verify.FULL),
        ("ws://truenas.local/websocket", Address("truenas.local", 80, was_plain=True), Verify.PIN),
    ],
)
def test_the_settings_of_docker_borg_client_work_unchanged(url: str, address: Address, verification: Verify) -> None:
    settings = load(
        {
            "NOTIFY_TRUENAS_ENABLED": "true",
            "NOTIFY_TRUENAS_API_URL": url,
            "NOTIFY_TRUENAS_API_KEY": "1-abcdef",
            "NOTIFY_EVENTS": "backup.failure,prune.failure,container.startup,lock.stale,ssh.failure",
        }
    ).checked()

    assert (address, verification, "1-abcdef") == (
        settings.truenas.address,
        settings.truenas.verification,
        settings.truenas.key and settings.truenas.key.reveal(),
    )


def test_verification_that_was_switched_off_stays_off() -> None:
    for url in ("ws://nas", "wss://nas"):
        truenas = load({"NOTIFY_TRUENAS_API_URL": url, "NOTIFY_TRUENAS_VERIFY_SSL": "false"}).truenas
        assert Verify.NONE is truenas.verification


def test_a_certificate_at_hand_is_better_than_the_first_one_seen() -> None:
    truenas = load({"NOTIFY_TRUENAS_API_URL": "ws://nas", "NOTIFY_TRUENAS_CA_FILE": "/ca.pem"}).truenas

    assert Verify.FULL is truenas.verification


# -- what is wrong is told ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("NOTIFY_TRUENAS_ENABLE", "true", "unknown setting (did you mean 'NOTIFY_TRUENAS_ENABLED'?)"),
        ("NOTIFY_EVENT", "x", "unknown setting (did you mean 'NOTIFY_EVENTS'?)"),
        ("BORGWATCH_WACTH", "/x", "unknown setting (did you mean 'BORGWATCH_WATCH'?)"),
        ("NOTIFY_TRUENAS_API_KEYFILE", "x", "unknown setting (did you mean 'NOTIFY_TRUENAS_API_KEY_FILE'?)"),
        ("NOTIFY_TRUENAS_ENABLED", "treu", "must be true or false (it is 'treu')"),
        ("NOTIFY_TRUENAS_VERIFY_SSL", "maybe", "must be true or false (it is 'maybe')"),
        ("NOTIFY_TRUENAS_API_URL", "ftp://nas", "cannot begin with ftp://; write wss://<host> (it is 'ftp://nas')"),
        ("NOTIFY_TRUENAS_API_URL", "wss://", "has no host; write wss://<host> (it is 'wss://')"),
        (
            "NOTIFY_TRUENAS_API_URL",
            "wss://nas:port",
            "is not an address: Port could not be cast to integer value as 'port'",
        ),
        ("NOTIFY_TRUENAS_FINGERPRINT", "abcd", "must be the 64 hex digits of a SHA-256 fingerprint (it is 'abcd')"),
        ("BORGWATCH_EXPECT", "1 day", "must be a span such as 26h, 15m, 10s or 1d (it is '1 day')"),
        ("BORGWATCH_EXPECT", "0h", "must be a span such as 26h, 15m, 10s or 1d (it is '0h')"),
        ("BORGWATCH_EXPECT", "9" * 400 + "h", "is too long (it is '"),
        ("BORGWATCH_LOG_FORMAT", "xml", "must be text, json or logfmt (it is 'xml')"),
        ("NOTIFY_EVENTS", "backup.fail", "no event is called 'backup.fail' (did you mean 'backup.failure'?)"),
        ("NOTIFY_EVENTS", "*.failed", "no event is called '*.failed'"),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(variable: str, text: str, problem: str) -> None:
    (told,) = load({variable: text}).problems

    assert told.startswith(f"{variable}: {problem}")


def test_all_that_is_wrong_is_told_at_once_and_the_default_stands_in() -> None:
    settings = load({"BORGWATCH_POLL": "x", "BORGWATCH_EXPECT": "y", "NOTIFY_X": "z", "BORGWATCH_INSTANCE": "two"})

    assert [told.split(":")[0] for told in settings.problems] == ["BORGWATCH_EXPECT", "BORGWATCH_POLL", "NOTIFY_X"]
    assert (timedelta(seconds=2), (), "two") == (settings.poll, settings.expect, settings.instance)
    with pytest.raises(ConfigError) as caught:
        settings.checked()
    assert "\n".join(settings.problems) == str(caught.value)


def test_what_is_expected_of_single_jobs_stands_in_the_file_as_a_list(tmp_path: Path) -> None:
    file = tmp_path / "borgwatch.yaml"
    file.write_text(
        "expect:\n"
        "  - {job: laptop-*, within: 8d, remind: 1d}\n"
        "  - {operation: verify, within: 40d}\n"
        "  - {job: nas, within: soon, operation: backups}\n"
        "  - {job: nas}\n"
        "  - {job: old, within: never}\n"
    )
    settings = load({"BORGWATCH_CONFIG": str(file)})

    assert settings.expect == (
        Expectation("laptop-*", "backup", timedelta(days=8), timedelta(days=1)),
        Expectation("*", "verify", timedelta(days=40)),
        Expectation("old", "backup", None),
    )
    assert settings.problems == (
        f"{file}:4:24: within must be a span such as 26h, 15m, 10s or 1d (it is 'soon')",
        f"{file}:4:41: operation cannot be 'backups' (did you mean 'backup'?)",
        f"{file}:5:5: an expectation must say within:",
    )
    assert load({"BORGWATCH_CONFIG": str(file), "BORGWATCH_EXPECT": "26h"}).expect == (
        Expectation("*", "backup", timedelta(hours=26)),
    )
    assert load({"BORGWATCH_CONFIG": str(file), "BORGWATCH_EXPECT": "off"}).expect == ()


def test_enabling_the_push_without_address_and_key_is_told() -> None:
    assert load({"NOTIFY_TRUENAS_ENABLED": "true"}).problems == (
        "NOTIFY_TRUENAS_API_URL: missing; it is needed with NOTIFY_TRUENAS_ENABLED=true: wss://<host>",
        (
            "NOTIFY_TRUENAS_API_KEY: missing; it is needed with NOTIFY_TRUENAS_ENABLED=true"
            " (or NOTIFY_TRUENAS_API_KEY_FILE)"
        ),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("wacth: /x\n", "1:1: unknown key 'wacth' in the settings file (did you mean 'watch'?)"),
        ("truenas:\n  ulr: x\n", "2:3: unknown key 'ulr' in truenas (did you mean 'url'?)"),
        ("truenas: yes\n", "1:10: truenas must be a mapping (key: value), not 'yes'"),
        ("poll: soon\n", "1:7: poll: must be a span such as 26h, 15m, 10s or 1d (it is 'soon')"),
        ("poll: {a: b}\n", "1:7: poll must be text, not a mapping"),
        ("sources: x\n", "1:10: sources must be a list, not 'x'"),
        ("sources:\n  - job: x\n", "2:5: a source must say path: (a glob below a watched directory)"),
        ("sources:\n  - {path: x, operation: bakup}\n", "2:26: operation cannot be 'bakup' (did you mean 'backup'?)"),
        ("sources:\n  - path: ''\n", "2:11: path must be a glob such as nas/*.log"),
        ("sources:\n  - path: .\n", "2:11: path must be a glob such as nas/*.log"),
        ("watch: [\n", "2:1: not valid YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_fault_in_the_file_is_told_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    assert (f"{tmp_path}/borgwatch.yaml:{problem}",) == with_file(tmp_path, text).problems


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    path = f"{tmp_path}/gone.yaml"

    assert (f"{path}:1:1: cannot be read: No such file or directory",) == load({"BORGWATCH_CONFIG": path}).problems


def test_the_name_of_the_file_may_stand_in_quotes(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("instance: two")

    assert load({"BORGWATCH_CONFIG": f'"{tmp_path}/x.yaml"'}).instance == "two"


def test_the_default_file_is_read_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "default.yaml").write_text("instance: two")
    monkeypatch.setattr(config, "DEFAULT_CONFIG", tmp_path / "default.yaml")

    assert load({}).instance == "two"


# -- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [KEY, KEY + "\n", f"'{KEY}'\r\n", f"  {KEY}  "])
def test_a_secret_comes_from_a_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    settings = load({"NOTIFY_TRUENAS_API_KEY_FILE": f"{tmp_path}/key"})

    assert (Secret(KEY), ()) == (settings.truenas.key, settings.problems)


def test_a_secret_file_that_holds_nothing_or_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    told = [
        load({"NOTIFY_TRUENAS_API_KEY_FILE": f"{tmp_path}/{name}"}).problems for name in ("empty", "gone", "binary", "")
    ]

    assert [
        (f"NOTIFY_TRUENAS_API_KEY_FILE: {tmp_path}/empty is empty",),
        (f"NOTIFY_TRUENAS_API_KEY_FILE: {tmp_path}/gone cannot be read: No such file or directory",),
        (f"NOTIFY_TRUENAS_API_KEY_FILE: {tmp_path}/binary cannot be read: not text",),
        (f"NOTIFY_TRUENAS_API_KEY_FILE: {tmp_path}/ cannot be read: Is a directory".replace("/ ", " "),),
    ] == told


@pytest.mark.parametrize(
    "environ",
    [
        {"NOTIFY_TRUENAS_API_KEY": KEY, "NOTIFY_TRUENAS_ENABLED": "true", "NOTIFY_TRUENAS_API_URL": KEY},
        {"NOTIFY_TRUENAS_API_KEY": KEY.removeprefix("7-")},
        {"NOTIFY_TRUENAS_API_KEY": f"{KEY} {KEY}"},
        {"NOTIFY_TRUENAS_API_KEY_FILE": KEY},
        {"NOTIFY_TRUENAS_API_KEY_FILE": f"/run/{KEY}"},
        {"NOTIFY_TRUENAS_API_URL": f"wss://root:{KEY}@nas"},
        {"NOTIFY_TRUENAS_API_URL": f"wss://{KEY}@nas"},
        {"NOTIFY_TRUENAS_FINGERPRINT": KEY},
        {"BORGWATCH_EXPECT": KEY},
        {"NOTIFY_TRUENAS_API_KEYS": KEY},
        {"file": f"truenas: {KEY}\n"},
        {"file": f"truenas:\n  key: [{KEY}, {KEY}]\n"},
        {"file": f"truenas:\n  key: {{{KEY}: x}}\n"},
        {"file": f"sources: {KEY}\n"},
        {"file": f"{KEY}: x\n"},
        {"file": f"truenas:\n  key: '{KEY}\n"},
    ],
)
def test_no_message_holds_a_secret(tmp_path: Path, environ: dict[str, str]) -> None:
    text = environ.pop("file", None)
    settings = with_file(tmp_path, text) if text is not None else load(environ)

    assert settings.problems
    assert not [told for told in settings.problems if "Zq3Zq3" in told]


def test_a_key_in_place_of_its_file_is_told_without_it() -> None:
    assert load({"NOTIFY_TRUENAS_API_KEY_FILE": "7-short"}).problems == (
        "NOTIFY_TRUENAS_API_KEY_FILE: must name a file; the key itself goes into NOTIFY_TRUENAS_API_KEY",
    )


def test_settings_can_be_printed_without_giving_the_key_away() -> None:
    assert "Zq3" not in repr(load({"NOTIFY_TRUENAS_API_KEY": KEY}))


# -- single values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("26h", timedelta(hours=26)),
        ("15m", timedelta(minutes=15)),
        (" 10 s ", timedelta(seconds=10)),
        ("1.5d", timedelta(hours=36)),
    ],
)
def test_a_span_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert span == parse_span(text)


@pytest.mark.parametrize("text", ["", "26", "h", "-1h", "1h30m", "1w", "1,5h", "0s", "0.0000001s", "nan h", "1e5h"])
def test_anything_else_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="must be a span such as"):
        parse_span(text)


@pytest.mark.parametrize(
    "text", [FINGERPRINT, ":".join(["AB"] * 32), f"sha256:{FINGERPRINT}", f"SHA-256={FINGERPRINT}"]
)
def test_a_fingerprint_is_read_as_tools_print_it(text: str) -> None:
    assert load({"NOTIFY_TRUENAS_FINGERPRINT": text}).truenas.fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("failure=CustomAlert", "knows no alert class 'CustomAlert'"),
        ("failed=RsyncFailed", "did you mean 'failure'"),
        ("failure=", "knows no alert class ''"),
    ],
)
def test_alert_classes_that_do_not_exist_are_told(text: str, says: str) -> None:
    """`CustomAlert`, which the older guide named, never existed on any release."""
    [problem] = load({"NOTIFY_TRUENAS_CLASSES": text}).problems
    assert problem.startswith("NOTIFY_TRUENAS_CLASSES: ")
    assert says in problem


def test_one_class_may_stand_for_everything() -> None:
    one = ClassChoice("ScrubNotStarted", "ScrubNotStarted", "ScrubNotStarted")
    assert load({"NOTIFY_TRUENAS_CLASSES": "ScrubNotStarted"}).truenas.classes == one


def test_the_unix_socket_needs_no_key() -> None:
    settings = {"NOTIFY_TRUENAS_ENABLED": "true", "NOTIFY_TRUENAS_API_URL": "unix:///run/middleware/middlewared.sock"}
    assert load(settings).problems == ()


@pytest.mark.parametrize("verify", ["true", "pin", "false"])
@pytest.mark.parametrize("scheme", ["wss", "ws"])
def test_a_fingerprint_is_a_check_whatever_else_was_said(verify: str, scheme: str) -> None:
    settings = load({
        "NOTIFY_TRUENAS_API_URL": f"{scheme}://nas", "NOTIFY_TRUENAS_VERIFY_SSL": verify,
        "NOTIFY_TRUENAS_FINGERPRINT": FINGERPRINT,
    })  # fmt: skip

    assert settings.truenas.verification is Verify.FULL


def test_status_files_and_containers_are_sources(tmp_path: Path) -> None:
    settings = with_file(
        tmp_path,
        "sources:\n"
        "  - {kind: status, path: '*.status', operation: prune}\n"
        "  - {kind: heartbeat, path: alive, job: nas}\n"
        "  - {kind: docker, container: borg-backup, job: nas}\n",
    )

    assert settings.problems == ()
    assert settings.sources == (
        SourceSetting("*.status", None, "prune", "status"),
        SourceSetting("alive", "nas", None, "heartbeat"),
        SourceSetting("", "nas", None, "docker", "borg-backup"),
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{kind: statsu, path: x}", "2:12: kind cannot be 'statsu' (did you mean 'status'?)"),
        ("{kind: heartbeat}", "2:5: a source must say path: (a glob below a watched directory)"),
        (
            "{kind: docker}",
            "2:5: a source must say container: (the name of a container or of its Compose service, * allowed)",
        ),
        ("{kind: docker, path: x}", "2:26: path is not for a source of kind docker: say container:"),
        ("{path: x, container: y}", "2:26: container is not for a source of kind log: say path:"),
    ],
)
def test_a_source_of_the_wrong_shape_is_told_with_its_place(tmp_path: Path, source: str, problem: str) -> None:
    assert with_file(tmp_path, f"sources:\n  - {source}\n").problems == (f"{tmp_path}/borgwatch.yaml:{problem}",)


@pytest.mark.parametrize(
    ("text", "size"), [("50MB", 50_000_000), ("1.5 GB", 1_500_000_000), ("6000kB", 6_000_000)]
)  # fmt: skip
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert load({"BORGWATCH_KEEP_SIZE": text}).keep_size == size


@pytest.mark.parametrize(
    ("text", "says"),
    [("50", "must be a size such as 50MB"), ("1MB", "must be at least 5MB"), ("9" * 30 + "GB", "is too large")],
)
def test_a_size_that_cannot_be_is_told(text: str, says: str) -> None:
    (problem,) = load({"BORGWATCH_KEEP_SIZE": text}).problems
    assert problem.startswith(f"BORGWATCH_KEEP_SIZE: {says}")
