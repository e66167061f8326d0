"""Signed build records: the policy, the envelope beside an engine, and the keys.

``envelope`` and ``policy`` are plain data. Only ``keys`` imports cryptography, and only if a policy needs it.
"""
