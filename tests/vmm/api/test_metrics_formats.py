#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Judges metrics by the parsers of Prometheus' client, and holds docs/metrics.md to the table.

usage: test_metrics_formats.py MAKE_METRICS SOURCE_FOLDER

Every number of the JSON must be a sample of the OpenMetrics text with the same value, and there
must be no other. Status 77: the parsers are missing (python3-prometheus-client).
"""
import json
import os
import subprocess
import sys

try:
    from prometheus_client.openmetrics import parser as openmetrics
    from prometheus_client import parser as prometheus
except ImportError:
    print("skipped: python3-prometheus-client is missing (scripts/test installs it)")
    sys.exit(77)

PREFIXES = {"": "", "memory": "memory_", "freezes": "freezes_", "freezes.last": "last_freeze_",
            "serial_output": "serial_output_", "devices": "device_", "vcpus": "vcpu_"}
LABELS = {"guest_errors": "kind", "guest_error_events": "outcome",
          "log_lines": "outcome", "spent_us": "phase", "dropped_bytes": "reason", "exits": "reason"}
COUNTERS = {"guest_errors", "guest_error_events", "log_lines", "memory_faults", "freezes_saved", "freezes_failed",
            "freezes_written_bytes", "freezes_spent_seconds", "serial_output_written_bytes",
            "serial_output_dropped_bytes", "device_in_bytes", "device_out_bytes",
            "device_lost_bytes", "device_wakes", "device_requests", "device_interrupts",
            "device_dropped_frames", "device_discarded_bytes", "device_connections", "device_refused_connections",
            "device_guest_errors", "vcpu_pauses", "vcpu_paused_seconds",
            "vcpu_exits"}


def sample(path, key, labels, value):
    name = PREFIXES[path] + key
    if name.endswith("_us"):
        name, value = name[:-3] + "_seconds", value / 1e6
    return "stasis_" + name + ("_total" if name in COUNTERS else ""), frozenset(labels.items()), \
        float(value)


def samples_of(node, path=""):
    """What the JSON says, as (name, labels, value)."""
    labels = {key: str(node[key]) for key in ("mode", "device", "type", "vcpu") if key in node}
    for key, value in node.items():
        inside = f"{path}.{key}" if path else key
        if key in labels:
            continue
        if isinstance(value, list):
            for item in value:
                yield from samples_of(item, inside)
        elif key in LABELS:
            for label, number in value.items():
                yield sample(path, key, {**labels, LABELS[key]: label}, number)
        elif isinstance(value, dict):
            yield from samples_of(value, inside)
        else:
            yield sample(path, key, labels, value)


def make(program, *args):
    return subprocess.run([program, *args], check=True, capture_output=True).stdout.decode()


def round_off(samples):
    return {(name, labels, round(value, 6)) for name, labels, value in samples}


def check(program, what):
    text = make(program, what, "openmetrics")
    expected = list(samples_of(json.loads(make(program, what, "json"))))
    families = list(openmetrics.text_string_to_metric_families(text))
    found = [(s.name, frozenset(s.labels.items()), s.value) for f in families for s in f.samples]
    assert len(found) == len(set(found)) and len(expected) == len(set(expected)), "twice the same"
    difference = round_off(expected) ^ round_off(found)
    assert not difference, f"{what}: in one format only: {sorted(difference, key=str)}"
    for family in families:
        assert family.documentation.endswith("."), f"{family.name}: no help"
        unit = next((u for u in ("bytes", "seconds") if family.name.endswith("_" + u)), "")
        assert family.unit == unit, f"{family.name}: unit {family.unit}"
        counts = family.name.removeprefix("stasis_") in COUNTERS
        assert (family.type == "counter") == counts, f"{family.name}: {family.type}"
    # The older format, which node exporter reads.
    old = {(s.name, frozenset(s.labels.items()), s.value)
           for f in prometheus.text_string_to_metric_families(text) for s in f.samples}
    assert old == set(found), "the older format has other samples"
    return len(found)


def check_document(program, root):
    table = make(program, "table")
    with open(os.path.join(root, "docs/metrics.md"), encoding="utf-8") as file:
        text = file.read()
    rows = "".join(line + "\n" for line in text.splitlines() if line.startswith("|"))
    assert rows == table, "the table of docs/metrics.md is not:\n" + table


def main():
    program, root = sys.argv[1:3]
    full, fresh = check(program, "full"), check(program, "fresh")
    assert full > fresh > 50
    check_document(program, root)
    print(f"{full} samples of a full machine, {fresh} of a fresh one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
