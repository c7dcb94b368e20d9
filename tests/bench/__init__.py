"""The benchmark: `python -m tests.bench` measures the emulator beside a bare aiohttp handler, in one run.

It is no test: nothing is asserted, and pytest collects nothing here.
"""
