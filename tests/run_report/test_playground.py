"""The threshold playground in a real browser shows what Python computes."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hierclf.hierarchy import LEVELS, UNLABELLED
from hierclf.rules.evidence import FAR, KNOWN, NEAR, Evidence
from hierclf.rules.figures import Promise
from hierclf.rules.moved import moved_margins, score_spreads
from hierclf.rules.promise import promise
from hierclf.rules.rule import LevelRule, Rule
from hierclf.run_report.classes import class_rows
from hierclf.run_report.judged import Judged, judge
from hierclf.run_report.playground import STEP
from hierclf.run_report.report import write_report
from hierclf.run_report.run_files import RunFiles, read_run
from tests.browser import counts_in, figures_in, needs_browser, opened, playground_of
from tests.drawn_runs import save_run
from tests.drawn_tables import N_SUB, N_SUPER, PARTS, draw_table

# Known classes are drawn anew in the browser; all else is drawn as Python draws it.
ALIKE = {"super_unseen": 0.15, "super_seen_near": 0.15, "sub_unseen_near": 0.15}
ALIKE |= {"sub_unseen": 0.15, "sub_unseen_far": 0.15}
NEARLY = 0.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    save_run(folder)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> RunFiles:
    return read_run(folder)


@pytest.fixture(scope="module")
def judged(run: RunFiles) -> Judged:
    return judge(run)


def moved(run: RunFiles, steps: dict[str, int]) -> Rule:
    """The run's rule with its thresholds moved by whole steps."""
    spreads = score_spreads(run.table, run.rule)
    parts = [
        LevelRule(run.rule[x].score, run.rule[x].tau + steps[x] * STEP * spreads[x]) for x in LEVELS
    ]
    return Rule(*parts)


def expected(run: RunFiles, judged: Judged, rule: Rule) -> Promise:
    margins = judged.found[judged.may_report]
    spreads = score_spreads(run.table, run.rule)
    table = judged.table.where(judged.may_report)
    return promise(table, moved_margins(margins, run.rule, rule, spreads))


def counted(judged: Judged, steps: dict[str, int]) -> dict[tuple[str, int], tuple[int, int]]:
    """By level and kind, how many images the moved rules decide rightly, and of how many."""
    rows = judged.found[judged.may_report]
    evidence = Evidence.of(judged.table.where(judged.may_report))
    above = {x: (rows[f"{x}_margin"] > steps[x] * STEP).to_numpy() for x in LEVELS}
    novel = {"super": above["super"], "sub": above["super"] | above["sub"]}
    right = {"super": evidence.super_right, "sub": evidence.sub_right}
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for level in LEVELS:
        for kind in (KNOWN, NEAR, FAR):
            known = kind == KNOWN or (kind == NEAR and level == "super")
            hits = right[level] & ~novel[level] if known else novel[level]
            of = evidence.rows(kind) & (evidence.weights(level) > 0)
            found[level, kind] = (int((hits & of).sum()), int(of.sum()))
    return found


@needs_browser
@pytest.mark.parametrize(
    "steps",
    [
        {"super": 0, "sub": 0},
        {"super": 700, "sub": -400},
        {"super": -1234, "sub": 567},
        {"super": 4000, "sub": 4000},
    ],
    ids=str,
)
def test_the_browser_shows_pythons_figures_at_any_thresholds(
    folder: Path, run: RunFiles, judged: Judged, steps: dict[str, int]
) -> None:
    rule = moved(run, steps)
    fragment = "&".join(f"{level}_tau={rule[level].tau!r}" for level in LEVELS)
    part = playground_of(opened(folder / "report.html", f"#{fragment}"))
    assert counts_in(part) == counted(judged, steps)
    shown, promised = figures_in(part), expected(run, judged, rule)
    assert set(shown) == set(promised)
    for key, figure in promised.items():
        assert figure is not None
        mean, *ends = 100 * np.array(figure)
        assert shown[key][0] == pytest.approx(mean, abs=ALIKE.get(key, NEARLY)), key
        # Ends are shown without decimals.
        np.testing.assert_allclose(shown[key][1:], ends, atol=0.6 + ALIKE.get(key, 2 * NEARLY))


