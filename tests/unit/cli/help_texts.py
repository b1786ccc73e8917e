"""What every command prints for ``--help`` at 110 columns, as it was read and approved."""

from __future__ import annotations

HELP: dict[str, str] = {
    "": """\
Usage: fanwise [OPTIONS] COMMAND [ARGS]...

  Run one function over many inputs: never slower than the loop, nothing lost, work done once.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Workloads:
  ci  Exact confidence intervals for many 2×2 tables.

Commands:
  completion  Print the completion script of a shell.
  demo        The main jobs on real input, as a loop and with fanwise.
  help        Pages on environment, exit-codes, files and backends.

  Pages: fanwise help environment | exit-codes | files | backends
""",
    "ci": """\
Usage: fanwise ci [OPTIONS] [INPUT]

  Compute exact confidence intervals for the odds ratios of the 2×2 tables in INPUT.

  INPUT is a .csv, .tsv or .parquet file with one table a row, or - for CSV on standard input. --method all
  means conditional, midp, blaker and minlike.

Options:
  -o, --output OUT                CSV, TSV or Parquet by its suffix; CSV on stdout without it.
  --method M[,M…]|all             conditional, midp, blaker, minlike, unconditional, wald  [default:
                                  conditional]
  --alpha F                       One less the confidence level.  [default: 0.05]
  --alternative [two-sided|less|greater]
                                  One-sided: less, greater.  [default: two-sided]
  --measure [or]                  or: the odds ratio.  [default: or]
  --columns A,B,C,D               Columns of the four counts.  [default: a,b,c,d]
  --events E1,T1,E2,T2            Columns of events and totals instead.
  --matrix                        INPUT is a matrix of counts: each cell makes a table.
  --prefix TEXT                   Goes before the names of the added columns.
  --adjust [bonferroni|bh]        Add p_adjusted: p-values for many tables.
  --strict                        A bad row ends it and nothing is written.
  --plot FOREST.svg               Forest plot of the first rows.
  --plot-rows N                   Rows in it.  [default: 60; 1<=x<=2000]
  --label COLUMN                  Column that labels them.  [default: the first that is no number]
  --table A,B,C,D                 One table instead of INPUT; the result is printed.
  -p, --parallel N|auto           Workers; 1: no workers.  [default: auto]
  --backend NAME|URL              auto, serial, thread, process or a URL.  [default: auto]
  --cache-dir PATH                Where cache and journals are kept.  [default: (the user's cache)]
  --no-cache                      Neither read nor fill the cache.
  --resume                        Go on where an interrupted run ended.
  --progress [auto|rich|plain|none]
                                  What is shown on stderr.  [default: auto]
  --report FILE.html              Where the time went, as a page (and FILE.json).
  --trace FILE.json               A trace for Perfetto or chrome://tracing.
  --json                          A summary for machines on stdout.
  -q, --quiet                     Errors only.
  -v, --verbose                   More on stderr; -vv: everything, with stack traces.
  --force                         Overwrite outputs and start afresh.
  -h, --help                      Show this message and exit.

  Examples:
    fanwise ci trials.csv --method all --plot forest.svg -o intervals.csv
    fanwise ci counts.tsv --events cases,treated,controls,untreated -o intervals.parquet -p 2
    fanwise ci --table 12,5,8,10 --method all
    fanwise ci coverage --help        (how often a method is right, over a grid)

  Exit codes: 0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted
""",
    "ci coverage": """\
Usage: fanwise ci coverage [OPTIONS]

  Compute the exact coverage of interval methods at each point of a grid.

  GRID is a list 0.1,0.2,0.5 or START:STOP:COUNT, or log:START:STOP:COUNT.

Options:
  --n1 INTEGER RANGE              Total of the first row.  [x>=1; required]
  --n2 INTEGER RANGE              Total of the second row.  [x>=1; required]
  --p2 GRID                       Probability in the second row.  [required]
  --p1 GRID                       Probability in the first row; or give --odds-ratio.
  --odds-ratio GRID               Odds ratio of the rows; or give --p1.
  --methods M[,M…]|all            As --method of fanwise ci.  [default: conditional]
  --alpha F                       One less the confidence level.  [default: 0.05]
  --length                        Add how often the interval is finite, and how long it is then.
  -o, --output OUT.csv            CSV; on stdout without it.
  --plot COVERAGE.svg             Lines, or a heat map.
  -p, --parallel N|auto           Workers; 1: no workers.  [default: auto]
  --backend NAME|URL              auto, serial, thread, process or a URL.  [default: auto]
  --cache-dir PATH                Where cache and journals are kept.  [default: (the user's cache)]
  --no-cache                      Neither read nor fill the cache.
  --resume                        Go on where an interrupted run ended.
  --progress [auto|rich|plain|none]
                                  What is shown on stderr.  [default: auto]
  --report FILE.html              Where the time went, as a page (and FILE.json).
  --trace FILE.json               A trace for Perfetto or chrome://tracing.
  --json                          A summary for machines on stdout.
  -q, --quiet                     Errors only.
  -v, --verbose                   More on stderr; -vv: everything, with stack traces.
  --force                         Overwrite outputs and start afresh.
  -h, --help                      Show this message and exit.

  Examples:
    fanwise ci coverage --n1 20 --n2 30 --p2 0.02:0.5:25 --odds-ratio log:0.1:10:41 -o cov.csv --plot cov.svg
    fanwise ci coverage --n1 8 --n2 10 --p2 0.1,0.3 --p1 0.2 --methods conditional,blaker,wald --length

  Exit codes: 0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted
""",
    "demo": """\
Usage: fanwise demo [OPTIONS]

  Run each job once as a plain loop and once with fanwise, on real input that comes with the package.

Options:
  --only [ci]      Only this job (repeatable).
  --out DIRECTORY  Where the report goes.  [default: demo-report]
  --json           The table for machines on stdout.
  -h, --help       Show this message and exit.

  Examples:
    fanwise demo
    fanwise demo --only ci --out my-demo --json

  Exit codes: 0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted
""",
    "help": """\
Usage: fanwise help [OPTIONS] environment|exit-codes|files|backends

  Print a page about something that all commands share.

Options:
  -h, --help  Show this message and exit.

  Example: fanwise help exit-codes
""",
    "completion": """\
Usage: fanwise completion [OPTIONS] bash|zsh|fish

  Print the script that teaches a shell to complete fanwise's commands and options.

Options:
  -h, --help  Show this message and exit.

  Example: eval "$(fanwise completion bash)"
""",
}
