"""c10's version: one place, read by the records and the package. May import nothing."""

__version__ = "0.1.0"
