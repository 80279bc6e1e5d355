"""What a run was: pictures, curves, tables and a page to show it."""

from unpool.report.curves import confusion_svg, curves_svg
from unpool.report.page import Heat, ImagePanel, ReportContents, render_report, write_report
from unpool.report.pictures import (
    colourise,
    displayable,
    error_picture,
    heat_picture,
    jpeg_data_uri,
    overlay,
    png_data_uri,
    shrink,
)
from unpool.report.text import (
    conventions_table,
    image_means_lines,
    intervals_rule,
    measured_table,
    rules_text,
    scores_table,
    worst_images_table,
)

__all__ = [
    "Heat",
    "ImagePanel",
    "ReportContents",
    "colourise",
    "confusion_svg",
    "conventions_table",
    "curves_svg",
    "displayable",
    "error_picture",
    "heat_picture",
    "image_means_lines",
    "intervals_rule",
    "jpeg_data_uri",
    "measured_table",
    "overlay",
    "png_data_uri",
    "render_report",
    "rules_text",
    "scores_table",
    "shrink",
    "worst_images_table",
    "write_report",
]
