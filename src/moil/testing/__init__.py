"""For tests of workflows and of adapters: faults on demand, and the conformance suites every back-end must pass."""
