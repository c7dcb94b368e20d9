"""Compares calls and gateways: portability, differences between behaviors, the table of rules."""
