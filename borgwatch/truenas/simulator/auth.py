"""Logging in: which key opens which session, and how each release says no.

The rule that matters most: a plain key that arrives over an unencrypted connection from another host is revoked on the
spot, on every release, provided that it was valid. SCRAM does not reveal the key and is safe there.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .failures import CallFailed, python_error
from .keys import Key, expand_roles
from .login_shapes import check_login
from .profiles import Profile
from .scram import Exchange, ScramRefused, Verifier, read_name

__all__ = ["Authenticator", "LoginState", "Origin", "RateLimiter", "redact", "user_info"]

_PERIOD = 60.0
_LOGIN_SECRETS = {"api_key", "password", "token", "otp_token", "rfc_str"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection comes from."""

    address: str
    secure: bool
    """Encrypted, as far as TrueNAS can tell: decides on the revocation of plain keys."""
    certificate_hash: bytes | None
    """Hash of the server's certificate where the connection is TLS (tls-server-end-point)."""


@dataclass(slots=True)
class LoginState:
    """What one session knows of its login."""

    origin: Origin
    key: Key | None = None
    """The key that opened the session; None before login."""
    scram: tuple[Key, Exchange] | None = None
    """A SCRAM login under way."""
    calls: int = 0
    """Calls since the login."""

    def open(self, key: Key) -> None:
        """Log in with a key."""
        self.key, self.scram, self.calls = key, None, 0


def user_info(key: Key) -> dict[str, Any]:
    """Return the user of a key as login and `auth.me` show it."""
    root = key.username == "root"
    return {
        "pw_name": key.username,
        "pw_gecos": key.username,
        "pw_dir": "/root" if root else f"/home/{key.username}",
        "pw_shell": "/usr/bin/zsh",
        "pw_uid": 0 if root else 3000,
        "pw_gid": 0 if root else 3000,
        "grouplist": [],
        "sid": None,
        "source": "LOCAL",
        "local": True,
        "attributes": {},
        "two_factor_config": {
            "provisioning_uri": None,
            "secret_configured": False,
            "interval": 30,
            "otp_digits": 6,
        },
        "privilege": {
            "roles": {"$set": sorted(expand_roles(key.roles))},
            "web_shell": "FULL_ADMIN" in key.roles,
            "webui_access": True,
        },
        "account_attributes": ["LOCAL", "API_KEY"],
    }


def redact(method: str, params: list[Any]) -> list[Any]:
    """Return the parameters of a call without the secrets of a login."""
    if method == "auth.login_with_api_key":
        return ["***" for _ in params]
    if method != "auth.login_ex":
        return params
    return [
        {name: "***" if name in _LOGIN_SECRETS else value for name, value in login.items()}
        if isinstance(login, dict)
        else "***"
        for login in params
    ]


class RateLimiter:
    """Counts calls of sessions without login: 20 a minute for each method and address, on every release."""

    def __init__(self, clock: Callable[[], float], limit: int | None = 20) -> None:
        self._clock = clock
        self._limit = limit
        self._calls: dict[tuple[str, str], list[float]] = {}

    def exceeded(self, method: str, address: str) -> bool:
        """Count a call and say whether it is one too many."""
        now = self._clock()
        recent = [moment for moment in self._calls.get((method, address), ()) if now - moment < _PERIOD]
        self._calls[method, address] = [*recent, now]
        return self._limit is not None and len(recent) >= self._limit


