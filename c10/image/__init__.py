"""Builds the container image of a corpus's engines.

``contents`` and ``layout`` write the same bytes for the same engines on any machine. ``builders`` calls docker,
podman or buildah; "builder" in this folder means one of these programs, not TensorRT's builder.
"""
