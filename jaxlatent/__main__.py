"""``python -m jaxlatent``: the ``jaxlatent`` command, of this interpreter."""

from jaxlatent.cli import app

app(prog_name="jaxlatent")
