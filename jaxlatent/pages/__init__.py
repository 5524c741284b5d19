"""A study as one HTML page: what was fitted, whether it converged, what was chosen and estimated, and where it comes from.

A page is one file without scripts that loads nothing: styles are in it, figures are SVG images in data addresses. It is also well-formed
XML. `jaxlatent.Result.report` and `jaxlatent.Selection.report` write it.
"""