@needs_browser
def test_the_page_opens_at_the_deployed_thresholds_and_there_shows_the_promise(
    folder: Path, run: RunFiles
) -> None:
    document = opened(folder / "report.html")
    shown = figures_in(playground_of(document))
    promised = figures_in(document.split('id="promise"', 1)[1].split("</section>", 1)[0])
    assert len(promised) == 8
    for key, figures in promised.items():
        np.testing.assert_allclose(shown[key], figures, atol=1.6, err_msg=key)
        assert shown[key][0] == pytest.approx(figures[0], abs=NEARLY)
    taus = [f"--{level}-tau={float(f'{run.rule[level].tau:.8g}')!r}" for level in LEVELS]
    assert f'<span id="taus">{" ".join(taus)}</span>' in document


@needs_browser
def test_thresholds_deployed_later_are_those_that_the_page_opens_at(tmp_path: Path) -> None:
    from hierclf.bundle.rule_file import save_rule

    save_run(tmp_path / "one")
    run = read_run(tmp_path / "one")
    steps = {"super": 300, "sub": -250}
    rule = moved(run, steps)
    save_rule(tmp_path / "one" / "model", rule)
    part = playground_of(opened(write_report(tmp_path / "one")))
    assert counts_in(part) == counted(judge(run), steps)
    for level in LEVELS:
        assert f"--{level}-tau={float(f'{rule[level].tau:.8g}')!r}" in part


@needs_browser
@pytest.mark.parametrize("super_label", [UNLABELLED, N_SUPER], ids=["unlabelled", "new"])
def test_a_users_own_novel_classes_are_judged_as_python_judges_them(
    tmp_path: Path, super_label: int
) -> None:
    table = draw_table(1500)
    own = table[table["sub_known"]].sample(120, random_state=1)
    number = np.arange(120) % 4
    own = own.assign(fold="reference", super_known=False, sub_known=False, sub_label=N_SUB + number)
    own["super_label"] = super_label + (number if super_label >= 0 else 0)
    parts = np.append(PARTS, [1, 2, 3, 1])
    folder, drawn = tmp_path / "one", pd.concat([table, own], ignore_index=True)
    rows = save_run(folder, drawn=drawn, parts=parts)
    names = {"image": rows.column("image")[1500:], "class": [f"own/{i}" for i in number]}
    pd.DataFrame(names).to_parquet(folder / "novel.parquet")
    document = opened(write_report(folder))
    steps = {"super": 0, "sub": 0}
    judged = judge(read_run(folder))
    assert counts_in(playground_of(document)) == counted(judged, steps)
    promised = figures_in(document.split('id="promise"', 1)[1].split("</section>", 1)[0])
    shown = figures_in(playground_of(document))
    for key, figures in promised.items():
        assert shown[key][0] == pytest.approx(figures[0], abs=NEARLY)
    for i in range(4):
        assert f'title="own/{i}"' in document


@needs_browser
def test_sliders_button_and_headings_do_what_they_say(
    folder: Path, run: RunFiles, judged: Judged, tmp_path: Path
) -> None:
    clicks = """<script>
      const slider = document.querySelector("#super_tau");
      slider.value = 500;
      slider.dispatchEvent(new Event("input"));
      slider.dispatchEvent(new Event("change"));
      document.body.dataset.moved = location.hash;
      document.querySelectorAll("#classes th button")[2].click();
      if (document.title.startsWith("back")) document.querySelector("#deployed").click();
    </script></body>"""
    # A policy lets the page's own scripts run only.
    text = (folder / "report.html").read_text().replace("Content-Security-Policy", "x-none")
    for title, moved_to in (("one", 500), ("back", 0)):
        page = tmp_path / f"{title}.html"
        page.write_text(text.replace("<title>one", f"<title>{title}").replace("</body>", clicks))
        document = opened(page)
        steps = {"super": moved_to, "sub": 0}
        assert counts_in(playground_of(document)) == counted(judged, steps)
        tau = float(f"{moved(run, {'super': 500, 'sub': 0}).super.tau:.8g}")
        assert f'data-moved="#super_tau={tau!r}&amp;sub_tau=' in document
        images = re.findall(r'data-value="(\d+)">\1<', document.split('id="classes"')[1])
        known = [int(n) for n in images[0::2]][: len(class_rows(run, judged))]
        assert known == sorted(known)


@needs_browser
def test_a_level_that_nothing_was_held_out_of_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    save_run(folder, drawn=draw_table(1500).query("super_known").reset_index(drop=True))
    part = playground_of(opened(write_report(folder)))
    assert "nothing of this level was held out" in part
    assert "none held out" in part
    assert 'class="expected">-<' in part
