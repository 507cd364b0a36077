"""The second rung: an alert as a mail through `mail.send`, the only clean way on TrueNAS 27.

TrueNAS adds its name to the subject and sends to all local administrators that have an address. Its answer tells
that its mail server took the mail, and no more: a `Mailed` is no proof of delivery, and is never called one.
"""

from __future__ import annotations

from dataclasses import dataclass

from borgwatch.matching.templates import one_line
from borgwatch.model import Alert
from borgwatch.redact import redact
from borgwatch.truenas.errors import NOT_AUTHENTICATED, CallFailed, NoAnswer, Verdict
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
    """Send an alert as a mail if people are to be told anew; raises `TrueNASError` if TrueNAS does not take it.

    A mail that failed is not tried again soon: TrueNAS keeps what its mail server did not take and sends it itself
    later (25.04 to 27), and one without an answer may have gone out. Each try would be one more mail.
    """
    if not alert.renotify:
        return Mailed(alert.raised, why, told=False)
    try:
        answer = await session.run_job("mail.send", mail_of(alert, why))
    except (CallFailed, NoAnswer) as error:
        is_logged_out = isinstance(error, CallFailed) and error.errno == NOT_AUTHENTICATED
        if error.verdict is Verdict.RETRY_NOW and not is_logged_out:
            error.verdict = Verdict.RETRY_LATER
        raise
    if answer is False:  # true on 25.x, null on 26 and later
        raise CallFailed(
            "mail.send: TrueNAS is not allowed to send mail (its network activity is switched off)",
            Verdict.USER, -32001, None, "",
        )  # fmt: skip
    return Mailed(alert.raised, why)
