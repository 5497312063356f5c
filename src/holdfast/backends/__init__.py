"""The backends: each keeps bytes for one kind of store behind `kernel.contract`, and knows nothing of sessions."""
