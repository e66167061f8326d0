"""Detects the facts of this machine that engines are built for."""

from c10.host.capabilities import HostCapabilities
from c10.host.probe import probe_host

__all__ = ["HostCapabilities", "probe_host"]
