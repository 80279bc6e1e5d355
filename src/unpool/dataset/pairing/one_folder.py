"""The layout with pictures and masks in one folder: ``x.png`` and ``x_mask.png``."""

from __future__ import annotations

from unpool.dataset.pairing.field_of_view import truth_and_view, with_views
from unpool.dataset.pairing.folder import Folder, FolderContents
from unpool.dataset.pairing.matching import matches_together, more_rules, paired_folder


def pair_one_folder(contents: FolderContents) -> Folder | None:
    """Pair a folder in which a mask's name has one word more than its picture's; None without such a pair.

    Raises
    ------
    DataError: two rules pair equally many files, or two files have the same name.
    """
    matches = matches_together(contents.files)
    if not matches:
        return None
    first, known = next(iter(matches)), truth_and_view(matches)
    if len(matches) > 1 and known is None:
        raise more_rules([match.rule for match in matches.values()])
    match = matches[known[0] if known else first]
    layout = f"pictures and masks in one folder, paired by {match.rule}"
    if known is None:
        return paired_folder(contents.root, layout, match)
    views = {mask.path for _, mask in matches[known[1]].pairs}
    left = match._replace(images=tuple(file for file in match.images if file.path not in views))
    folder = paired_folder(contents.root, layout, left)
    return with_views(folder, matches[known[1]], matches[known[1]].rule.rpartition(" ")[2])
