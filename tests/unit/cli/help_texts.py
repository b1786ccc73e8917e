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
  ci    Exact confidence intervals for many 2×2 tables.
  scan  Search audit files with a rule set.

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
    "scan": """\
Usage: fanwise scan [OPTIONS] PATH...

  Search the audit files in PATH... with the rules in RULES, and write the results into DIR.

  A PATH is a file, or a folder whose matching files are taken. Each rule of the set applies to the systems
  that its filters admit. Nothing of the files is kept outside DIR unless --cache-dir is given.

Options:
  --rules RULES.yaml|DIR          Rule file, or a folder of them.
  --out DIR                       Folder for the results.
  --format F[,F…]                 xlsx, jsonl, csv, sarif  [default: xlsx]
  --compat [kpat]                 kpat: results as KP Analysis Toolkit 2.1.3 has them.
  --glob TEXT                     Which files of a folder are scanned.  [default: *.txt]
  --unknown [skip|scan]           Files that are no audit reports.  [default: skip]
  --encoding NAME                 Encoding of all files.  [default: found out for each]
  --rule-timeout SECONDS          For one rule in one file; 0: none.  [default: 5.0]
  --only PATTERN                  Only rules with such names; may be repeated.
  --strict                        Warnings about rules are errors.
  --check                         Check the rules and list them; scan nothing.
  --list [systems|files|sections]
                                  List; scan nothing.
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
    fanwise scan audit/ --rules rules/all.yaml --out results --format xlsx,jsonl
    fanwise scan audit/web1.txt audit/db1.txt --rules rules/ --out r2 --compat kpat --format jsonl -p 1
    fanwise scan audit/ --rules rules/ --check
    fanwise scan rules list|check|explain --help · fanwise scan diff --help

  Exit codes: 0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted
""",
    "scan rules check": """\
Usage: fanwise scan rules check [OPTIONS] RULES

  Check the rule file or folder RULES and list its rules.

Options:
  --strict         Warnings are errors.
  --compat [kpat]  Read the rules as this program does.
  --json           An object for machines on stdout.
  -h, --help       Show this message and exit.

  Examples:
    fanwise scan rules check rules/ --strict

  Exit codes: 0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted
""",
    "scan rules list": """\
Usage: fanwise scan rules list [OPTIONS] RULES

  List the rules in RULES: where each stands, its families, its sheet, and the text that its lines must
  contain.

Options:
  --only PATTERN   Only rules with such names; may be repeated.
  --compat [kpat]  Read the rules as this program does.
  --json           An object for machines on stdout.
  -h, --help       Show this message and exit.

  Examples:
    fanwise scan rules list rules/ --only 'linux_*'

  Exit codes: 0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted
""",
    "scan rules explain": """\
Usage: fanwise scan rules explain [OPTIONS] NAME

  Show what the rule NAME is made of, which text it needs, and what it finds in a file.

Options:
  --rules RULES.yaml|DIR  Rule file, or a folder of them.  [required]
  --file AUDIT.txt        Show how the rule fares in this file.
  --encoding NAME         Encoding of the file.  [default: found out]
  --compat [kpat]         Read the rules as this program does.
  --json                  An object for machines on stdout.
  -h, --help              Show this message and exit.

  Examples:
    fanwise scan rules explain linux_ssh --rules rules/ --file audit/web1.txt

  Exit codes: 0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted
""",
    "scan diff": """\
Usage: fanwise scan diff [OPTIONS] BEFORE AFTER

  List results that only one of two scans has.

  BEFORE and AFTER are folders with a results.jsonl, or such files. A result is the same if rule, file, text
  and fields are: it may have moved to another line.

Options:
  --fail      Exit code 3 if there is a difference.
  --json      An object for machines on stdout.
  -h, --help  Show this message and exit.

  Examples:
    fanwise scan diff results-march results-june
    fanwise scan diff old new --fail

  Exit codes: 0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted
""",
    "demo": """\
Usage: fanwise demo [OPTIONS]

  Run each job once as a plain loop and once with fanwise, on real input that comes with the package.

Options:
  --only [ci|scan]  Only this job (repeatable).
  --out DIRECTORY   Where the report goes.  [default: demo-report]
  --json            The table for machines on stdout.
  -h, --help        Show this message and exit.

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
