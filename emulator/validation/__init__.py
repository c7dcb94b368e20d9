"""Validates requests: reads the body, checks each parameter, and returns a Call or raises a GatewayError."""
