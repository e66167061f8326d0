"""The doit commands that only look or tidy: plan, verify, prune, report.

They are entry points (``doit.COMMAND``), so they exist wherever c10 is installed, and need no dodo.py.
"""
