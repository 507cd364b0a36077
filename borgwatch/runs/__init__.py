"""Runs: many lines bear on one backup, one outcome comes of it. Pure."""
