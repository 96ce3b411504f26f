"""`wsss data`: prepare and check data sets."""

import typer

app = typer.Typer(help="Prepare and check data sets.", no_args_is_help=True, rich_markup_mode=None)
prepare = typer.Typer(help="Turn what is delivered into what is read.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(prepare, name="prepare")
