"""Lists, CSV files, XML and tag files with something wrong in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from broken_case import Broken, nothing

from wsss_lightning.data.coco_conventions import read_convention
from wsss_lightning.data.imagenet import CatDogReader
from wsss_lightning.data.lists import read_list
from wsss_lightning.data.names import require_class_names
from wsss_lightning.data.prepare.synsets import read_synsets, read_tree
from wsss_lightning.data.tag_table import read_tags
from wsss_lightning.data.tags import tags_from_npy, tags_from_xml
from wsss_lightning.data.yto import COLUMNS, read_rows

NAMES = ("cat", "dog")
BINARY, UTF16 = b"\x89PNG\r\n\x1a\n\xff\xfe\x00", "a\nb\n".encode("utf-16")


def _lists() -> list[Broken]:
    case = partial(Broken, name="train.txt", read=read_list)
    refused: dict[str, tuple[bytes | str, str]] = {
        "empty": ("", "names no image"),
        "blank": ("\n \n", "names no image"),
        "twice": ("a\nb\na\n", "names a 2 times"),
        "binary": (BINARY, "cannot be read as a list"),
        "UTF-16": (UTF16, "cannot be read as a list"),
        "Latin-1": ("b\xe4r\n".encode("latin-1"), "cannot be read as a list"),
        "a class's presence": ("a -1\n", "line 1: 'a -1' is none of"),
        "three columns": ("a.jpg b.png 3\n", "line 1"),
        "another image's mask": ("a.jpg b.png\n", "line 1"),
        "a path above": ("../../a\n", "line 1"),
        "an absolute path": ("/home/a\n", "line 1"),
        "dots": ("a\n..\n", r"line 2: '\.\.' is no name of an image \(it is a path"),
        "a suffix alone": ("/x/.jpg y.png\n", "line 1"),
        "NUL": ("a\0b\n", r"line 1: 'a\\x00b' is no name .*control characters"),
        "escape": ("a\x1b[31m\n", "control characters"),
        "long": ("a" * 300 + "\n", "longer than 240 bytes"),
        "long in UTF-8": ("ä" * 200 + "\n", "longer than 240 bytes"),
        "an HTML page": ("<html>\n<body>not found</body>\n", "line 2"),
    }
    read = {"CR LF and blanks": ("\ufeffa \r\n\r\nb\t\r\n", ["a", "b"]), "no last end": ("a\nb", ["a", "b"])}
    return [
        *(case(f"list {about}", content=content, refused=sentence) for about, (content, sentence) in refused.items()),
        *(case(f"list {about}", content=content, value=value) for about, (content, value) in read.items()),
        Broken("list is a folder", "train.txt", Path.mkdir, read_list, "is a folder"),
        Broken("list is missing", "train.txt", nothing, read_list, "cannot be read as a list"),
    ]


def _tables() -> list[Broken]:
    def rows(path: Path, names: tuple[str, ...] | None = None) -> object:
        table = read_tags(path, names=names)
        return [(row.image_id, sorted(row.tags), row.split) for row in table.rows]

    case = partial(Broken, name="tags.csv", read=rows)
    refused: dict[str, tuple[bytes | str, str]] = {
        "empty": ("", "has the columns .none."),
        "a header alone": ("image,tags\n", "names no image"),
        "semicolons": ("image;tags\na.jpg;cat\n", "has the columns image;tags"),
        "tabs": ("image\ttags\na.jpg\tcat\n", "has the columns"),
        "Excel's sep": ("sep=,\nimage,tags\na,cat\n", "has the columns sep="),
        "capitals": ("Image,Tags\na,cat\n", "has the columns Image, Tags"),
        "UTF-16": ("image,tags\na,cat\n".encode("utf-16"), "is no text in UTF-8: save it so"),
        "Latin-1": ("image,tags\na,b\xe4r\n".encode("latin-1"), "is no text in UTF-8: save it so"),
        "binary": (BINARY, "is no text in UTF-8: save it so"),
        "an index column": (",image,cat\n0,a,1\n", "column 1 has no name"),
        "a trailing comma": ("image,cat,\na,1,0\n", "column 3 has no name"),
        "a blank column": ("image,cat, \na,1,0\n", "column 3 has no name"),
        "one column twice": ("image,cat,cat\na,1,0\n", "2 columns 'cat'"),
        "tags twice": ("image,tags,tags\na,cat,dog\n", "2 columns 'tags'"),
        "image twice": ("image,image,tags\na,b,cat\n", "2 columns 'image'"),
        "a column background": ("image,background,cat\na,1,1\n", "'background' is index 0"),
        "a tag Background": ("image,tags\na,Background;cat\n", "'Background' is index 0"),
        "a line break in a column": ('"ima\nge",tags\na,cat\n', r"has the columns ima\\nge, tags"),
        "a line break in a class": ('image,"c\nat"\na,5\n', r"c\\nat is '5', not 0 or 1"),
        "a capital Split": ("image,tags,Split\na,cat,train\n", "the column 'Split' would not be read: call it 'split'"),
        "a blank behind split": ("image,tags,split \na,cat,train\n", "the column 'split ' would not be read"),
        "a blank behind tags": ("image,tags \na,cat\n", "the column 'tags ' would not be read: call it 'tags'"),
        "two byte order marks": ("\ufeff\ufeffimage,tags\na,cat\n", "has the columns"),
        "a zero-width space in a class": ("image,tags\na,cat\u200b\n", "is no name of a class"),
        "a surrogate": (b"image,tags\na\xed\xa0\x80,cat\n", "is no text in UTF-8: save it so"),
        "a comment above": ("# mine\nimage,tags\na,cat\n", "has the columns # mine"),
        "a blank line above": ("\nimage,tags\na,cat\n", "has the columns .none."),
        "a line break in a name": ('image,tags\n"a\nb.jpg",cat\n', "control characters"),
        "a short line": ("image,tags\na\n", "line 2 has not one value per column"),
        "a long line": ("image,tags\na,cat,dog\n", "line 2 has not one value per column"),
        "an open quote": ('image,tags\na,"cat\nb,dog\n', "cannot be read as CSV"),
        "commas": ('image,tags\na,"cat,dog"\n', "separated by ','"),
        "bars": ("image,tags\na,cat|dog\n", r"separated by '\|'"),
        "full-width semicolons": ("image,tags\na,cat；dog\n", "separated by '；'"),
        "a line break": ('image,tags\na,"cat\ndog"\n', "separated by"),
        "no image": ("image,tags\n,cat\n", "line 2: '' is no file below"),
        "a path above": ("image,tags\n../a.jpg,cat\n", "leaves its folder"),
        "an absolute path": ("image,tags\n/a.jpg,cat\n", "leaves its folder"),
        "a drive": ("image,tags\nC:\\a.jpg,cat\n", "leaves its folder"),
        "dots": ("image,tags\n..,cat\n", "leaves its folder"),
        "NUL": ("image,tags\na\0.jpg,cat\n", "control characters"),
        "long": (f"image,tags\n{'a' * 300}.jpg,cat\n", "longer than 240 bytes"),
        "huge": (f"image,tags\n{'a' * 200_000}.jpg,cat\n", "cannot be read as CSV"),
        "one image twice": ("image,tags\na.jpg,cat\na.jpg,dog\n", "lines 2 and 3: both images have the id a"),
        "one stem twice": ("image,tags\nx/a.jpg,cat\ny/a.png,dog\n", "lines 2 and 3: both images have the id a"),
        "2 in a column": ("image,cat\na,2\n", "cat is '2', not 0 or 1"),
        "text in a column": ("image,cat\na,yes\n", "cat is 'yes', not 0 or 1"),
        "nothing in a column": ("image,cat\na,\n", "cat is '', not 0 or 1"),
        "a float in a column": ("image,cat\na,1.0\n", "cat is '1.0', not 0 or 1"),
        "Excel's empty rows": ("image,cat\na,1\n,\n", "line 3"),
        "260 columns": (
            f"image,{','.join(f'c{i}' for i in range(260))}\na,{','.join('1' * 260)}\n",
            "260 classes are too",
        ),
        "255 tags": (f"image,tags\na,{';'.join(f'c{i}' for i in range(255))}\n", "255 classes are too many"),
        "control characters in a class": ("image,tags\na,c\x07at\n", "is no name of a class"),
    }
    read: dict[str, tuple[str, object]] = {
        "a byte order mark": ("\ufeffimage,tags\na.jpg,cat\n", [("a", ["cat"], None)]),
        "blanks around a split": ("image,tags,split\na.JPG, cat ;, train \n", [("a", ["cat"], "train")]),
        "CR alone": ("image,tags\ra,cat\rb,\r", [("a", ["cat"], None), ("b", [], None)]),
        "blank lines": ("image,tags\n\n\na,cat\n\n", [("a", ["cat"], None)]),
        "a no-break space": ("image,tags\na,\u00a0cat\n", [("a", ["cat"], None)]),
        "folders and dots": ("image,tags\nx//./a.jpg,cat\n", [("a", ["cat"], None)]),
        "no tag": ("image,tags\na,\nb,;cat\n", [("a", [], None), ("b", ["cat"], None)]),
        "odd names": ("image,tags\n.a b%#[1].jpg,cat\n", [(".a b%#[1]", ["cat"], None)]),
    }
    unknown = Broken(
        "CSV of another class", "tags.csv", "image,tags\na,Cat\n", partial(rows, names=NAMES), "'Cat' is none of"
    )
    return [
        *(case(f"CSV {about}", content=content, refused=sentence) for about, (content, sentence) in refused.items()),
        *(case(f"CSV {about}", content=content, value=value) for about, (content, value) in read.items()),
        *(unknown, Broken("CSV is a folder", "tags.csv", Path.mkdir, rows, "is a folder")),
    ]


def _xml() -> list[Broken]:
    def tags(path: Path) -> object:
        return tags_from_xml(path.parent, names=NAMES)(path.stem).tolist()

    case = partial(Broken, name="a.xml", read=tags)
    cat = "<object><name>cat</name></object>"
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    refused: dict[str, tuple[bytes | str, str]] = {
        "empty": ("", "cut off, fetch it again"),
        "cut": (f"<annotation>{cat}", "cut off, fetch it again"),
        "an HTML page": ("<html><body>404</body></html>", "another document, its root is <html>"),
        "HTML that is no XML": ("<html><br></html>", "correct it there"),
        "an object alone": (cat, "another document, its root is <object>"),
        "two names": ("<annotation><object><name>cat</name><name>dog</name></object></annotation>", "several <name>s"),
        "a name around another": ("<annotation><object><name><b>cat</b></name></object></annotation>", "has no <name>"),
        "NUL behind it": (f"<annotation>{cat}</annotation>\n\0", "correct it there"),
        "UTF-16 that says UTF-8": (
            f"<?xml version='1.0' encoding='utf-8'?><annotation>{cat}</annotation>".encode("utf-16"),
            "correct it there",
        ),
        "another root": ("<annotations></annotations>", "another document"),
        "SVG": ('<svg xmlns="http://www.w3.org/2000/svg"/>', "another document"),
        "boxes alone": ("<annotation><bndbox/></annotation>", "boxes outside of any <object>"),
        "no name": ("<annotation><object/></annotation>", "object 1 has no <name>"),
        "an empty name": (f"<annotation>{cat}<object><name> </name></object></annotation>", "object 2 has no <name>"),
        "another class": (
            "<annotation><object><name>Cat</name></object></annotation>",
            "names 'Cat', which is none of",
        ),
        "background": ("<annotation><object><name>background</name></object></annotation>", "names 'background'"),
        "a line before": (f"\n<?xml version='1.0'?><annotation>{cat}</annotation>", "correct it there"),
        "two roots": (f"<annotation>{cat}</annotation><annotation/>", "correct it there"),
        "GB2312": (f"<?xml version='1.0' encoding='gb2312'?><annotation>{cat}</annotation>", "save it in UTF-8"),
        "an unknown encoding": (
            f"<?xml version='1.0' encoding='utf-9'?><annotation>{cat}</annotation>",
            "save it in UTF-8",
        ),
        "Latin-1 that says nothing": (f"<annotation><f>b\xe4r</f>{cat}</annotation>".encode("latin-1"), "XML in UTF-8"),
        "binary": (BINARY, "not readable XML"),
        "JSON": ("{}", "not readable XML"),
        "an entity bomb": (f"{bomb}]><annotation>&j;</annotation>", "not readable XML"),
        "an outer entity": (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
            "not readable",
        ),
    }
    read = {
        "a namespace": f'<annotation xmlns="urn:x">{cat}</annotation>',
        "a capital root": f"<Annotation>{cat}</Annotation>",
        "objects around them": f"<annotation><objects>{cat}{cat}</objects></annotation>",
        "a comment": "<annotation><!-- x --><object><!-- y --><name> cat </name></object></annotation>",
        "a byte order mark": f"\ufeff<annotation>{cat}</annotation>",
        "a part's name": "<annotation><object><name>cat</name><part><name>head</name></part></object></annotation>",
        "CDATA": "<annotation><object><name><![CDATA[cat]]></name></object></annotation>",
        "capitals": "<annotation><OBJECT><NAME>cat</NAME></OBJECT></annotation>",
        "thousands of levels": f"<annotation>{cat}{'<a>' * 50_000}{'</a>' * 50_000}</annotation>",
    }
    none = "<annotation><owner><name>someone</name></owner></annotation>"
    return [
        *(case(f"XML {about}", content=content, refused=sentence) for about, (content, sentence) in refused.items()),
        *(case(f"XML {about}", content=content, value=[True, False]) for about, content in read.items()),
        case("XML without objects", content=none, value=[False, False]),
        case("XML in UTF-16", content=f"<annotation>{cat}</annotation>".encode("utf-16"), value=[True, False]),
        case("XML is missing", content=nothing, refused="does not exist"),
        case("XML is a folder", content=Path.mkdir, refused="is a folder"),
    ]


def _tag_files() -> list[Broken]:
    def tags(path: Path) -> object:
        return tags_from_npy(path, names=NAMES)("2007_000001").tolist()

    case = partial(Broken, name="cls_labels.npy", read=tags)

    def saved(value: object) -> Callable[[Path], object]:
        return lambda path: np.save(path, np.array(value, dtype=object), allow_pickle=True)

    key, right = "2007_000001", np.array([1.0, 0.0])
    refused: dict[str, tuple[Any, str]] = {
        "three values": ({key: np.ones(3)}, r"an array of shape \(3,\) .* without background"),
        "a matrix": ({key: np.ones((1, 2))}, r"an array of shape \(1, 2\)"),
        "one number": ({key: 1}, r"an array of shape \(\)"),
        "nothing": ({key: np.ones(0)}, r"an array of shape \(0,\)"),
        "scores": ({key: np.array([0.5, 1])}, r"float64 values such as 0\.5"),
        "minus one": ({key: np.array([-1, 1])}, "int64 values such as -1"),
        "nan": ({key: np.array([np.nan, 1])}, "float64 values such as nan"),
        "text": ({key: ["0", "1"]}, "<U1 values"),
        "ragged lists": ({key: [[1], [1, 0]]}, "lists of several lengths"),
        "a dictionary": ({key: {"cat": 1}}, r"an array of shape \(\)"),
        "a list of text and number": ({key: ["a", 1]}, "<U21 values|values"),
        "huge numbers": ({key: [10**30, 1]}, "object values for"),
        "a set": ({key: {1, 0}}, r"an array of shape \(\)"),
        "nothing at all": ({key: None}, r"an array of shape \(\)"),
        "bytes": ({key: b"10"}, r"an array of shape \(\)"),
        "dates": ({key: np.array([1, 0], "M8[s]")}, "values of dtype datetime64"),
        "a masked array": ({key: np.ma.array([1, 0])}, "cannot be read"),
        "a record": ({key: np.array([(1, 0)], dtype=[("a", int), ("b", int)])}, "values of dtype"),
        "keys with a suffix": ({f"{key}.jpg": right}, r"its keys are such as '2007_000001\.jpg'"),
        "keys in bytes": ({key.encode(): right}, "its keys are such as b'2007_000001'"),
        "a dictionary around it": ({"labels": {key: right}}, "its keys are such as 'labels'"),
        "another id": ({"2007_000002": right}, "has no tags of 2007_000001"),
        "no key": ({}, "it is empty"),
        "a list": ([1, 2], "a dictionary of image ids is needed"),
        "a number": (5, "a dictionary of image ids is needed"),
    }
    whole = {"as a number": {2007000001: right}, "bool": {key: right.astype(bool)}, "list": {key: [1, 0]}}
    files: dict[str, bytes | str] = {
        "empty": b"",
        "text": "hello",
        "cut": b"\x93NUMPY\x01\x00",
        "zip": b"PK\x03\x04" + b"\0" * 30,
    }
    return [
        *(case(f"npy {about}", content=saved(value), refused=sentence) for about, (value, sentence) in refused.items()),
        *(case(f"npy {about}", content=saved(value), value=[True, False]) for about, value in whole.items()),
        *(case(f"npy {about}", content=content, refused="cannot be read") for about, content in files.items()),
        case("npy plain array", content=lambda path: np.save(path, np.ones(4)), refused="a dictionary of image ids"),
    ]


def _manifests() -> list[Broken]:
    case = partial(Broken, name="manifest.csv", read=lambda path: len(read_rows(path, names=NAMES)))
    header, line = ",".join(COLUMNS), "cat,1,2,3,a.jpg,m.png,val"
    lines: dict[str, tuple[str, str]] = {
        "another class": ("horse,1,2,3,a.jpg,,train", "'horse' is none of"),
        "background": ("background,1,2,3,a.jpg,,train", "'background' is none of"),
        "a path above": ("cat,1,2,3,../a.jpg,,train", "leaves its folder"),
        "an absolute image": ("cat,1,2,3,/a.jpg,,train", "leaves its folder"),
        "an absolute mask": ("cat,1,2,3,a.jpg,/m.png,val", "line 2, mask"),
        "no image": ("cat,1,2,3,,,train", "leaves its folder"),
        "NUL": ("cat,1,2,3,a\0.jpg,,train", "control characters"),
        "a long video": (f"cat,{'1' * 300},2,3,a.jpg,,train", "longer than 240 bytes"),
        "a value too many": (f"{line},x,y,z", "more values than there are columns"),
        "an open quote": ('cat,"1,2,3,a.jpg,,train', "cannot be read"),
        "one frame twice": (f"{line}\n{line}", "both have the id cat_1_2_3"),
        "ids that become one": (
            f"{line}\n{line.replace('1', ' ')}\n{line.replace('1', '+')}",
            "both have the id cat_-_2_3",
        ),
    }
    files: dict[str, tuple[bytes | str, str]] = {
        "empty": ("", "lacks any frame"),
        "a header alone": (f"{header}\n", "lacks any frame"),
        "other columns": ("a,b\n1,2\n", "lacks the columns"),
        "binary": (BINARY, "cannot be read"),
        "UTF-16": (UTF16, "cannot be read"),
        "a long cell": (f"{header}\n{'a' * 200_000}\n", "cannot be read"),
    }
    return [
        *(
            case(f"YTO {about}", content=f"{header}\n{text}\n", refused=sentence)
            for about, (text, sentence) in lines.items()
        ),
        *(case(f"YTO {about}", content=content, refused=sentence) for about, (content, sentence) in files.items()),
        case("YTO with a byte order mark", content=f"\ufeff{header}\n{line}\n", value=1),
        case("YTO is missing", content=nothing, refused="does not exist"),
    ]


def _imagenet() -> list[Broken]:
    def ids(path: Path) -> object:
        return [record.image_id for record in CatDogReader(path.parent).read_records("train", tagged=True)]

    case = partial(Broken, name="train.csv", read=ids)
    header = "image_id,image,cat,dog\n"
    lines = {
        "a path as id": ("../../../x,a.jpg,1,0", "is no name of an image"),
        "an absolute id": ("/x,a.jpg,1,0", "is no name of an image"),
        "no id": (",a.jpg,1,0", "is no name of an image"),
        "NUL": ("x\0,a.jpg,1,0", "is no name of an image"),
        "an image above": ("x,../a.jpg,1,0", "leaves its folder"),
        "an absolute image": ("x,/a.jpg,1,0", "leaves its folder"),
        "a tag of 2": ("x,a.jpg,2,0", "two of 0, 1"),
        "a tag too few": ("x,a.jpg,1", "two of 0, 1"),
        "a tag too many": ("x,a.jpg,1,0,0", "two of 0, 1"),
        "a blank line": ("x,a.jpg,1,0\n\ny,b.jpg,0,1", "two of 0, 1"),
        "one id twice": ("x,a.jpg,1,0\nx,b.jpg,0,1", "names x 2 times"),
        "an open quote": ('"x,a.jpg,1,0', "cannot be read"),
    }
    files: dict[str, tuple[bytes | str, str]] = {
        "empty": ("", "has not the columns"),
        "a header alone": (header, "names no image"),
        "other columns": ("image_id,image,dog,cat\n", "has not the columns"),
        "binary": (BINARY, "cannot be read"),
    }
    return [
        *(
            case(f"ImageNet {about}", content=f"{header}{text}\n", refused=sentence)
            for about, (text, sentence) in lines.items()
        ),
        *(case(f"ImageNet {about}", content=content, refused=sentence) for about, (content, sentence) in files.items()),
        case("ImageNet with a byte order mark", content=f"\ufeff{header}x,a.jpg,1,0\n", value=["x"]),
    ]


def _others() -> list[Broken]:
    records = [
        "",
        "[]",
        "5",
        "null",
        '{"overlap": "smallest"}',
        "[" * 100_000,
        "\ufeff{}",
        '{"overlap": []}',
        "nonsense",
    ]
    given = {"overlap": "smallest", "crowd": "ignore", "ids": "contiguous", "untagged": "keep"}
    records += [json.dumps(given | {key: value}) for key in given for value in (None, 5, "other", [])]
    names: list[tuple[list[Any], str]] = [
        ([""], "is no name"),
        ([" "], "is no name"),
        (["cat", "cat"], "is there 2 times"),
        (["background"], "index 0"),
        ([None], "is a NoneType"),
        ([5], "is a int"),
        ([["a"]], "is a list"),
        (["a\nb"], "is no name"),
        ([f"c{i}" for i in range(255)], "255 classes are too many"),
    ]
    trees = {"three": "n00000001 n00000002 n00000003", "no synset": "cat dog", "half": "n00000001", "binary": "\0\0"}
    return [
        *(
            Broken(
                f"conversion {place}",
                "conversion.json",
                text,
                lambda path: read_convention(path.parent),
                "is no record",
            )
            for place, text in enumerate(records)
        ),
        *(
            Broken(
                f"classes {place}",
                "names",
                "",
                partial(lambda path, given: require_class_names(given, path), given=given),
                sentence,
            )
            for place, (given, sentence) in enumerate(names)
        ),
        *(
            Broken(f"tree {about}", "wordnet.is_a.txt", text, read_tree, "is no `parent child`")
            for about, text in trees.items()
        ),
        Broken("tree is missing", "wordnet.is_a.txt", nothing, read_tree, "does not exist"),
        Broken("tree is a folder", "wordnet.is_a.txt", Path.mkdir, read_tree, "is a folder"),
        Broken("words", "words.txt", "cat\tcat\n", read_synsets, "in the place of a synset id"),
    ]


CASES = [*_lists(), *_tables(), *_xml(), *_tag_files(), *_manifests(), *_imagenet(), *_others()]
