"""A runner as a service: logs, probes for whoever watches it, several processes under one."""
