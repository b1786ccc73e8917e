"""Configurations: defaults, what each section accepts, and the message for everything else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.workloads.modelsearch.world import write_config

from fanwise.errors import InputError
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._config import Autocorrelation, Heteroscedasticity, StationaryTest, WalkForward
from fanwise.workloads.modelsearch._identity import canonical, identity_of

MINIMAL = """
[data]
file = "macro.csv"
time = "date"
target = "infl"
train = ["1962-03-31", "2003-12-31"]
[search]
[[search.group]]
name = "activity"
items = ["realgdp:GR(1,4)@0..2"]
"""


def read(folder: Path, text: str) -> modelsearch.Config:
    path = folder / "search.toml"
    path.write_text(text, "utf-8")
    return modelsearch.load_config(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    return str(caught.value)


def test_what_is_left_out_has_the_documented_default(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)
    assert config.data.file == tmp_path / "macro.csv"
    assert (config.data.test, config.data.missing, dict(config.data.alias)) == (None, "common", {})
    assert (config.search.min_terms, config.search.max_terms, config.search.per_variable) == (1, 3, 1)
    assert config.search.groups[0].pick == (0, 3)
    filters = config.filters
    assert (filters.r2_min, filters.adj_r2_min, filters.vif_max, filters.p_max) == (0.30, None, 10.0, 0.10)
    assert (filters.season, filters.group_p_max, filters.cov) == ("group", 0.10, "auto")
    assert filters.autocorrelation == Autocorrelation((1.5, 2.5), 1, 0.10, "both")
    assert filters.heteroscedasticity == Heteroscedasticity(0.05, 0.05, "both")
    assert (filters.stationary, filters.stationary_p, filters.cointegration) == ("adf-or-pp", 0.05, None)
    assert (filters.oos_ratio_max, filters.sign_stability_min, dict(filters.sign)) == (None, None, {})
    assert (config.pretest.items_stationary, config.pretest.target_stationary) == (None, None)
    assert (config.rank.by, config.rank.top, config.rank.walk_forward) == ("bic", 0, WalkForward(60, 4))
    assert (config.rank.windows, config.rank.weights) == (4, (1.0, 1.0, 1.0))
    assert (config.multiplicity.method, config.multiplicity.bootstrap) == ("reality-check", 1000)
    assert (config.multiplicity.block, config.multiplicity.seed) == (8, 42)
    assert (config.run.chunk, config.run.prefetch) == (4096, "all")


def test_an_inline_table_may_be_partial(tmp_path: Path) -> None:
    text = MINIMAL + "[filters]\nautocorrelation = { bg_lags = 4 }\n[rank]\nwalk_forward = { step = 1 }\n"
    config = read(tmp_path, text)
    assert config.filters.autocorrelation == Autocorrelation(bg_lags=4)
    assert config.rank.walk_forward == WalkForward(60, 1)


def test_false_switches_a_filter_off(tmp_path: Path) -> None:
    keys = ("r2_min", "vif_max", "p_max", "group_p_max", "autocorrelation", "heteroscedasticity", "stationary")
    config = read(tmp_path, MINIMAL + "[filters]\n" + "".join(f"{key} = false\n" for key in keys))
    assert all(getattr(config.filters, key) is None for key in keys)


def test_every_section_is_read(tmp_path: Path) -> None:
    text = """
