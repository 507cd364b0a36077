"""The second rung: an alert as a mail through `mail.send`, the only clean way on TrueNAS 27.

TrueNAS adds its name to the subject and sends to all local administrators that have an address. Its answer tells
that its mail server took the mail, and no more: a `Mailed` is no proof of delivery, and is never called one.
"""

from __future__ import annotations

from dataclasses import dataclass

from borgwatch.matching.templates import one_line
from borgwatch.model import Alert
from borgwatch.redact import redact
from borgwatch.truenas.errors import CallFailed, Verdict
from borgwatch.truenas.session import Session

__all__ = ["Mailed", "mail_of", "send_mail"]

_MAX_SUBJECT = 120
_MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Mailed:
    """TrueNAS took a mail, because of `why` there is no alert; `told` is False where nobody had to be told anew."""

    raised: bool
    why: str
    told: bool = True


def mail_of(alert: Alert, why: str) -> dict[str, str]:
    """Write the message of `mail.send`: subject and plain text, masked and without control characters."""
    text = one_line(redact(alert.text), _MAX_TEXT)
    subject, _, _ = text.partition(". ")
    return {
        "subject": f"borgwatch: {one_line(subject, _MAX_SUBJECT)}",
        "text": f"{text}\n\nThis comes as mail because there is no alert in TrueNAS: {one_line(why, _MAX_TEXT)}.\n",
    }


async def send_mail(session: Session, alert: Alert, why: str) -> Mailed:
    """Send an alert as a mail if people are to be told anew; raises `TrueNASError` if TrueNAS does not take it."""
    if not alert.renotify:
        return Mailed(alert.raised, why, told=False)
    if await session.run_job("mail.send", mail_of(alert, why)) is False:  # true on 25.x, null on 26 and later
        raise CallFailed(
            "mail.send: TrueNAS is not allowed to send mail (its network activity is switched off)",
            Verdict.USER, -32001, None, "",
        )  # fmt: skip
    return Mailed(alert.raised, why)
