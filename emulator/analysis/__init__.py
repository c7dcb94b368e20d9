"""Compares calls and gateways: portability, differences between behaviors, tables of rules."""