[data]
file = "m.csv"
time = "t"
target = "cpi:DLOG(1)"
train = [1, 80]
test = [81, 100]
missing = "drop-items"
[data.alias]
u = "Unemployment: rate (s.a.)"
[search]
forced = ["oil:GR(1)", "season(4)", "season(12;2,3)"]
min_terms = 0
max_terms = 2
per_variable = 0
[[search.group]]
name = "a"
items = ["u:LV@0..1"]
pick = [1, 2]
[filters]
cov = "HAC(3)"
p_exempt = ["oil:GR(1)"]
cointegration = 0.05
[filters.sign]
u = "-"
"u:LV@1" = "+"
[pretest]
items_stationary = { test = "pp" }
[rank]
by = "composite"
top = 10
walk_forward = false
weights = [1, 0, 2]
[multiplicity]
method = "spa"
block = 2.5
[run]
chunk = 7
prefetch = "lazy"
"""
    config = read(tmp_path, text)
    assert config.data.train == (1, 80)
    assert [str(item) for item in config.search.forced] == ["oil:GR(1)"]
    assert [str(season) for season in config.search.seasons] == ["season(4)", "season(12;2,3)"]
    assert config.search.groups[0].pick == (1, 2)
    assert config.filters.sign == {"u": "-", "u:LV@1": "+"}
    assert config.pretest.items_stationary == StationaryTest("pp", 0.05)
    assert (config.rank.walk_forward, config.rank.weights) == (None, (1.0, 0.0, 2.0))
    assert (config.multiplicity.method, config.multiplicity.block, config.run.chunk) == ("spa", 2.5, 7)


def test_dates_may_be_written_with_or_without_quotes(tmp_path: Path) -> None:
    bare = read(tmp_path, MINIMAL.replace('"1962-03-31"', "1962-03-31").replace('"2003-12-31"', "2003-12-31"))
    assert bare.data.train == ("1962-03-31", "2003-12-31")


def test_a_configuration_travels_to_workers(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL + '[filters.sign]\nrealgdp = "+"\n')
    assert pickle.loads(pickle.dumps(config)) == config


SECTION = "[filters]\n"


@pytest.mark.parametrize(
    ("addition", "says"),
    [
        (SECTION + "pmax = 0.1", "search.toml: [filters] pmax: unknown key; did you mean p_max?"),
        (SECTION + 'p_max = "x"', '[filters] p_max: expected a number above 0 and at most 1 or false, not "x"'),
        (SECTION + "p_max = true", "[filters] p_max: expected a number above 0 and at most 1 or false, not true"),
        (SECTION + "p_max = 0", "[filters] p_max: expected a number above 0"),
        (SECTION + "r2_min = nan", "[filters] r2_min: expected a number or false"),
        (SECTION + 'cov = "HC3"', '[filters] cov: expected "auto", "nonrobust", "HC1" or "HAC(L)"'),
        (SECTION + 'cov = "HAC(x)"', "[filters] cov: expected"),
        (SECTION + 'season = "all"', '[filters] season: expected one of "group", "each", "ignore", not "all"'),
        (SECTION + 'stationary = "kpss"', "[filters] stationary: expected one of"),
        (SECTION + "autocorrelation = 3", "[filters] autocorrelation: expected a table or false, not 3"),
        (SECTION + "autocorrelation = { lags = 1 }", "[filters] autocorrelation lags: unknown key"),
        (SECTION + "autocorrelation = { dw = [2.5, 1.5] }", "dw: expected two values, the first not above the second"),
        (SECTION + 'autocorrelation = { fail = "any" }', 'fail: expected one of "both", "either"'),
        (SECTION + "autocorrelation = { bg_lags = 0 }", "bg_lags: expected a whole number of at least 1"),
        (SECTION + "sign = 1", '[filters] sign: expected "+" or "-"'),
        (SECTION + '[filters.sign]\nrealgdp = "up"', '[filters] sign: expected "+" or "-"'),
        (SECTION + '[filters.sign]\nrealgpd = "+"', "realgpd is not an item of the search; did you mean realgdp?"),
        (SECTION + 'p_exempt = ["realgdp:LV"]', "[filters] p_exempt: realgdp:LV is not an item of the search"),
        (SECTION + 'p_exempt = "realgdp"', "[filters] p_exempt: expected a list of entries"),
        (SECTION + "oos_ratio_max = 1.0", "[filters] oos_ratio_max: needs test rows; give [data] test"),
        ("[rank]\nby = 'oos_rmse'", "[rank] by: needs test rows; give [data] test"),
        ("[rank]\nby = 'wf_rmse'\nwalk_forward = false", "[rank] by: wf_rmse needs walk_forward"),
        ("[rank]\nby = 'best'", '[rank] by: expected one of "aic", "bic"'),
        ("[rank]\nweights = [1, 1]", "[rank] weights: expected a list of 3 values"),
        ("[rank]\nweights = [0, 0, 0]", "[rank] weights: expected three numbers of at least 0, not all 0"),
        ("[rank]\ntop = -1", "[rank] top: expected a whole number of at least 0"),
        ("[rank]\nwindows = 1.5", "[rank] windows: expected a whole number of at least 1"),
        ("[rank]\nwalk_forward = { step = 0 }", "[rank] walk_forward step: expected a whole number of at least 1"),
        ("[run]\nchunk = 0", "[run] chunk: expected a whole number of at least 1, not 0"),
        ("[run]\nprefetch = 'some'", '[run] prefetch: expected one of "all", "lazy"'),
        ("[multiplicity]\nblock = 0.5", "[multiplicity] block: expected a mean block length of at least 1"),
        ("[multiplicity]\nseed = -1", "[multiplicity] seed: expected a whole number of at least 0"),
        ("[pretest]\nitems_stationary = { test = 'x' }", "[pretest] items_stationary test: expected one of"),
        ("[extra]\nkey = 1", "search.toml: extra: unknown key"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(tmp_path: Path, addition: str, says: str) -> None:
    assert says in refusal(tmp_path, MINIMAL + addition + "\n")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('"realgdp:GR(1,4)@0..2"', '"realgdp:GT(1)"', '[search.group 1] "realgdp:GT(1)": unknown transform GT; known:'),
        ('"realgdp:GR(1,4)@0..2"', '"a", "a:LV"', 'a:LV is given twice in group "activity"'),
        ('["realgdp:GR(1,4)@0..2"]', "[]", "[search.group 1] items: is empty"),
        ('["realgdp:GR(1,4)@0..2"]', '["a"]\npick = [2, 1]', "pick: expected two values, the first not above"),
        ('["realgdp:GR(1,4)@0..2"]', '["a"]\npik = [1, 1]', "[search.group 1] pik: unknown key; did you mean pick?"),
        ('name = "activity"\n', "", "[search.group 1] name: is missing"),
        (
            "[search]\n",
            '[search]\nforced = ["realgdp:GR(1)"]\n',
            'realgdp:GR(1) is forced and also in group "activity"',
        ),
        ("[search]\n", '[search]\nforced = ["m", "m"]\n', "[search] forced: m:LV is given twice"),
        ("[search]\n", '[search]\nforced = ["season(1)"]\n', '[search] forced "season(1)"'),
        ("[search]\n", '[search]\nforced = ["m:XX"]\n', '[search] forced "m:XX": unknown transform XX'),
        ("[search]\n", "[search]\nmin_terms = 4\n", "[search] min_terms: 4 is above max_terms, 3"),
        ("[search]\n", "[search]\nmax_terms = -1\n", "[search] max_terms: expected a whole number of at least 0"),
        ('target = "infl"', "target = 3", "[data] target: expected text, not 3"),
        ('target = "infl"', 'target = "a:LV,DF"', '[data] "a:LV,DF": expected one item'),
        ('target = "infl"', 'target = "a:ZZ"', '[data] "a:ZZ": unknown transform ZZ'),
        ('time = "date"\n', "", "[data] time: is missing"),
        ('["1962-03-31", "2003-12-31"]', '["1962-03-31"]', "[data] train: expected a list of 2 values"),
        ('["1962-03-31", "2003-12-31"]', '["2003-12-31", "1962-03-31"]', "[data] train: expected two values"),
        ('["1962-03-31", "2003-12-31"]', '["1962-03-31", 3]', "[data] train: expected two values"),
        ('["1962-03-31", "2003-12-31"]', "[1.5, 2]", "[data] train: expected ISO dates or whole numbers"),
        ('time = "date"\n', 'time = "date"\ntest = ["2003-01-31", "2004-01-31"]\n', "it must start after train"),
        ('time = "date"\n', 'time = "date"\ntest = [1, 2]\n', "it must start after train"),
        (
            'time = "date"\n',
            'time = "date"\nmissing = "drop"\n',
            '[data] missing: expected one of "common", "drop-items"',
        ),
        (
            'time = "date"\n',
            'time = "date"\nalias = { a = 1 }\n',
            "[data] alias: expected a column name for each alias",
        ),
    ],
)
def test_a_bad_space_or_data_section_is_refused(tmp_path: Path, before: str, after: str, says: str) -> None:
    assert before in MINIMAL
    assert says in refusal(tmp_path, MINIMAL.replace(before, after))


def test_a_variable_belongs_to_one_group(tmp_path: Path) -> None:
    text = MINIMAL + '[[search.group]]\nname = "more"\nitems = ["realgdp:LV"]\n'
    assert 'realgdp is in two groups, "activity" and "more"; choose one' in refusal(tmp_path, text)


def test_two_groups_have_two_names(tmp_path: Path) -> None:
    text = MINIMAL + '[[search.group]]\nname = "activity"\nitems = ["m1"]\n'
    assert 'two groups are called "activity"' in refusal(tmp_path, text)


def test_without_a_group_there_is_no_search(tmp_path: Path) -> None:
    assert "[search] group: at least one [[search.group]] is needed" in refusal(
        tmp_path, MINIMAL[: MINIMAL.index("[[search")]
    )


def test_cointegration_is_refused_beyond_the_published_tables(tmp_path: Path) -> None:
    many = MINIMAL.replace("[search]\n", '[search]\nforced = ["a", "b", "c"]\n') + "[filters]\ncointegration = 0.05\n"
    assert "published for up to 6 series; here are up to 7 (target, 3 free and 3 forced items)" in refusal(
        tmp_path, many
    )
    fewer = many.replace('"a", "b", "c"', '"a", "b"')
    assert read(tmp_path, fewer).filters.cointegration == 0.05


@pytest.mark.parametrize(("text", "says"), [("a = [", "search.toml: not a TOML document"), ("", "data: is missing")])
def test_a_document_that_is_no_configuration_is_refused(tmp_path: Path, text: str, says: str) -> None:
    assert says in refusal(tmp_path, text)


def test_a_section_must_be_a_table(tmp_path: Path) -> None:
    assert "[rank]: expected a table" in refusal(tmp_path, "rank = 3\n" + MINIMAL)


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nothing\.toml: no such file"):
        modelsearch.load_config(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cannot read .*binary\.toml"):
        modelsearch.load_config(tmp_path / "binary.toml")


def changed(folder: Path, **sections: Any) -> list[str]:
    """Names of sections whose hash differs from that of the plain configuration."""
    before = identity_of(modelsearch.load_config(write_config(folder)), "d", "1")
    after = identity_of(modelsearch.load_config(write_config(folder, sections, name="other")), "d", "1")
    return after.changed(before.sections)


def test_the_identity_of_a_search_says_which_section_changed(tmp_path: Path) -> None:
    assert changed(tmp_path) == []
    assert changed(tmp_path, filters={"p_max": 0.2}) == ["[filters]"]
    assert changed(tmp_path, run={"chunk": 5}, rank={"by": "aic"}) == ["[rank]", "[run]"]


def test_data_and_versions_are_part_of_the_identity(tmp_path: Path) -> None:
    config = modelsearch.load_config(write_config(tmp_path))
    one = identity_of(config, "d", "1")
    assert identity_of(config, "e", "1").changed(one.sections) == ["the data"]
    assert identity_of(config, "d", "2").changed(one.sections) == ["the version of fanwise or NumPy"]
    assert one.run_key != identity_of(config, "e", "1").run_key
    assert one.config_hash == identity_of(config, "e", "2").config_hash
    assert one.record_key("full") != one.record_key("cascade")


def test_the_place_of_files_and_the_order_of_keys_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = write_config(tmp_path / "a", {"filters": {"p_max": 0.2, "r2_min": 0.1}})
    two = write_config(tmp_path / "b", {"filters": {"r2_min": 0.1, "p_max": 0.2}})
    assert canonical(modelsearch.load_config(one)) == canonical(modelsearch.load_config(two))
