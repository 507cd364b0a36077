"""What differs between the TrueNAS releases that can be simulated: one frozen value a release, in one table.

Everything else in the simulator is common to all of them. The facts were recorded on the releases' own RPC, login,
job and alert code, or read in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

__all__ = ["PROFILES", "LoginShape", "MissingJob", "Profile"]


class LoginShape(Enum):
    """How `auth.login_ex` complains of a login object of the wrong shape."""

    UNION = "tries every mechanism's model and lists what is wrong with each (25.04)"
    TAGGED_ENUM = "chooses the model by `mechanism`, shows the tags as enum members (25.10)"
    TAGGED_TEXT = "chooses the model by `mechanism`, shows the tags as strings (26 and later)"


class MissingJob(Enum):
    """How `core.job_wait` names a job that does not exist (any more)."""

    KEY_ERROR = "a bare KeyError (25.04)"
    INSTANCE_NOT_FOUND = "InstanceNotFound(message) (25.10, 26)"
    INSTANCE_NOT_FOUND_FULL = "InstanceNotFound(attribute, message, errno) (27)"


@dataclass(frozen=True, slots=True)
class Profile:
    """The ways of one release."""

    release: str
    version: str
    """What `system.version` answers."""
    api_versions: tuple[str, ...]
    """What `GET /api/versions` lists, oldest first; the last is the one that `/api/current` serves."""

    ping_before_login: bool
    mechanism_choices_before_login: bool
    """False where the call fails on `'NoneType' object has no attribute 'may_create_auth_token'`."""
    login_shape: LoginShape
    run_state_error: bool
    """A key that its user does not have, or no more, fails with -32001 instead of AUTH_ERR."""
    ipv6_is_insecure: bool
    """A client with an IPv6 address counts as insecure even over TLS, so its key is revoked."""
    scram: bool
    reconnect_token: bool
    """A successful login answers with the field `reconnect_token`."""

    legacy_jobs_option: bool
    """`core.set_options` honours `legacy_jobs` and answers with the options; otherwise null."""
    transient_job_events: bool
    """`core.get_jobs` sends events for transient jobs too."""
    job_message_ids: bool
    """Jobs tell the ids of the calls that wait for them."""
    missing_job: MissingJob
    bulk_fails_unauthorized: bool
    """`core.bulk` of a forbidden method fails as a job, instead of listing the refusal as a result."""

    oneshot_create_from_outside: bool
    """False where the method takes a Python object, which no client can send."""
    product_types_in_categories: bool
    smart_classes: bool
    """The classes SMART and ScrubFinished exist."""

    mail_result: bool | None
    """What a `mail.send` that went well answers."""
    roles: Mapping[str, frozenset[str] | None]
    """Roles of the methods that changed theirs; None means private, for FULL_ADMIN only."""
    log_timestamp_offset: bool
    """Container log lines carry a time with its offset; otherwise UTC without one."""


_FULL_ADMIN_ONLY: Mapping[str, frozenset[str] | None] = {
    "mail.local_administrator_email": None,
    "mail.send": None,
    "system.ready": None,
    "system.state": None,
}
_FINE_GRAINED: Mapping[str, frozenset[str] | None] = {
    "mail.local_administrator_email": frozenset({"ALERT_READ"}),
    "mail.send": frozenset({"MAIL_WRITE"}),
    "system.ready": frozenset({"SYSTEM_GENERAL_READ"}),
    "system.state": frozenset({"SYSTEM_GENERAL_READ"}),
}

_25_04_0 = Profile(
    release="25.04.0",
    version="TrueNAS-25.04.0",
    api_versions=("v24.10", "v25.04.0"),
    ping_before_login=False,
    mechanism_choices_before_login=True,
    login_shape=LoginShape.UNION,
    run_state_error=False,
    ipv6_is_insecure=True,
    scram=False,
    reconnect_token=False,
    legacy_jobs_option=False,
    transient_job_events=True,
    job_message_ids=False,
    missing_job=MissingJob.KEY_ERROR,
    bulk_fails_unauthorized=True,
    oneshot_create_from_outside=True,
    product_types_in_categories=False,
    smart_classes=True,
    mail_result=True,
    roles=_FULL_ADMIN_ONLY,
    log_timestamp_offset=False,
)
_25_04_2_6 = replace(
    _25_04_0,
    release="25.04.2.6",
    version="TrueNAS-25.04.2.6",
    api_versions=("v25.04.0", "v25.04.1", "v25.04.2"),
    mechanism_choices_before_login=False,
    run_state_error=True,
    ipv6_is_insecure=False,
)
_25_10_0 = replace(
    _25_04_2_6,
    release="25.10.0",
    version="25.10.0",
    api_versions=(*_25_04_2_6.api_versions, "v25.10.0"),
    ping_before_login=True,
    login_shape=LoginShape.TAGGED_ENUM,
    legacy_jobs_option=True,
    job_message_ids=True,
    missing_job=MissingJob.INSTANCE_NOT_FOUND,
    bulk_fails_unauthorized=False,
    smart_classes=False,
    roles=_FINE_GRAINED,
)
_25_10_6 = replace(
    _25_10_0,
    release="25.10.6",
    version="25.10.6",
    api_versions=(*_25_10_0.api_versions, "v25.10.1", "v25.10.2", "v25.10.3", "v25.10.4", "v25.10.5"),
)
_26_BETA_3 = replace(
    _25_10_6,
    release="26.0.0-BETA.3",
    version="26.0.0-BETA.3",
    api_versions=(*_25_10_0.api_versions, "v25.10.1", "v25.10.2", "v25.10.3", "v25.10.4", "v26.0.0"),
    mechanism_choices_before_login=True,
    login_shape=LoginShape.TAGGED_TEXT,
    run_state_error=False,
    scram=True,
    reconnect_token=True,
    transient_job_events=False,
    product_types_in_categories=True,
    mail_result=None,
    log_timestamp_offset=True,
)
_27_MASTER = replace(
    _26_BETA_3,
    release="27-master",
    version="27.0.0-MASTER-20260822-015113",
    api_versions=(*_26_BETA_3.api_versions, "v27.0.0"),
    missing_job=MissingJob.INSTANCE_NOT_FOUND_FULL,
    oneshot_create_from_outside=False,
)

PROFILES: dict[str, Profile] = {
    profile.release: profile for profile in (_25_04_0, _25_04_2_6, _25_10_0, _25_10_6, _26_BETA_3, _27_MASTER)
}
