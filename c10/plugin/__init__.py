"""c10 as doit sees it: the up-to-date rule, the reporter, the database."""
