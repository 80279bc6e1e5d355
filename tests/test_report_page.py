"""The HTML report: complete, harmless, small."""

from dataclasses import replace

import numpy as np
import pytest

from html_pages import EVIL, Page
from unpool.metrics.confusion import ConfusionMatrix
from unpool.metrics.image_means import image_means
from unpool.metrics.intervals import Interval, Intervals
from unpool.metrics.measures import Evidence, measure_set
from unpool.metrics.named import MEASURES
from unpool.metrics.scores import ABSENT_RULE, scores
from unpool.report.page import Heat, ImagePanel, ReportContents, render_report, write_report


def matrix(counts=((6, 2), (1, 1))):
    return ConfusionMatrix(("background", "cell"), np.array(counts, dtype=np.int64))


def panel(name="a.png", mean_iou=0.5, size=(12, 20), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return ImagePanel(name, pixels, pixels, pixels, pixels, mean_iou, "dim")


@pytest.fixture
def contents():
    return ReportContents(
        title="U-Net on cells",
        subtitle="tested on 3 pictures",
        summary=[("mean IoU", "0.458")],
        facts=[("Data", [("folder", "cells")]), ("Machine", [("cores", "2")])],
        colours=((0, 0, 0), (10, 120, 230)),
        matrix=matrix(),
        scores=scores(matrix()),
        intervals=None,
        image_rows=[("good.png", scores(matrix(((9, 0), (0, 1))))), ("bad.png", scores(matrix()))],
        panels=[panel("fine.png", 0.9), panel("poor.png", 0.2), panel("unknown.png", None)],
        history=[{"epoch": 1, "train_loss": 0.5, "val_loss": 0.6, "mean_iou": 0.4, "global_accuracy": 0.7}],
        warnings=["dim cells are missed"],
        notes=["ignored pixels count nowhere"],
        command="unpool test m d",
    )


def test_every_part_is_on_the_page(contents):
    text = " ".join(Page(render_report(contents)).text)
    for part in (
        "U-Net on cells",
        "tested on 3 pictures",
        "0.458",
        "cores",
        "dim cells are missed",
        "ignored pixels count nowhere",
        "unpool test m d",
        "validation score",
        "predicted class",
        "error: missed, predicted as background",
        ABSENT_RULE,
    ):
        assert part in text


def test_intervals_are_beside_their_scores_and_their_rule_below(contents):
    lone = render_report(contents)
    assert 'class="whisker"' not in lone
    assert "No intervals: one picture" in lone
    some, other = Interval(0.21, 0.34), Interval(0.4, 0.5)
    found = Intervals("picture", 2, 2, 0, some, some, some, some, some, (some, None), (other, None))
    html = render_report(replace(contents, intervals=found, summary=[("mean IoU", "0.458 [0.210, 0.340]")]))
    assert '0.458 <span class="interval">[0.210, 0.340]</span>' in html
    assert '<td class="interval">[0.210, 0.340]</td>' in html
    assert '<td class="interval">[0.400, 0.500]</td>' in html
    assert html.count('<td class="interval"></td>') == 2
    assert 'class="whisker" style="left:21.0%;width:13.0%"' in html
    assert html.count("95 %</th>") == 2
    assert "2,000 resamples of the 2 pictures" in html
    Page(html)


def test_worst_first_in_panels_and_rows(contents):
    html = render_report(contents)
    places = [html.index(name) for name in ("poor.png", "fine.png", "unknown.png", "bad.png", "good.png")]
    assert places == sorted(places)


def test_names_and_words_are_escaped_everywhere(contents):
    evil_matrix = ConfusionMatrix((EVIL, "b"), matrix().counts)
    page = render_report(
        replace(
            contents,
            title=EVIL,
            subtitle=EVIL,
            summary=[(EVIL, EVIL)],
            facts=[(EVIL, [(EVIL, EVIL)])],
            matrix=evil_matrix,
            scores=scores(evil_matrix),
            image_rows=[(EVIL, scores(matrix()))],
            panels=[replace(panel(EVIL), note=EVIL)],
            warnings=[EVIL],
            notes=[EVIL],
            command=EVIL,
        )
    )
    assert "<script" not in page
    seen = Page(page)
    assert "script" not in seen.tags
    assert sum(EVIL in text for text in seen.text) >= 10


def test_the_page_asks_the_network_for_nothing(contents):
    html = render_report(contents)
    page = Page(html)
    assert page.links
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert "@import" not in html
    assert html.count("url(") == html.count("url(#")
    assert "default-src 'none'" in html


def test_a_value_that_is_none_is_a_dash(contents):
    nothing = scores(matrix(((0, 0), (0, 0))))
    html = render_report(replace(contents, scores=nothing, image_rows=[("x.png", nothing)], panels=[]))
    assert "None" not in html
    assert html.count("–") >= 11


def test_parts_without_contents_are_left_out(contents):
    bare = replace(
        contents,
        matrix=None,
        scores=None,
        image_rows=[],
        panels=[],
        history=[],
        warnings=[],
        notes=[],
        command="",
    )
    page = Page(render_report(bare))
    assert page.tags.count("h2") == 1
    assert "svg" not in page.tags
    unlabelled = replace(panel("x.png", None), truth=None, error=None)
    html = render_report(replace(bare, panels=[unlabelled]))
    assert html.count("<img") == 2
    assert "missed" not in html


def test_where_a_model_is_unsure_is_the_fifth_picture(contents):
    unsure = replace(panel("x.png"), uncertainty=Heat(panel(seed=1).picture, "1 − confidence: black 0"))
    html = render_report(replace(contents, panels=[panel("y.png", 0.1), unsure]))
    assert html.count("<img") == 4 + 5
    assert html.count("<figcaption>uncertainty</figcaption>") == 1
    assert "uncertainty, 1 − confidence: black 0</li>" in html
    Page(html)


def set_of_two(measure):
    labels = np.zeros((12, 20), dtype=np.uint8)
    labels[:, 10:] = 1
    seen = Evidence(labels, None, labels.copy(), np.full(labels.shape, 0.9, dtype=np.float32), None)
    return measure_set(measure, [("a", measure.numbers(seen)), ("b", measure.numbers(seen))], {"a": "a", "b": "b"})


def test_a_table_of_many_scores_has_a_line_for_each_beside_its_drawing(contents):
    names = ("background", "cell")
    html = render_report(replace(contents, measured=[set_of_two(MEASURES["calibration"](names))]))
    section = html[html.index("<h2>Calibration</h2>") :]
    section = section[: section.index("</section>")]
    assert section.count('<th scope="row">') == 4
    assert section.count('<th scope="col">') == 3
    assert '<div class="beside">' in section
    assert section.count("<svg") == 1
    html = render_report(replace(contents, measured=[set_of_two(MEASURES["boundaries"](names))]))
    section = html[html.index("<h2>Boundaries</h2>") :]
    section = section[: section.index("</section>")]
    assert [section.count(f"</span>{name}</th>") for name in names] == [1, 1]
    assert '<div class="beside">' not in section


def test_means_over_pictures_and_rules_are_folded_away(contents):
    names = ("background", "cell")
    measures = [image_means(names), MEASURES["calibration"](names)]
    html = render_report(replace(contents, measured=[set_of_two(measure) for measure in measures]))
    assert "<details><summary>Means over pictures</summary>" in html
    assert "<h2>Means over pictures</h2>" not in html
    assert html.count("<summary>Calibration") == 0
    assert html.count("<h2>Calibration</h2>") == 1
    assert html.count('<details class="rule">') == 3
    assert html.count("<details") == html.count("</details>") == 4


def test_all_pictures_after_the_tenth_are_folded_away(contents):
    rows = [(f"{k:03d}.png", scores(matrix())) for k in range(1030)]
    html = render_report(replace(contents, image_rows=rows, panels=[]))
    assert "The other 1,020 pictures" in html
    assert html.index("009.png") < html.index("<details><summary>The other") < html.index("010.png")


def test_the_same_contents_give_the_same_page(contents):
    assert render_report(contents) == render_report(contents)


def test_eight_panels_of_the_worst_pictures_stay_small(contents):
    # Noise in full colour cannot be compressed; no photograph is as large.
    panels = [panel(f"{k}.png", size=(384, 384), seed=k) for k in range(8)]
    noisy = [replace(each, uncertainty=Heat(each.picture, "unsure")) for each in panels]
    assert len(render_report(replace(contents, panels=noisy)).encode()) < 3_000_000


def test_write_report_with_a_name_that_is_no_unicode(contents, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, replace(contents, image_rows=[("a\udc80.png", scores(matrix()))]))
    assert "a?.png" in path.read_text(encoding="utf-8")
