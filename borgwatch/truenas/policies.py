"""The policy that TrueNAS' users gave each alert class: whether and when its alerts are sent on.

`NEVER` does more: what has it is there, and not in `alert.list`; it stands again once the policy is another one.
"""

from __future__ import annotations

from borgwatch.truenas.session import Session

__all__ = ["NEVER", "policies"]

NEVER = "NEVER"


async def policies(session: Session) -> dict[str, str]:
    """Ask for the policies that are not the default, by class; raises `TrueNASError`."""
    config = await session.call("alertclasses.config")
    classes = config.get("classes") if isinstance(config, dict) else None
    if not isinstance(classes, dict):
        return {}
    return {name: str(one.get("policy", "")) for name, one in classes.items() if isinstance(one, dict)}
