"""borgwatch: reads what Borg backups already write and makes their outcome visible in TrueNAS."""

__all__ = ["__version__"]

__version__ = "0.1.0"
