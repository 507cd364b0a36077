"""The shape of the object that `auth.login_ex` takes, and how each family of releases complains of a wrong one. Pure.

There is one model a mechanism. 25.04 tries them all and lists the complaints of each; later releases choose the model
by `mechanism` first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .failures import CallFailed, invalid_params
from .profiles import LoginShape, Profile

__all__ = ["check_login"]

_ATTRIBUTE = "login_data"


@dataclass(frozen=True, slots=True)
class _Model:
    mechanism: str
    name: str
    fields: tuple[str, ...]


_MODELS = (
    _Model("API_KEY_PLAIN", "AuthApiKeyPlain", ("username", "api_key")),
    _Model("PASSWORD_PLAIN", "AuthPasswordPlain", ("username", "password")),
    _Model("TOKEN_PLAIN", "AuthTokenPlain", ("token",)),
    _Model("OTP_TOKEN", "AuthOTPToken", ("otp_token",)),
)
_SCRAM = _Model("SCRAM", "AuthSCRAM", ("scram_type", "rfc_str"))


def check_login(params: list[Any], profile: Profile) -> dict[str, Any]:
    """Return the login object, or raise the refusal (-32602) in the words of the release."""
    if len(params) != 1 or not isinstance(params[0], dict):
        raise invalid_params([(_ATTRIBUTE, "Input should be a valid dictionary")])
    login: dict[str, Any] = params[0]
    models = (*_MODELS, _SCRAM) if profile.scram else _MODELS
    if profile.login_shape is LoginShape.UNION:
        _check_all(login, models)
    else:
        _check_chosen(login, models, profile.login_shape)
    return login


def _check_all(login: dict[str, Any], models: tuple[_Model, ...]) -> None:
    problems = [_problems(login, model, f"{_ATTRIBUTE}.{model.name}") for model in models]
    if all(problems):
        raise invalid_params([problem for group in problems for problem in group])


def _check_chosen(login: dict[str, Any], models: tuple[_Model, ...], shape: LoginShape) -> None:
    if "mechanism" not in login:
        raise invalid_params([(_ATTRIBUTE, "Unable to extract tag using discriminator 'mechanism'")])
    model = next((model for model in models if model.mechanism == login["mechanism"]), None)
    if model is None:
        raise _unknown_mechanism(login["mechanism"], models, shape)
    problems = _problems(login, model, f"{_ATTRIBUTE}.{model.mechanism}")
    if problems:
        raise invalid_params(problems)


def _unknown_mechanism(mechanism: Any, models: tuple[_Model, ...], shape: LoginShape) -> CallFailed:
    tags = ", ".join(
        _member(model.mechanism) if shape is LoginShape.TAGGED_ENUM else repr(model.mechanism) for model in models
    )
    complaint = f"Input tag '{mechanism}' found using 'mechanism' does not match any of the expected tags: {tags}"
    return invalid_params([(_ATTRIBUTE, complaint)])


def _member(mechanism: str) -> str:
    return f"<AuthMech.{mechanism}: '{mechanism}'>"


def _problems(login: dict[str, Any], model: _Model, where: str) -> list[tuple[str, str]]:
    problems = []
    if login.get("mechanism") != model.mechanism:
        problems.append((f"{where}.mechanism", f"Input should be {_member(model.mechanism)}"))
    for field in model.fields:
        if field not in login:
            problems.append((f"{where}.{field}", "Field required"))
        elif not isinstance(login[field], str):
            problems.append((f"{where}.{field}", "Input should be a valid string"))
    known = {"mechanism", "login_options", *model.fields}
    problems += [(f"{where}.{field}", "Extra inputs are not permitted") for field in login if field not in known]
    return problems
