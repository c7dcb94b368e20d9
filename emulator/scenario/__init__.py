"""Scenarios: files, rules, matching, limits, and the engine that selects an answer for a call."""
