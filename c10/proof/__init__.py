"""Decides whether an engine may be reused, from its sources, its build record and its bytes."""
