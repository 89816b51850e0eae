"""For all tests, those of the plugins too: properties are tried on whatever machine this is, and how long an example
takes says nothing of it. What a test may need of the machine is said by markers (tests/machine.py)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

pytest_plugins = ["tests.machine"]
