# SPDX-License-Identifier: Apache-2.0
"""Results: medians with their spread, each beside what it is held against, for people on stdout and for programs in a file."""
import json
import statistics
import sys


def median(xs):
    return statistics.median(xs)


def spread(xs):
    return f"{min(xs):,.4g} … {max(xs):,.4g}"


class Report:
    def __init__(self):
        self.results, self.title = [], ""

    def begin(self, name, what):
        print(f"\n{name}: {what}", flush=True)

    def note(self, text):
        print(f"  {text}", flush=True)

    def add(self, name, unit, values, against_name, against, **more):
        """One result: all values of both sides, of the same rounds. The ratio is that of the medians; the spread of the rounds' own
        ratios is shown beside it, since what disturbs a machine disturbs neighbours alike. An `against` that is a number is a fact."""
        value = median(values)
        fixed = not isinstance(against, list)
        other = against if fixed else median(against)
        ratios = [v / a for v, a in zip(values, [against] * len(values) if fixed else against)]
        result = {"name": name, "value": round(value, 4), "unit": unit, "against": round(other, 4), "ratio": round(value / other, 4),
                  "against_what": against_name, "rounds": len(values), "values": [round(v, 4) for v in values],
                  "against_values": other if fixed else [round(a, 4) for a in against], **more}
        self.results.append(result)
        print(f"  {name}: {value:,.5g} {unit} ({spread(values)}) against {other:,.5g} {unit} of {against_name}"
              + ("" if fixed else f" ({spread(against)})") + f": ratio {value / other:.3f} ({spread(ratios)}), {len(values)} rounds", flush=True)

    def write(self, path):
        with open(path, "w") as f:
            json.dump(self.results, f, indent=1)
            f.write("\n")


def round_line(n, **figures):
    print(f"  round {n + 1}: " + ", ".join(f"{k} {v}" for k, v in figures.items()), file=sys.stderr, flush=True)
