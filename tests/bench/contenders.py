"""The other tools: how each is made to look for the expressions of the filter in a log."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.expressions import for_grep

__all__ = ["FOLLOWERS", "Measured", "Tool", "greps", "run"]

_PATIENCE = 60.0
_LOOK = 0.02


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process took: seconds on the clock, seconds of processor, the most memory in MB, and what it printed."""

    wall: float
    cpu: float
    memory: float
    output: bytes = b""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, and how to run it over a log with one expression: `command` is given a directory to put files into.

    One that never ends by itself writes what it finds to `found` in that directory, and is stopped when all is there.
    """

    name: str
    program: str
    command: Callable[[Path, Path, str], Sequence[str]]
    stays: bool = False

    @property
    def is_there(self) -> bool:
        """Whether it is installed."""
        return shutil.which(self.program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None


def run(command: Sequence[str], *, until: Callable[[], bool] | None = None, locale: str = "C.UTF-8") -> Measured:
    """Run a process to its end, or until something holds, and measure it."""
    environment = {**os.environ, "LC_ALL": locale, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, env=environment)
        wall = _wait_for(process.pid, until, begun) if until else 0.0
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0  # it is gone, and not to be waited for again
        wall = wall or time.perf_counter() - begun
        output.seek(0)
        return Measured(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output.read())


def _wait_for(pid: int, until: Callable[[], bool], begun: float) -> float:
    """Wait until something holds, for a minute at most, then end the process; return the seconds since it was begun."""
    while not until() and time.perf_counter() - begun < _PATIENCE:
        time.sleep(_LOOK)
    wall = time.perf_counter() - begun
    os.kill(pid, signal.SIGTERM)
    return wall


def greps(log: Path, directory: Path, expressions: Sequence[str]) -> dict[str, Measured]:
    """Measure `grep -E` with the same expressions, in both locales."""
    patterns = directory / "patterns"
    patterns.write_bytes(for_grep(expressions))
    command = ["grep", "-aEc", "-f", str(patterns), str(log)]
    return {f"grep -E, LC_ALL={locale}": run(command, locale=locale) for locale in ("C", "C.UTF-8")}


def _written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _swatchdog(directory: Path, log: Path, expression: str) -> Sequence[str]:
    slashed = expression.replace("/", r"\/")
    config = _written(directory / "swatch.conf", f"watchfor /{slashed}/\n    echo\n")
    return ["swatchdog", f"--config-file={config}", f"--script-dir={directory}", f"--examine={log}"]


def _sec(directory: Path, log: Path, expression: str) -> Sequence[str]:
    rule = f"type=Single\nptype=RegExp\npattern={expression}\ndesc=$0\naction=write {directory}/found $0\n"
    return ["sec", f"--conf={_written(directory / 'sec.conf', rule)}", f"--input={log}", "--notail"]


def _mtail(directory: Path, log: Path, expression: str) -> Sequence[str]:
    slashed = expression.replace("/", r"\/")
    program = _written(directory / "found.mtail", f"counter found\n/{slashed}/ {{\n  found++\n}}\n")
    return ["mtail", "--one_shot", "--progs", program, "--logs", str(log), "--port", "0"]


def _fail2ban(directory: Path, log: Path, expression: str) -> Sequence[str]:
    filter_ = f"[Definition]\nfailregex = (?:{expression})<F-ID>.</F-ID>\ndatepattern = {{NONE}}\n".replace("%", "%%")
    return ["fail2ban-regex", "--no-check-all", str(log), _written(directory / "borg.conf", filter_)]


def _syslog_ng(directory: Path, log: Path, expression: str) -> Sequence[str]:
    quoted = expression.replace("\\", "\\\\").replace('"', '\\"')
    config = f"""@version: 3.38
source s {{ file("{log}" flags(no-parse) follow-freq(0.1) log-iw-size(10000)); }};
filter f {{ match("{quoted}" value("MESSAGE") type("pcre")); }};
destination d {{ file("{directory}/found" template("$MESSAGE\\n")); }};
log {{ source(s); filter(f); destination(d); flags(flow-control); }};
"""
    files = [f"--persist-file={directory}/persist", f"--pidfile={directory}/pid", f"--control={directory}/control"]
    return ["syslog-ng", "--foreground", "--no-caps", f"--cfgfile={_written(directory / 'ng.conf', config)}", *files]


def _rsyslog(directory: Path, log: Path, expression: str) -> Sequence[str]:
    quoted = expression.replace("\\", "\\\\").replace('"', '\\"')
    config = f"""global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imfile" mode="inotify")
input(type="imfile" file="{log}" tag="borg" ruleset="r")
template(name="t" type="string" string="%msg%\\n")
ruleset(name="r") {{
  if re_match($msg, "{quoted}") then action(type="omfile" file="{directory}/found" template="t")
}}
"""
    return ["rsyslogd", "-n", "-f", _written(directory / "rsyslog.conf", config), "-i", str(directory / "rsyslog.pid")]


FOLLOWERS = (
    Tool("swatchdog", "swatchdog", _swatchdog),
    Tool("syslog-ng", "syslog-ng", _syslog_ng, stays=True),
    Tool("rsyslog", "rsyslogd", _rsyslog, stays=True),
    Tool("fluent-bit", "fluent-bit", _swatchdog),
    Tool("mtail", "mtail", _mtail),
    Tool("sec", "sec", _sec),
    Tool("fail2ban-regex", "fail2ban-regex", _fail2ban),
)
"""The rule-driven followers of Debian."""
