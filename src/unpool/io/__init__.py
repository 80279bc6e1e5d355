"""Files: pictures, masks, and small files of text and JSON."""
