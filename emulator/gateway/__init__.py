"""A gateway as data: its OpenAPI file, rules, wording of errors, formats, models and prices."""
