"""The record of a study: page, table, text and drawings are complete, harmless, small, and never show a NaN."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from html_pages import EVIL, Page
from unpool.metrics.intervals import Interval
from unpool.report.label_places import LabelBox, Wanted, label_places
from unpool.report.study_colours import OTHERS, attempt_colours
from unpool.report.study_contents import Attempt, AttemptCost, Course, CourseRow, StudyContents
from unpool.report.study_costs import pareto_front, pareto_svg
from unpool.report.study_courses import courses_svg
from unpool.report.study_forest import difference_text, forest_axis, forest_svg
from unpool.report.study_page import render_study
from unpool.report.study_table import study_csv, study_markdown, study_text
from unpool.wording import PAGE_WIDTH

NAN = float("nan")
SVG = "{http://www.w3.org/2000/svg}"


def crop(seed, size=24):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def course(seed, final, end=1.0):
    return Course(seed, [CourseRow(k / 8, 10.0 * k, final * k / 8, 1 / k) for k in range(1, 1 + round(8 * end))])


def judged(k, difference, size=24):
    return Attempt(
        name=f"variant {k}",
        changes=[("structure.maps", str(8 * k))],
        note=f"reason {k}",
        state="judged",
        seeds=2,
        score=0.8 + difference / 100,
        score_interval=Interval(0.78, 0.93),
        difference=difference,
        difference_interval=Interval(difference - 1, difference + 1),
        verdict=f"verdict {k}",
        shown=abs(difference) > 1,
        validation=0.81,
        cost=AttemptCost(1_430_000 * k, 12_300_000_000, 0.25, 600.0 * k, 0.05, 2_100_000_000 // k),
        courses=[course(0, 0.8), course(1, 0.81)],
        crops=[crop(3 * k + c, size) for c in range(3)],
    )


BASELINE = replace(
    judged(1, 0.0), name="plain", changes=[], difference=None, difference_interval=None, shown=False, verdict=""
)
GIVEN_UP = Attempt(
    "wide", [("structure.maps", "512")], "more is more", "given up", "given up after 25 %: 3.1 points below the best",
    given_up_at=0.25, courses=[course(0, 0.5, 0.25)],
)  # fmt: skip
FAILED = Attempt("huge", state="failed", ended="no memory in step 1")


FIVE = (BASELINE, judged(2, -0.4), judged(3, 2.5), GIVEN_UP, FAILED)


def study(attempts=FIVE, size=24):
    return StudyContents(
        title="Which structure?",
        subtitle="five attempts",
        headline=["Variant 3 is better by 2.5 points; this is sure."],
        attempts=attempts,
        facts=[("Data", [("folder", "cells")])],
        crop_names=["a.png", "b.png", "c.png"],
        crop_pictures=[crop(c, size) for c in range(3)],
        crop_truths=[crop(c, size) for c in range(3)],
        warnings=["few pictures"],
        rules=["intervals are for all differences at once"],
        command="unpool study plan.toml",
    )


NOTHING = Attempt("nothing", state="waiting")
BROKEN = replace(
    judged(2, 1.0),
    score=NAN,
    score_interval=Interval(NAN, 0.5),
    difference=NAN,
    difference_interval=Interval(0.1, NAN),
    validation=float("inf"),
    given_up_at=NAN,
    cost=AttemptCost(None, None, NAN, NAN, float("inf"), None),
    courses=[Course(0, []), Course(1, [CourseRow(0.1, 1.0, None, None), CourseRow(0.2, 2.0, NAN, NAN)])],
)
STUDIES = {
    "none": (),
    "one": (BASELINE,),
    "two": (BASELINE, judged(2, 1.5)),
    "forty": (BASELINE, *(judged(k, (k % 7) - 3.0) for k in range(2, 41))),
    "running": (replace(NOTHING, state="running", courses=[course(0, 0.7, 0.5)]), NOTHING, NOTHING),
    "waiting": (NOTHING,),
    "broken": (BROKEN, BROKEN, judged(3, 1.0)),
    "mixed": FIVE,
}


def texts(svg):
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if node.tag == f"{SVG}text"]


@pytest.mark.parametrize("attempts", STUDIES.values(), ids=STUDIES)
def test_every_study_has_every_form_and_no_nan(attempts):
    contents = study(attempts)
    html = render_study(contents)
    Page(html)
    drawings = [
        forest_svg(attempts),
        courses_svg(attempts),
        *(pareto_svg(attempts, by) for by in ("seconds", "memory")),
    ]
    words = re.sub(r"data:image/[^\"]*", "", html)
    for text in (words, study_csv(contents), study_markdown(contents), study_text(contents), *drawings):
        assert not re.search(r"\b(nan|NaN|None|inf)(\b|%)", text)
    for drawing in drawings:
        assert ET.fromstring(drawing).tag == f"{SVG}svg"
    assert all(len(line) <= PAGE_WIDTH for line in study_text(contents).splitlines())
    assert render_study(contents) == html


def test_everything_is_on_the_page_the_headline_first():
    html = render_study(study())
    text = " ".join(" ".join(Page(html).text).split())
    for part in (
        "Which structure?", "five attempts", "few pictures", "plain", "variant 3", "structure.maps = 24", "reason 2",
        "verdict 3", "+2.5", "[1.5, 3.5]", "0.825", "[0.780, 0.930]", "2.86 M", "2.00×", "12.3 G", "30 min", "2.1 GB",
        "given up at 25 %", "no memory in step 1", "a.png", "folder", "all differences at once",
        "unpool study plan.toml",
    ):  # fmt: skip
        assert part in text, part
    order = ["Variant 3 is better", "<h2>Warnings", "<h2>Differences", "<h2>Attempts", "<h2>Scores against"]
    assert [html.index(each) for each in order] == sorted(html.index(each) for each in order)
    assert html.count("<img") == 3 * (2 + 3)


def test_the_page_places_differences_on_one_axis():
    html = render_study(study())
    axis = forest_axis(FIVE)
    assert axis.low <= -1.4 < 3.5 <= axis.high
    low, point, high = (100 * axis.share(value) for value in (1.5, 2.5, 3.5))
    assert f'class="range" style="left:{low:.2f}%;width:{high - low:.2f}%"' in html
    assert f'class="point" style="left:{point:.2f}%"' in html
    assert html.count('class="zero"') == html.count('<tr class="shown"') + 4 == 5
    assert html.count('class="diamond"') == 1
    assert html.count('class="point"') == 2


def test_a_far_interval_leaves_the_axis_with_an_arrow():
    far = replace(judged(9, -60.0), difference_interval=Interval(-70.0, -50.0))
    attempts = (BASELINE, *(judged(k, 0.5) for k in range(2, 7)), far)
    assert forest_axis(attempts).low > -10
    html = render_study(study(attempts))
    assert html.count('class="before"') == 1
    assert 'class="beyond"' not in html
    assert "-60.0" in html
    assert "-60.0 [-70.0, -50.0]" in texts(forest_svg(attempts))


def test_a_difference_that_rounds_to_zero_has_no_minus_and_a_sure_one_does_not_touch_zero():
    near = replace(judged(2, 0.0), difference=-0.01, difference_interval=Interval(-0.8, -0.02))
    for shown in (False, True):
        assert difference_text(replace(near, shown=shown)) == ("-0.01", "[-0.80, -0.02]")
    assert difference_text(replace(near, difference=-0.001)) == ("+0.00", "[-0.80, -0.02]")
    assert difference_text(replace(near, difference=-0.0, difference_interval=None)) == ("+0.0", "")


def test_names_and_words_are_escaped_everywhere():
    evil = replace(judged(2, 1.5), name=EVIL, changes=[(EVIL, EVIL)], note=EVIL, verdict=EVIL, ended=EVIL)
    gone = replace(GIVEN_UP, name=EVIL, ended=EVIL)
    contents = replace(
        study((replace(evil, difference=None), evil, gone)),
        title=EVIL, subtitle=EVIL, headline=[EVIL], facts=[(EVIL, [(EVIL, EVIL)])], crop_names=[EVIL] * 3,
        warnings=[EVIL], rules=[EVIL], command=EVIL,
    )  # fmt: skip
    html = render_study(contents)
    assert "<script" not in html
    seen = Page(html)
    assert "script" not in seen.tags
    assert sum(EVIL in text for text in seen.text) >= 20
    assert "<script" not in study_markdown(replace(contents, command="")).replace("\\<", "")


def test_the_page_asks_the_network_for_nothing():
    html = render_study(study())
    page = Page(html)
    assert page.links
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert html.count("url(") == html.count("url(#")
    assert "default-src 'none'" in html


def test_a_name_with_control_characters_or_no_unicode_does_no_harm():
    odd = replace(judged(2, 1.5), name="a\x1b[2J\udc80\nb")
    contents = study((BASELINE, odd))
    for text in (study_text(contents), study_markdown(contents), study_csv(contents), forest_svg((BASELINE, odd))):
        text.encode("utf-8")
        assert "\x1b" not in text
    render_study(contents).encode("utf-8")
    ET.fromstring(pareto_svg((BASELINE, odd)))
    ET.fromstring(courses_svg((BASELINE, odd)))


def test_crops_of_forty_attempts_stay_small():
    # Noise in full colour cannot be compressed; no photograph is as large.
    attempts = [replace(BASELINE, crops=[crop(c, 512) for c in range(3)])] + [judged(k, 1.0, 512) for k in range(2, 41)]
    assert len(render_study(study(attempts, 512)).encode()) < 6_000_000


def test_as_many_predictions_as_crops_or_none():
    with pytest.raises(ValueError, match="3 names of crops"):
        study((replace(BASELINE, crops=[crop(0)]),))


def test_csv_has_all_numbers_and_no_formula():
    formula = replace(judged(2, -1.5), name="=1+2", note="@SUM(A1)", verdict="-1.5 points\r\nnext")
    rows = list(csv.DictReader(io.StringIO(study_csv(study((BASELINE, formula, GIVEN_UP))))))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert rows[1]["attempt"] == "'=1+2"
    assert rows[1]["note"] == "'@SUM(A1)"
    assert rows[1]["verdict"] == "'-1.5 points\\r\\nnext"
    numbers = {
        key: float(rows[1][key]) for key in rows[1] if key.startswith(("score", "diff")) or key.endswith("seconds")
    }
    assert numbers == {
        "score": 0.785, "score_low": 0.78, "score_high": 0.93, "difference": -1.5, "difference_low": -2.5,
        "difference_high": -0.5, "step_seconds": 0.25, "training_seconds": 1200, "prediction_seconds": 0.05,
    }  # fmt: skip
    assert (rows[1]["parameters"], rows[1]["memory_bytes"], rows[1]["shown"]) == ("2860000", "1050000000", "yes")
    assert (rows[0]["difference"], rows[0]["shown"], rows[2]["score"], rows[2]["given_up_at"]) == ("", "", "", "0.25")


def test_markdown_is_one_table_whose_rows_have_all_columns():
    contents = study((BASELINE, replace(judged(2, 1.5), name="a|b *c* [x](http://y) `d`")))
    text = study_markdown(contents)
    assert text.startswith("# Which structure?\n")
    assert text.index("Variant 3 is better") < text.index("| attempt |")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "a\\|b \\*c\\* [x]\\(http://y) \\`d\\`" in text


def test_text_begins_with_what_was_found():
    text = study_text(study())
    places = [
        text.index(part) for part in ("Variant 3 is better", "warning: few", "attempt  ", "why: reason 2", "rules")
    ]
    assert places == sorted(places)
    for part in ("+2.5", "[1.5, 3.5]", "given up at 25 %", "end: no memory in step 1", "unpool study plan.toml"):
        assert part in text


def test_the_front_is_what_nothing_beats():
    assert pareto_front([(3, 0.9), (1, 0.5), (2, 0.4), (2, 0.7), (4, 0.9)]) == [1, 3, 0]
    assert pareto_front([(1, 0.5), (1, 0.5), (1, 0.4)]) == [0, 1]
    assert pareto_front([]) == []


def test_pictures_of_costs_name_their_points_without_overlap():
    svg = pareto_svg((BASELINE, judged(2, -0.4), judged(3, 2.5), GIVEN_UP))
    assert {"1 plain", "2 variant 2", "3 variant 3", "time of a training, min"} <= set(texts(svg))
    assert "4 wide" not in texts(svg)
    points = [(10.0 + 3 * (k % 5), 10.0 + 3 * (k // 5)) for k in range(25)]
    frame = LabelBox(0, 0, 300, 200)
    places = label_places([Wanted(point, [(60, 10), (12, 10)]) for point in points], points, points[:1], frame)
    boxes = [place.box for place in places if place]
    assert len(boxes) >= 5
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    assert all(box.within(frame) for box in boxes)
    assert not any(box.x < x < box.x + box.width and box.y < y < box.y + box.height for box in boxes for x, y in points)


def test_courses_of_seeds_share_a_colour_and_a_given_up_one_ends_with_a_cross():
    attempts = (BASELINE, judged(2, 1.0), GIVEN_UP)
    colours = attempt_colours(attempts)
    assert colours[0] == "currentColor"
    assert len(set(colours)) == 3
    svg = courses_svg(attempts)
    lines = re.findall(r'<path d="[^"]*" clip-path="[^"]*" style="fill: none; stroke: ([^;"]+)', svg)
    assert lines.count(colours[1]) == 2
    assert lines.count(colours[2]) == 1
    running = courses_svg((*attempts[:2], replace(GIVEN_UP, state="running")))
    assert svg.count(f"stroke: {colours[2]}") > running.count(f"stroke: {colours[2]}")
    many = attempt_colours(STUDIES["forty"])
    assert many.count(OTHERS) == 40 - 1 - 8
