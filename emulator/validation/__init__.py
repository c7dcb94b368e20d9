"""Holds a request against its gateway: reads the body, judges each parameter, or raises a GatewayError."""
