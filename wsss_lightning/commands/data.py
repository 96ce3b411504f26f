"""`wsss data`: prepare and check data sets, import labels."""

import typer

from wsss_lightning.commands.check import check
from wsss_lightning.commands.coco import prepare_coco
from wsss_lightning.commands.folder import prepare_folder
from wsss_lightning.commands.imagenet import prepare_imagenet
from wsss_lightning.commands.import_labels import import_labels
from wsss_lightning.commands.manifest import manifest
from wsss_lightning.commands.voc import prepare_voc
from wsss_lightning.commands.web import prepare_web
from wsss_lightning.commands.yto import prepare_yto

app = typer.Typer(
    help="Prepare and check data sets, import pseudo-labels.", no_args_is_help=True, rich_markup_mode=None
)
prepare = typer.Typer(help="Turn what is delivered into what is read.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(prepare, name="prepare")
app.command("check")(check)
app.command("manifest")(manifest)
app.command("import")(import_labels)
prepare.command("yto")(prepare_yto)
prepare.command("voc")(prepare_voc)
prepare.command("coco")(prepare_coco)
prepare.command("web")(prepare_web)
prepare.command("imagenet")(prepare_imagenet)
prepare.command("folder")(prepare_folder)
