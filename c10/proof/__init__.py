"""Why an engine may be reused: its sources, the build record, the verdict."""
