"""The benchmark: `python -m tests.bench` measures the emulator beside a bare aiohttp handler, in one run.

It is no test, and asserts nothing. What pytest collects here tests its tables and its options, and measures nothing.
"""
