"""All benchmarks, suite by suite, each in a fresh process; and the page of what they found.

    python -m benchmarks run --suite nuts,em --peers numpyro,blackjax --rounds 3
    python -m benchmarks report

A suite whose peers are not all installed leaves out what it cannot run, says so, and the others go on. The measurements go to
`benchmarks/results`, one JSON line each; `report` makes a page and figures of the last session of each.
"""

import argparse
import subprocess
import sys

from benchmarks import report
from benchmarks.nuts.peers import available

#: Module and arguments of each suite. `workload` is a study of minutes, beside glmhmmt where --peer-python has it.
SUITES = {
    "nuts": ["benchmarks.nuts"],
    "em": ["benchmarks.hidden_markov"],
    "advi": ["benchmarks.experts", "--part", "b", "c"],
    "mdn": ["benchmarks.experts", "--part", "a", "d"],
    "batch": ["benchmarks.batches"],
    "workload": ["benchmarks.glmhmm_workload"],
}


def arguments():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure")
    run.add_argument("--suite", default=",".join(SUITES), help=f"some of {','.join(SUITES)}")
    run.add_argument("--peers", help="of the suite nuts: beginnings of names, such as numpyro,blackjax; all by default")
    run.add_argument("--rounds", type=int, default=3)
    run.add_argument(
        "--peer-python", help="of the suite workload: an interpreter with glmhmmt, which needs another JAX"
    )
    commands.add_parser("report", help="write the page and its figures")
    args = parser.parse_args()
    if args.command == "run" and (unknown := set(args.suite.split(",")) - set(SUITES)):
        parser.error(f"--suite: got {', '.join(sorted(unknown))}, expected some of {', '.join(SUITES)}")
    return args


def command(suite, args):
    """The command line of one suite."""
    line = [sys.executable, "-m", *SUITES[suite]]
    if suite == "workload":
        return [*line, "--peers", "--peer-python", args.peer_python] if args.peer_python else line
    line += ["--rounds", str(args.rounds)]
    if suite == "nuts" and args.peers is not None:
        wanted = ("jaxlatent", *args.peers.split(","))
        line += ["--peers", *(name for name in available() if name.startswith(wanted))]
    return line


def main():
    args = arguments()
    if args.command == "report":
        print(f"wrote {report.write()}")
        return
    failed = []
    for suite in args.suite.split(","):
        print(f"== {suite}", flush=True)
        if subprocess.run(command(suite, args), check=False).returncode:
            failed.append(suite)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
