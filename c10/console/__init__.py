"""Everything that a person or a log reads: events, progress, the live display, text."""
