"""All that speaks to a person or to a log: events, progress, the live display, text."""
