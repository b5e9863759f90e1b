"""Run folders and claims as HTML pages that need no network."""
