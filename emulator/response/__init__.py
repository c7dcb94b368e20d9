"""Builds the reply to a valid call: data, usage, revised prompts, links, streams, and what a scenario changes."""
