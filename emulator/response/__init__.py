"""Builds the reply to a valid call: data, usage, revised prompts, links, streams, scripted changes."""
