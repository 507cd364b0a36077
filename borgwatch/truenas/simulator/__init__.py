"""A simulated TrueNAS: it speaks the JSON-RPC WebSocket API of six releases, for the demo, for trying out, for tests.

It is a small model of TrueNAS (keys, privileges, sessions, alerts, jobs, mail, apps), from which the frames follow, not
a player of recorded answers; what sets the releases apart is one table, `PROFILES`.

    async with Simulator("25.10.6") as nas:
        ...  # connect to nas.url + "/api/current", log in with nas.keys[0], look at nas.alerts
"""

from __future__ import annotations

from .apps import App, Container
from .certificates import Certificate, default_certificate, make_certificate
from .faults import Faults
from .keys import Key, load_keys
from .profiles import PROFILES, Profile
from .server import Simulator

__all__ = [
    "PROFILES",
    "App",
    "Certificate",
    "Container",
    "Faults",
    "Key",
    "Profile",
    "Simulator",
    "default_certificate",
    "load_keys",
    "make_certificate",
]
