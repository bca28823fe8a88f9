# Runs a program and reads what it prints as Prometheus does: with the parser of its Python client.
# usage: check.py PROGRAM [ARGUMENT ...]
import subprocess
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def main():
    program = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True)
    families = list(text_string_to_metric_families(program.stdout.decode("utf-8")))
    samples = {sample.name for family in families for sample in family.samples}
    expected = {
        "libkv_info",
        "libkv_keys",
        "libkv_writes_total",
        "libkv_written_bytes_total",
        "libkv_operation_duration_seconds_bucket",
        "libkv_operation_duration_seconds_count",
        "libkv_operation_duration_seconds_sum",
    }
    missing = expected - samples
    if missing:
        sys.exit(f"these samples are missing: {sorted(missing)}")
    for family in families:
        if not family.documentation:
            sys.exit(f"{family.name} has no help")
        if family.unit and not family.name.endswith("_" + family.unit):
            sys.exit(f"{family.name} does not end in its unit {family.unit}")
    print(f"{len(families)} families, {len(samples)} kinds of samples: a good text")


main()
