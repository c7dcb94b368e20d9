"""The HTTP server: requests in, responses out, pictures by link."""
