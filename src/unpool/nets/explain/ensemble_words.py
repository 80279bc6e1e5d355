"""An ensemble in plain words."""

from __future__ import annotations

from unpool.nets.ensemble import EnsembleStructure
from unpool.nets.explain.records import Explanation
from unpool.nets.explain.words import Choices, NetworkWords, PaddingRow, listed
from unpool.wording import count_text


class EnsembleWords(NetworkWords[EnsembleStructure]):
    """An ensemble in plain words."""

    def choices(self) -> Choices:
        """Return the choices that define the network."""
        members = f"of {count_text(len(self.structure.members), 'member')}: {listed(self._kinds)}"
        each = "of each member"
        return Choices(members, each, each, each, each, each, each, each, each)

    def encoder(self, facts: Explanation) -> str:
        """Describe how the encoder makes the picture small and deep."""
        count = len(self.structure.members)
        return (
            f"An ensemble of {count_text(count, 'network')} ({listed(self._kinds)}), each with an encoder of its own. "
            "All get the same picture, each normalised as in its own training."
        )

    def decoder(self, facts: Explanation) -> str:
        """Describe how the decoder makes a map of classes from the smallest maps."""
        return (
            "Each member has a decoder of its own. The softmax of each is taken, and the ensemble gives the logarithm "
            "of their mean: its softmax is the mean of the members' probabilities. Where members disagree, no class "
            "is very probable."
        )

    def skips(self, facts: Explanation) -> str:
        """Describe what the decoder learns from the encoder."""
        return "Members exchange no maps. Each has the skip connections that it has alone."

    def skip_notes(self) -> tuple[str, ...]:
        """Return notes on how the table of skip connections counts."""
        return ("The table has the skip connections of all members, one member after another.",)

    def layer_notes(self) -> tuple[str, ...]:
        """Return notes on the names of the layers."""
        return ("The layers of each member follow those of the one before. Members are computed one after another.",)

    def padding(self) -> str:
        """Describe the rules behind ``padding_rows``."""
        return "A size is legal where every member can run and all give outputs of one size."

    def padding_rows(self, size: int) -> list[PaddingRow]:
        """Return a row for each padding that the network could have, for sizes near ``size``."""
        sizes = self.structure.nearest_legal_sizes(size)
        outputs = [self.structure.output_size(each) or 0 for each in sizes]
        lost = dict.fromkeys((each - output) // 2 for each, output in zip(sizes, outputs, strict=True))
        return [PaddingRow("of the members", listed(sizes), listed(outputs), listed(lost))]

    @property
    def _kinds(self) -> list[str]:
        return [member.kind for member in self.structure.members]
