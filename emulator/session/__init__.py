"""Everything that a session remembers: its calls, scenario, tasks, counters; and what reads them."""
