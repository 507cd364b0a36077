"""The methods that the simulated TrueNAS knows: one table, one small function each.

A method says who may call it and, if it is a job, how it is queued. What it does is done on the appliance; what belongs
to one connection (options, login, subscriptions) is done on the session that called.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from .appliance import PROCESS_ALERTS, Appliance
from .auth import LoginState, user_info
from .failures import (
    CallFailed,
    call_error,
    instance_not_found,
    invalid_params,
    not_authorized,
    python_error,
)
from .jobs import Job, JobKind
from .keys import Key, allowed
from .profiles import MissingJob, Profile

__all__ = ["METHODS", "Call", "Caller", "Method", "perform"]

_MAIL_FIELDS = {"attachments", "bcc", "cc", "headers", "html", "queue", "subject", "text", "to"}


class Caller(Protocol):
    """The session that calls, as its methods see it."""

    login: LoginState
    options: dict[str, bool]
    newest_route: bool
    """The connection speaks the newest version of the API, as `/api/current` does."""

    def subscribe(self, collection: str) -> str:
        """Subscribe to a collection and return the id of the subscription."""

    def unsubscribe(self, subscription: str) -> None:
        """End a subscription."""

    def sees_jobs_of(self, username: str | None) -> bool:
        """Say whether the session may see a user's jobs."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method."""

    appliance: Appliance
    caller: Caller
    params: list[Any]
    message_id: int | str | None = None

    @property
    def key(self) -> Key:
        """The key that opened the session."""
        if self.caller.login.key is None:
            raise AttributeError("'NoneType' object has no attribute 'may_create_auth_token'")
        return self.caller.login.key


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its name, what it does, who may call it and whether it is a job."""

    name: str
    run: Callable[[Call], Awaitable[Any]]
    roles: frozenset[str] | None
    before_login: Callable[[Profile], bool]
    job: JobKind | None

    def permits(self, key: Key, profile: Profile) -> bool:
        """Say whether the roles of a key suffice on a release."""
        return allowed(key.roles, profile.roles.get(self.name, self.roles))


METHODS: dict[str, Method] = {}


def _method(
    name: str,
    *roles: str,
    private: bool = False,
    before_login: Callable[[Profile], bool] = lambda _: False,
    job: JobKind | None = None,
) -> Callable[[Callable[[Call], Awaitable[Any]]], Callable[[Call], Awaitable[Any]]]:
    def register(run: Callable[[Call], Awaitable[Any]]) -> Callable[[Call], Awaitable[Any]]:
        METHODS[name] = Method(name, run, None if private else frozenset(roles), before_login, job)
        return run

    return register


async def perform(method: Method, call: Call) -> Any:
    """Do a call and return what it is answered with.

    A job is answered with its id, right or wrong arguments alike; with its result where the release honours
    `legacy_jobs` and the connection has set it to false (25.10 and later). Raises `CallFailed`.
    """
    if method.job is None:
        return await _run(method, call)
    job = _start_job(method, method.job, call)
    if not call.caller.options["legacy_jobs"]:
        return await job.wait()
    if call.appliance.faults.events_before_answer:
        await job.done.wait()
    return job.id


async def _run(method: Method, call: Call) -> Any:
    try:
        return await method.run(call)
    except CallFailed:
        raise
    except Exception as error:  # noqa: BLE001 - TrueNAS answers whatever goes wrong inside a method
        raise python_error(error) from None


def _start_job(method: Method, kind: JobKind, call: Call) -> Job:
    return call.appliance.jobs.queue(
        method.name,
        call.params,
        kind,
        partial(_run, method, call),
        username=call.key.username,
        message_ids=[call.message_id] if call.appliance.profile.job_message_ids else None,
    )


# core


@_method("core.ping", before_login=lambda profile: profile.ping_before_login)
async def _ping(_: Call) -> str:
    return "pong"


@_method("core.set_options", before_login=lambda _: True)
async def _set_options(call: Call) -> dict[str, bool] | None:
    if not call.appliance.profile.legacy_jobs_option:
        return None
    options = call.caller.options
    options.update({name: bool(value) for name, value in call.params[0].items() if name in options})
    return dict(options)


@_method("core.subscribe")
async def _subscribe(call: Call) -> str:
    return call.caller.subscribe(call.params[0])


@_method("core.unsubscribe")
async def _unsubscribe(call: Call) -> None:
    call.caller.unsubscribe(call.params[0])


@_method("core.get_jobs")
async def _get_jobs(call: Call) -> list[dict[str, Any]]:
    jobs = [job.describe() for job in call.appliance.jobs if call.caller.sees_jobs_of(job.username)]
    return _select(jobs, call.params)


@_method("core.job_wait", job=JobKind())
async def _job_wait(call: Call) -> Any:
    job = call.appliance.jobs.get(call.params[0])
    if job is None or not call.caller.sees_jobs_of(job.username):
        raise _missing_job(call.params[0], call.appliance.profile.missing_job)
    return await job.wait()


@_method("core.bulk", job=JobKind(lock=lambda params: f"bulk:{params[:1]}"))
async def _bulk(call: Call) -> list[dict[str, Any]]:
    """Run a method for each of a list of parameter lists; the caller's rights count, refused with EPERM."""
    name, all_params = call.params[0], call.params[1]
    method = METHODS.get(name)
    if method is None:
        raise call_error(f"Method {name!r} does not exist", 201)
    forbidden = not method.permits(call.key, call.appliance.profile)
    if forbidden and call.appliance.profile.bulk_fails_unauthorized:
        raise not_authorized(errno.EPERM)
    return [await _bulk_item(method, replace(call, params=params), forbidden=forbidden) for params in all_params]


