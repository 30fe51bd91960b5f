"""The only place that writes entities: applying the stored plan of a step, page by page."""
