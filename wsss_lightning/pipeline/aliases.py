"""Names that functions had before they moved: keys hold the old ones, so that a move orphans no finished result."""

_CAM = "wsss_lightning.methods.cam.stages"
_POINTS = "wsss_lightning.methods.points.stages"
_LOCALIZATION = "wsss_lightning.methods.priors.localization"

# Today's dotted name of a module, class or function -> the name that keys know it by.
MOVED: dict[str, str] = {
    "wsss_lightning.methods.coseg.box_masks": "wsss_lightning.ops.box_masks",
    "wsss_lightning.methods.coseg.colour_models": "wsss_lightning.ops.colour_models",
    "wsss_lightning.methods.coseg.detection": "wsss_lightning.ops.detection",
    "wsss_lightning.methods.coseg.exemplars": "wsss_lightning.ops.exemplars",
    "wsss_lightning.methods.coseg.graph_cut": "wsss_lightning.ops.graph_cut",
    "wsss_lightning.methods.coseg.hog": "wsss_lightning.ops.hog",
    "wsss_lightning.methods.coseg.joint_segmentation": "wsss_lightning.ops.joint_segmentation",
    "wsss_lightning.methods.coseg.mask_losses": "wsss_lightning.ops.mask_losses",
    "wsss_lightning.methods.coseg.mask_transfer": "wsss_lightning.ops.mask_transfer",
    "wsss_lightning.methods.coseg.multi_scale": "wsss_lightning.ops.multi_scale",
    "wsss_lightning.methods.coseg.network": "wsss_lightning.nn.coseg",
    "wsss_lightning.methods.coseg.saliency": "wsss_lightning.ops.saliency",
    "wsss_lightning.methods.coseg.seed_box": "wsss_lightning.ops.seed_box",
    "wsss_lightning.methods.coseg.stages.choose_snapshot": "wsss_lightning.stages.choose_snapshot",
    "wsss_lightning.methods.coseg.stages.cosegment": "wsss_lightning.stages.cosegment",
    "wsss_lightning.methods.coseg.stages.cosegment_exemplars": "wsss_lightning.stages.cosegment_exemplars",
    "wsss_lightning.methods.coseg.stages.cosegment_masks": "wsss_lightning.stages.cosegment_masks",
    "wsss_lightning.methods.coseg.stages.cosegment_subcategories": "wsss_lightning.stages.cosegment_subcategories",
    "wsss_lightning.methods.coseg.stages.cosegmentation": "wsss_lightning.stages.cosegmentation",
    "wsss_lightning.methods.coseg.stages.fit_on_masks": "wsss_lightning.stages.fit_on_masks",
    "wsss_lightning.methods.coseg.stages.judge_cosegmentation": "wsss_lightning.stages.judge_cosegmentation",
    "wsss_lightning.methods.coseg.stages.kept_masks": "wsss_lightning.stages.kept_masks",
    "wsss_lightning.methods.coseg.stages.predict_scales": "wsss_lightning.stages.predict_scales",
    "wsss_lightning.methods.coseg.stages.segment_alone": "wsss_lightning.stages.segment_alone",
    "wsss_lightning.methods.coseg.subcategories": "wsss_lightning.ops.subcategories",
    "wsss_lightning.methods.coseg.subcategory_detectors": "wsss_lightning.ops.subcategory_detectors",
    "wsss_lightning.methods.patches.network": "wsss_lightning.nn.patches",
    "wsss_lightning.methods.patches.stages.choose_threshold": "wsss_lightning.stages.choose_threshold",
    "wsss_lightning.methods.patches.stages.classify_patches": "wsss_lightning.stages.classify_patches",
    "wsss_lightning.methods.patches.stages.fit_patches": "wsss_lightning.stages.fit_patches",
    "wsss_lightning.methods.patches.stages.mine_patches": "wsss_lightning.stages.mine_patches",
    "wsss_lightning.methods.patches.stages.predict_patches": "wsss_lightning.stages.predict_patches",
    "wsss_lightning.methods.patches.stages.preview_patches": "wsss_lightning.stages.preview_patches",
    "wsss_lightning.methods.patches.stages.segment_patches": "wsss_lightning.stages.segment_patches",
    "wsss_lightning.methods.patches.steps": "wsss_lightning.data.patches",
    "wsss_lightning.methods.patches.superpixels": "wsss_lightning.ops.superpixels",
    "wsss_lightning.methods.points.mil": "wsss_lightning.ops.mil",
    "wsss_lightning.methods.points.sampling": "wsss_lightning.ops.sampling",
    "wsss_lightning.methods.points.scores": "wsss_lightning.ops.scores",
    "wsss_lightning.methods.points.similarity": "wsss_lightning.nn.similarity",
    "wsss_lightning.methods.points.stages.extract": "wsss_lightning.stages.extract",
    "wsss_lightning.methods.points.stages.features": "wsss_lightning.stages.features",
    "wsss_lightning.methods.points.stages.fine_tune": "wsss_lightning.stages.fine_tune",
    "wsss_lightning.methods.points.stages.fit_classifier": "wsss_lightning.stages.fit_classifier",
    "wsss_lightning.methods.points.stages.fit_localizers": "wsss_lightning.stages.fit_localizers",
    "wsss_lightning.methods.points.stages.floor": "wsss_lightning.stages.floor",
    "wsss_lightning.methods.points.stages.join_localizers": "wsss_lightning.stages.join_localizers",
    "wsss_lightning.methods.points.stages.judge": "wsss_lightning.stages.judge",
    "wsss_lightning.methods.points.stages.localize": "wsss_lightning.stages.localize",
    "wsss_lightning.methods.points.stages.predict_from_features": f"{_POINTS}.predict",
    "wsss_lightning.methods.points.stages.predict_from_features.predict_from_features": f"{_POINTS}.predict.predict",
    "wsss_lightning.methods.points.stages.preview": "wsss_lightning.stages.preview",
    "wsss_lightning.methods.points.stages.sample": "wsss_lightning.stages.sample",
    "wsss_lightning.methods.points.stages.sample_truth": "wsss_lightning.stages.sample_truth",
    "wsss_lightning.methods.points.stages.threshold": "wsss_lightning.stages.threshold",
    "wsss_lightning.methods.pretrain.stages.pretrain": "wsss_lightning.stages.pretrain",
    "wsss_lightning.methods.priors.activations": "wsss_lightning.nn.activations",
    "wsss_lightning.methods.priors.localization_network": "wsss_lightning.nn.localization",
    "wsss_lightning.methods.priors.losses": "wsss_lightning.ops.losses",
    "wsss_lightning.methods.priors.priors": "wsss_lightning.ops.priors",
    "wsss_lightning.methods.priors.stages.activate": "wsss_lightning.stages.activate",
    "wsss_lightning.methods.priors.stages.class_activations": "wsss_lightning.stages.class_activations",
    "wsss_lightning.methods.priors.stages.find_regions": "wsss_lightning.stages.find_regions",
    "wsss_lightning.methods.priors.stages.fit_localization": "wsss_lightning.stages.fit_localization",
    "wsss_lightning.methods.priors.stages.fit_segmenter": "wsss_lightning.stages.fit_segmenter",
    "wsss_lightning.methods.priors.stages.judge_cams": "wsss_lightning.stages.judge_cams",
    "wsss_lightning.methods.priors.stages.make_masks": "wsss_lightning.stages.make_masks",
    "wsss_lightning.methods.priors.stages.measure_trimap": "wsss_lightning.stages.measure_trimap",
    "wsss_lightning.methods.priors.stages.preview_priors": "wsss_lightning.stages.preview_priors",
    "wsss_lightning.stages.label_pixels": "wsss_lightning.methods.cam.stages.label_pixels",
    "wsss_lightning.stages.keep_tagged": "wsss_lightning.methods.cam.stages.keep_tagged",
    "wsss_lightning.stages.true_masks": "wsss_lightning.methods.cam.stages.true_masks",
    "wsss_lightning.nn.class_activation": "wsss_lightning.methods.cam.activation",
    "wsss_lightning.nn.tag_losses.sigmoid_cross_entropy": f"{_LOCALIZATION}.sigmoid_cross_entropy",
    "wsss_lightning.nn.tag_losses.softmax_cross_entropy": f"{_LOCALIZATION}.softmax_cross_entropy",
    "wsss_lightning.stages.fit_tag_classifier": "wsss_lightning.methods.cam.stages.fit_classifier",
    "wsss_lightning.stages.fit_tag_classifier.fit_tag_classifier": f"{_CAM}.fit_classifier.fit_classifier",
    "wsss_lightning.stages.tag_classifier": "wsss_lightning.methods.cam.classifier",
}


def keyed_target(target: str) -> str:
    """The name under which keys know `target`; the longest part of it that has moved decides."""
    return renamed_target(target, MOVED)


def renamed_target(target: str, names: dict[str, str]) -> str:
    """`target` with its longest beginning that stands in `names` replaced: the whole of it, else its module."""
    head, rest = target, ""
    while head:
        if head in names:
            return names[head] + rest
        head, dot, last = head.rpartition(".")
        rest = f"{dot}{last}{rest}"
    return target
