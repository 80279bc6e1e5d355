"""Pages, tables, drawings and text that show what a run or a network is."""
