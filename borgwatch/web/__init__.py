"""Health, metrics and the status page over HTTP, off unless a port is set. Only reads, and only renders."""