async def _bulk_item(method: Method, call: Call, *, forbidden: bool) -> dict[str, Any]:
    item: dict[str, Any] = {"job_id": None, "error": None, "result": None}
    try:
        if forbidden:
            raise not_authorized(errno.EPERM)
        if method.job is None:
            item["result"] = await _run(method, call)
        else:
            job = _start_job(method, method.job, call)
            item["job_id"] = job.id
            item["result"] = await job.wait()
    except CallFailed as failure:
        item["error"] = failure.reason
    return item


def _missing_job(job_id: Any, style: MissingJob) -> CallFailed:
    message = f"Job with id {job_id} does not exist"
    match style:
        case MissingJob.KEY_ERROR:
            return python_error(KeyError(job_id))
        case MissingJob.INSTANCE_NOT_FOUND:
            return instance_not_found(message, f"InstanceNotFound({message!r})")
        case MissingJob.INSTANCE_NOT_FOUND_FULL:
            return instance_not_found(message, f"InstanceNotFound(None, {message!r}, {errno.ENOENT})")


# auth


@_method("auth.mechanism_choices", before_login=lambda _: True)
async def _mechanism_choices(call: Call) -> list[str]:
    profile = call.appliance.profile
    if not profile.mechanism_choices_before_login:
        _ = call.key  # those releases look at the session's login, which is not there yet
    return ["API_KEY_PLAIN", "TOKEN_PLAIN", "PASSWORD_PLAIN", *(["SCRAM"] if profile.scram else [])]


@_method("auth.login_ex", before_login=lambda _: True)
async def _login_ex(call: Call) -> dict[str, Any]:
    appliance = call.appliance
    return await appliance.auth.login_ex(call.params, call.caller.login, appliance.faults.ha_redirect)


@_method("auth.login_with_api_key", before_login=lambda _: True)
async def _login_with_api_key(call: Call) -> bool:
    return call.appliance.auth.login_with_api_key(call.params[0], call.caller.login)


@_method("auth.me")
async def _me(call: Call) -> dict[str, Any]:
    return user_info(call.key)


# system and apps


@_method("system.version")
async def _version(call: Call) -> str:
    return call.appliance.profile.version


@_method("system.ready")
async def _ready(call: Call) -> bool:
    return not call.appliance.faults.not_ready


@_method("system.state")
async def _state(call: Call) -> str:
    return "BOOTING" if call.appliance.faults.not_ready else "READY"


@_method("app.query", "APPS_READ")
async def _query_apps(call: Call) -> list[dict[str, Any]]:
    return _select([app.describe() for app in call.appliance.apps], call.params)


# alerts


@_method("alert.list", "ALERT_LIST_READ")
async def _list_alerts(call: Call) -> list[dict[str, Any]]:
    return call.appliance.listed_alerts()