@dataclass(slots=True)
class Authenticator:
    """Checks keys and SCRAM proofs against the keys of one system."""

    profile: Profile
    keys: list[Key]
    scram_iterations: int
    on_revoked: Callable[[], None]
    _verifiers: dict[str, Verifier] = field(default_factory=dict)

    async def login_ex(self, params: list[Any], state: LoginState, ha_urls: list[str]) -> dict[str, Any]:
        """Answer `auth.login_ex`."""
        login = check_login(params, self.profile)
        if ha_urls:
            return {"response_type": "REDIRECT", "urls": ha_urls}
        match login["mechanism"]:
            case "API_KEY_PLAIN":
                return self._login_plain(login, state)
            case "SCRAM":
                return await self._login_scram(login, state)
            case _:  # the simulated users have neither passwords nor tokens
                return {"response_type": "AUTH_ERR"}

    def login_with_api_key(self, text: str, state: LoginState) -> bool:
        """Answer `auth.login_with_api_key`, which finds the user by the id of the key and hides the reason of a no."""
        key_id = text.partition("-")[0]
        owner = next((key.username for key in self.keys if key.id == key_id), None)
        return owner is not None and self._check_plain(owner, text, state) == "SUCCESS"

    def _login_plain(self, login: dict[str, Any], state: LoginState) -> dict[str, Any]:
        response = self._check_plain(login["username"], login["api_key"], state)
        if response != "SUCCESS" or state.key is None:
            return {"response_type": response}
        options = login.get("login_options", {})
        return {
            "response_type": response,
            "user_info": user_info(state.key) if options.get("user_info", True) else None,
            "authenticator": "LEVEL_1",
            **({"reconnect_token": None} if self.profile.reconnect_token else {}),
        }

    def _check_plain(self, username: str, text: str, state: LoginState) -> str:
        key = self._usable(username, text.partition("-")[0])
        if key is None:
            return self._refuse_unknown(username)
        if not hmac.compare_digest(key.key.encode(), text.encode()):
            return "AUTH_ERR"
        if key.expired:
            return "EXPIRED"
        if not state.origin.secure:
            key.revoked = True
            self.on_revoked()
            return "EXPIRED"
        state.open(key)
        return "SUCCESS"

    def _refuse_unknown(self, username: str) -> str:
        """Refuse a key that the user does not have, or no more; raises where the release stumbles over it."""
        if self.profile.run_state_error and any(key.username == username for key in self.keys):
            raise _run_state_error()
        return "AUTH_ERR"

    def _usable(self, username: str, key_id: str) -> Key | None:
        owned = (key for key in self.keys if key.username == username and key.id == key_id and not key.revoked)
        return next(owned, None)

    async def _login_scram(self, login: dict[str, Any], state: LoginState) -> dict[str, Any]:
        try:
            if login["scram_type"] == "CLIENT_FIRST_MESSAGE":
                return await self._scram_first(login["rfc_str"], state)
            return self._scram_final(login, state)
        except ScramRefused:
            state.scram = None
            return {"response_type": "AUTH_ERR"}

    async def _scram_first(self, client_first: str, state: LoginState) -> dict[str, Any]:
        username, key_id = read_name(client_first)
        key = self._usable(username, key_id)
        if key is None:
            raise ScramRefused("No such key")
        exchange = Exchange(client_first, await self._verifier(key), state.origin.certificate_hash)
        state.scram = key, exchange
        return _scram_response("SERVER_FIRST_RESPONSE", exchange.server_first, None)

    def _scram_final(self, login: dict[str, Any], state: LoginState) -> dict[str, Any]:
        if state.scram is None:
            raise ScramRefused("No exchange under way")
        key, exchange = state.scram
        server_final = exchange.finish(login["rfc_str"])
        if key.expired or key.revoked:
            state.scram = None
            return {"response_type": "EXPIRED" if key.expired else "AUTH_ERR"}
        state.open(key)
        wanted = login.get("login_options", {}).get("user_info", True)
        return _scram_response("SERVER_FINAL_RESPONSE", server_final, user_info(key) if wanted else None)

    async def _verifier(self, key: Key) -> Verifier:
        if key.key not in self._verifiers:
            self._verifiers[key.key] = await asyncio.to_thread(Verifier.derive, key.secret, self.scram_iterations)
        return self._verifiers[key.key]


def _scram_response(scram_type: str, rfc_str: str, user: dict[str, Any] | None) -> dict[str, Any]:
    return {"response_type": "SCRAM_RESPONSE", "scram_type": scram_type, "rfc_str": rfc_str, "user_info": user}


def _run_state_error() -> CallFailed:
    return python_error(RuntimeError("AUTH: unexpected authenticator run state. Expected: START"))
