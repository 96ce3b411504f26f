"""Which rows of a classifier show a class: what two sets of classes share, as data (priors sec. 4.2.1).

Names are those of VOC and YTO, of COCO and of the generated scenes; an index is a category of ILSVRC 2012 in the order
of torchvision's `meta["categories"]`. A class takes the categories that are kinds of it; one that has none, such as
person (ILSVRC's ballplayer, groom and scuba diver are roles, not kinds), is left out.
"""

from collections.abc import Mapping, Sequence

_VOC: Mapping[str, Sequence[int]] = {
    "aeroplane": (404, 895),  # airliner, warplane
    "bicycle": (444, 671),  # bicycle-built-for-two, mountain bike
    "bird": (*range(7, 25), *range(80, 101), *range(127, 147)),  # cock to owl, grouse to swan, stork to albatross
    "boat": (472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 871, 914),  # canoe to yawl
    "bottle": (440, 720, 737, 898, 907),  # beer, pill, pop, water and wine bottle
    "bus": (654, 779, 874),  # minibus, school bus, trolleybus
    "car": (407, 436, 468, 511, 609, 627, 656, 661, 751, 817),  # ambulance to sports car
    "cat": (281, 282, 283, 284, 285),  # tabby, tiger, Persian, Siamese and Egyptian cat
    "chair": (423, 559, 765, 857),  # barber, folding and rocking chair, throne
    "cow": (345,),  # ox
    "diningtable": (532,),
    "dog": tuple(range(151, 269)),  # Chihuahua to Mexican hairless
    "horse": (339,),  # sorrel
    "motorbike": (665, 670),  # moped, motor scooter
    "pottedplant": (738,),  # pot, flowerpot
    "sheep": (348,),  # ram
    "sofa": (831,),  # studio couch
    "train": (466, 547, 705, 820),  # bullet train, electric locomotive, passenger car, steam locomotive
    "tvmonitor": (664, 782, 851),  # monitor, screen, television
}

_COCO: Mapping[str, Sequence[int]] = {
    "airplane": _VOC["aeroplane"],
    "motorcycle": _VOC["motorbike"],
    "couch": _VOC["sofa"],
    "potted plant": _VOC["pottedplant"],
    "dining table": _VOC["diningtable"],
    "tv": _VOC["tvmonitor"],
    "truck": (555, 569, 675, 717, 864, 867),  # fire engine, garbage truck, moving van, pickup, tow and trailer truck
    "traffic light": (920,),
    "parking meter": (704,),
    "bench": (703,),  # park bench
    "elephant": (101, 385, 386),  # tusker, Indian and African elephant
    "bear": (294, 295, 296, 297),
    "zebra": (340,),
    "backpack": (414,),
    "umbrella": (879,),
    "handbag": (748,),  # purse
    "tie": (451, 457, 906),  # bolo, bow and Windsor tie
    "skis": (795,),
    "sports ball": (429, 430, 522, 574, 722, 768, 805, 852, 890),
    "tennis racket": (752,),
    "cup": (504, 968),  # coffee mug, cup
    "spoon": (910,),  # wooden spoon
    "bowl": (659, 809),  # mixing and soup bowl
    "banana": (954,),
    "apple": (948,),  # Granny Smith
    "orange": (950,),
    "broccoli": (937,),
    "hot dog": (934,),
    "pizza": (963,),
    "bed": (564,),  # four-poster
    "toilet": (861,),  # toilet seat
    "laptop": (620, 681),  # laptop, notebook
    "mouse": (673,),
    "remote": (761,),
    "keyboard": (508,),
    "cell phone": (487,),
    "microwave": (651,),
    "oven": (827,),  # stove
    "toaster": (859,),
    "sink": (896,),  # washbasin
    "refrigerator": (760,),
    "book": (917, 921),  # comic book, book jacket
    "clock": (409, 530, 892),  # analog, digital and wall clock
    "vase": (883,),
    "teddy bear": (850,),
    "hair drier": (589,),  # hand blower
}

ILSVRC: Mapping[str, Sequence[int]] = {**_VOC, **_COCO}

# Of `tiny`, whose pictures show each class's part on its own body and on the next one; the last four are bodies alone.
PICTURES: Mapping[str, Sequence[int]] = {
    "stripe_egg": (0, 8),
    "dot_egg": (1, 9),
    "check_brick": (2, 10),
    "ring_brick": (3, 11),
    "zigzag_tent": (4, 12),
    "ray_tent": (5, 13),
    "net_star": (6, 14),
    "mosaic_star": (7, 15),
}
