"""c10's version: one place, read by the records and the package."""

__version__ = "0.1.0"
