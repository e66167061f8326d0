"""Why an engine may be reused: its sources, the build record, the verdict. May import corpus, files, host, signing."""