@_method("alert.list_categories", "ALERT_LIST_READ")
async def _list_categories(call: Call) -> list[dict[str, Any]]:
    return call.appliance.alerts.categories()


@_method("alert.dismiss", "ALERT_LIST_WRITE")
async def _dismiss(call: Call) -> None:
    call.appliance.announce_alert(call.appliance.alerts.dismiss(call.params[0]))


@_method("alert.restore", "ALERT_LIST_WRITE")
async def _restore(call: Call) -> None:
    call.appliance.announce_alert(call.appliance.alerts.restore(call.params[0]))


_ALERT_JOB = JobKind(lock=lambda _: PROCESS_ALERTS, lock_queue_size=None, transient=True)


@_method("alert.oneshot_create", private=True, job=_ALERT_JOB)
async def _create_alert(call: Call) -> None:
    if not call.appliance.profile.oneshot_create_from_outside:
        raise _not_from_outside(call.params)
    if not call.caller.newest_route:
        raise call_error("Method 'oneshot_create' not found in 'alert'", 201)
    klass, args = call.params
    call.appliance.create_alert(klass, args)


@_method("alert.oneshot_delete", private=True, job=_ALERT_JOB)
async def _delete_alerts(call: Call) -> None:
    classes, query = call.params
    call.appliance.delete_alerts(classes, query)


@_method("alertclasses.config", "ALERT_READ")
async def _class_settings(call: Call) -> dict[str, Any]:
    return {"id": 1, "classes": call.appliance.alerts.settings}


@_method("alertclasses.update", "ALERT_WRITE")
async def _update_class_settings(call: Call) -> dict[str, Any]:
    call.appliance.alerts.configure(call.params[0].get("classes", {}))
    call.appliance.touch()
    return {"id": 1, "classes": call.appliance.alerts.settings}


@_method("alertservice.query", "ALERT_READ")
async def _alert_services(call: Call) -> list[dict[str, Any]]:
    """List the two services that every release has from the start; both leave INFO and NOTICE out."""
    snmp = {"type": "SNMPTrap", "host": "localhost", "port": 162, "v3": False, "community": "public"}
    services = [
        {"id": 1, "name": "SNMP Trap", "attributes": snmp, "level": "WARNING", "enabled": True},
        {"id": 2, "name": "E-Mail", "attributes": {"type": "Mail", "email": ""}, "level": "WARNING", "enabled": True},
    ]
    return _select(services, call.params)


def _not_from_outside(params: list[Any]) -> CallFailed:
    """Return the failure of a method that takes a Python object (27): besides itself and the job, one argument."""
    if len(params) == 1:
        return call_error(f"Alert {params[0]!r} is not a one-shot alert class")
    given = 2 + len(params)
    return python_error(TypeError(f"AlertService.oneshot_create() takes 3 positional arguments but {given} were given"))


# mail


@_method("mail.send", job=JobKind())
async def _send_mail(call: Call) -> bool | None:
    appliance, message = call.appliance, call.params[0]
    extra = [(f"mail_message.{name}", "Extra inputs are not permitted") for name in message.keys() - _MAIL_FIELDS]
    missing = [] if "subject" in message else [("mail_message.subject", "Field required")]
    if extra or missing:
        raise invalid_params(missing + sorted(extra))
    if not message.get("to") and appliance.administrator_email is None:
        raise call_error("None of the local administrators has an e-mail address configured")
    if not appliance.mail_is_set_up:
        raise call_error("You must provide an outgoing mailserver and mail server port when sending mail")
    appliance.mails.append(message)
    appliance.touch()
    return appliance.profile.mail_result


@_method("mail.local_administrator_email")
async def _administrator_email(call: Call) -> str | None:
    return call.appliance.administrator_email


def _select(rows: list[dict[str, Any]], params: list[Any]) -> list[dict[str, Any]]:
    """Return the rows that pass the query filters `[[field, operator, value], ...]`; the operators are = != in."""
    filters = params[0] if params else []
    return [row for row in rows if all(_passes(row, *one) for one in filters)]


def _passes(row: dict[str, Any], field: str, operator: str, value: Any) -> bool:
    match operator:
        case "=":
            return bool(row.get(field) == value)
        case "!=":
            return bool(row.get(field) != value)
        case "in":
            return row.get(field) in value
        case _:
            raise ValueError(f"Invalid filter operator {operator!r}")
