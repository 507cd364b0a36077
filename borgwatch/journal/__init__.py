"""The journal: the only state that outlives the process, and reading it beside a running service."""
