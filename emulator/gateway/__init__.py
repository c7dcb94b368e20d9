"""A gateway as data: its OpenAPI file, rules, error catalog, formats, models and prices."""
