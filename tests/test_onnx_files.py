"""The walk for external data: as the onnx package finds it, with neither onnx nor protobuf, and safe on anything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import onnx
import pytest
from google.protobuf.message import DecodeError
from harness import onnx_bytes, onnx_with_external_data
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from c10.errors import SourceError
from c10.files.onnx_files import external_data_files

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
GRAPHS = sorted(LIGHT.glob("*.onnx"))
SCRATCH = Path(tempfile.gettempdir())


def reference_locations(message: Any) -> Iterator[str]:
    """Yield what the onnx package's own classes say, wherever in the model a tensor may hide."""
    if isinstance(message, TensorProto):
        if message.data_location == TensorProto.EXTERNAL:
            yield {entry.key: entry.value for entry in message.external_data}.get("location", "")
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if not hasattr(value, "ListFields") else [value]:
                if hasattr(inner, "ListFields"):
                    yield from reference_locations(inner)


def walk(content: bytes) -> tuple[str, ...]:
    descriptor, name = tempfile.mkstemp(suffix=".onnx", dir=SCRATCH)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return external_data_files(Path(name))
    finally:
        Path(name).unlink()


def test_there_are_nine_reference_graphs() -> None:
    assert len(GRAPHS) == 9


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda path: path.stem)
def test_reference_graphs_name_none(graph: Path) -> None:
    model = onnx.load(graph, load_external_data=False)
    assert external_data_files(graph) == tuple(sorted(set(reference_locations(model)))) == ()


@pytest.mark.parametrize("graph", GRAPHS[:4], ids=lambda path: path.stem)
@pytest.mark.parametrize("one_file", [True, False])
def test_reference_graphs_with_their_weights_outside(tmp_path: Path, graph: Path, one_file: bool) -> None:  # noqa: FBT001
    model = onnx.load(graph)
    path = tmp_path / graph.name
    location = "w.bin" if one_file else None
    outside = {
        "all_tensors_to_one_file": one_file,
        "location": location,
        "size_threshold": 0,
        "convert_attribute": True,
    }
    onnx.save(model, path, save_as_external_data=True, **outside)
    found = external_data_files(path)
    reference = set(reference_locations(onnx.load(path, load_external_data=False)))
    assert set(found) == reference
    assert found == ("w.bin",) if one_file else len(found) > 1
    assert all((tmp_path / name).is_file() for name in found)


LOCATIONS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,8}(/[a-z0-9_]{1,4}){0,2}", fullmatch=True) | st.sampled_from(
    ["weights.bin", "a b.bin", "gewichte-ü.bin", "权重.bin", "x" * 300]
)


@st.composite
def tensors(draw: st.DrawFn) -> onnx.TensorProto:
    tensor = helper.make_tensor(draw(st.text("abc", max_size=3)), TensorProto.FLOAT, [1], [1.0])
    if draw(st.booleans()):
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        entries = [("location", draw(LOCATIONS)), ("offset", "0"), ("length", "4"), ("checksum", "abc")]
        for key, value in draw(st.permutations(entries)):
            tensor.external_data.add(key=key, value=value)
    elif draw(st.booleans()):  # an entry that does not count: the tensor says that its data are inside
        tensor.external_data.add(key="location", value="not-external.bin")
    return tensor


@st.composite
def graphs(draw: st.DrawFn, depth: int = 2) -> onnx.GraphProto:
    graph = onnx.GraphProto(name=draw(st.text(max_size=5)))
    graph.initializer.extend(draw(st.lists(tensors(), max_size=2)))
    for values in draw(st.lists(tensors(), max_size=1)):
        graph.sparse_initializer.add(values=values, indices=draw(tensors()), dims=[1])
    graph.node.extend(draw(st.lists(nodes(depth), max_size=2)))
    return graph


@st.composite
def nodes(draw: st.DrawFn, depth: int) -> onnx.NodeProto:
    node = onnx.NodeProto(op_type=draw(st.sampled_from(["Constant", "If", "Loop"])), name=draw(st.text(max_size=5)))
    kinds = ["t", "tensors", "sparse_tensor", "sparse_tensors", "f", "s", "ints"] + ["g", "graphs"] * (depth > 0)
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=2, unique=True)):
        attribute = node.attribute.add(name=kind)
        fill_attribute(draw, attribute, kind, depth)
    return node


def fill_attribute(draw: st.DrawFn, attribute: onnx.AttributeProto, kind: str, depth: int) -> None:
    if kind == "t":
        attribute.t.CopyFrom(draw(tensors()))
    elif kind == "tensors":
        attribute.tensors.extend(draw(st.lists(tensors(), max_size=2)))
    elif kind == "sparse_tensor":
        attribute.sparse_tensor.values.CopyFrom(draw(tensors()))
    elif kind == "sparse_tensors":
        attribute.sparse_tensors.add().indices.CopyFrom(draw(tensors()))
    elif kind == "g":
        attribute.g.CopyFrom(draw(graphs(depth - 1)))
    elif kind == "graphs":
        attribute.graphs.extend(draw(st.lists(graphs(depth - 1), max_size=2)))
    elif kind == "s":
        attribute.s = draw(st.binary(max_size=20))
    elif kind == "ints":
        attribute.ints.extend(draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)))
    else:
        attribute.f = 1.5


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    model = onnx.ModelProto(ir_version=8, producer_name=draw(st.text(max_size=9)))
    model.graph.CopyFrom(draw(graphs()))
    for function_nodes in draw(st.lists(st.lists(nodes(1), max_size=2), max_size=2)):
        function = model.functions.add(name="f", domain="d")
        function.node.extend(function_nodes)
        if draw(st.booleans()):
            fill_attribute(draw, function.attribute_proto.add(name="a"), draw(st.sampled_from(["t", "g"])), 1)
    if draw(st.booleans()):
        training = model.training_info.add()
        training.initialization.CopyFrom(draw(graphs(1)))
        training.algorithm.CopyFrom(draw(graphs(0)))
    return model


@given(models())
def test_generated_models_as_the_onnx_package_reads_them(model: onnx.ModelProto) -> None:
    """Initializers, sparse ones, attributes, subgraphs, functions and training graphs, each with data outside."""
    assert walk(model.SerializeToString()) == tuple(sorted(set(reference_locations(model))))


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")  # a graph of 2^64-1 bytes
@example(b"\xff" * 50)
@example(b"\x3b" * 50)  # group tags, which no ONNX has
@example(b"=\x0b\x08\x00\x00")  # a graph of the wrong wire type, which protobuf takes for an unknown field
@example(b"\x3b\x3a" + b"\xff" * 9 + b"\x01")  # and in the group a payload of 2^64-1 bytes
def test_garbage_never_crashes(garbage: bytes) -> None:
    try:
        found = walk(garbage)
    except SourceError as error:
        found = ()
        if "external data: expected a location inside the model's folder" not in error.message:
            with pytest.raises(DecodeError):  # what is refused as no model is none for protobuf
                onnx.ModelProto.FromString(garbage)
    assert isinstance(found, tuple)


@given(models(), st.data())
def test_a_flipped_byte_is_read_as_the_onnx_package_reads_it(model: onnx.ModelProto, data: st.DataObject) -> None:
    content = bytearray(model.SerializeToString())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        found = walk(bytes(content))
        reference = set(reference_locations(onnx.ModelProto.FromString(bytes(content))))
    except (SourceError, DecodeError):  # refused, or no model any more
        return
    names = {name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in reference}
    assert found == tuple(sorted(names))


@given(models(), st.data())
def test_a_cut_model_never_crashes(model: onnx.ModelProto, data: st.DataObject) -> None:
    content = model.SerializeToString()
    cut = content[: data.draw(st.integers(0, len(content)))]
    try:
        assert isinstance(walk(cut), tuple)
    except SourceError as error:
        if "external data: expected a location inside the model's folder" not in error.message:
            with pytest.raises(DecodeError):
                onnx.ModelProto.FromString(cut)


def test_an_unknown_group_hides_no_external_data() -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    model = onnx.ModelProto(ir_version=8, graph=onnx.GraphProto(name="g", initializer=[tensor]))
    group = b"\xa3\x06\x08\x01\xa4\x06"  # field 100: start, a varint, end
    content = model.SerializeToString() + group
    assert list(reference_locations(onnx.ModelProto.FromString(content))) == ["w.bin"]
    assert walk(content) == ("w.bin",)


def test_a_model_of_a_thousand_nested_graphs_is_not_followed(tmp_path: Path) -> None:
    content = b""
    for _ in range(200):  # graph → node → attribute → graph, each a length-delimited field
        for number in (6, 5, 1):
            content = bytes([number << 3 | 2]) + _varint(len(content)) + content
    content = b"\x3a" + _varint(len(content)) + content
    (tmp_path / "deep.onnx").write_bytes(content)
    with pytest.raises(SourceError, match="expected an ONNX model"):
        external_data_files(tmp_path / "deep.onnx")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/passwd", "a/../../b", "a/../b", "..", "", "a\0b"],
    ids=["up", "absolute", "via", "round", "dots", "empty", "NUL"],
)
def test_a_location_outside_the_models_folder_is_refused(tmp_path: Path, location: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_with_external_data(location))
    with pytest.raises(SourceError, match="expected a location inside the model's folder, got") as raised:
        external_data_files(path)
    assert repr(location) in raised.value.message


@pytest.mark.parametrize("location", ["weights.bin", "folder/weights.bin"], ids=["a file", "through a folder"])
@pytest.mark.parametrize("kind", ["relative", "absolute", "dangling", "to itself"])
def test_a_link_at_a_location_inside_may_lead_anywhere(tmp_path: Path, location: str, kind: str) -> None:
    """Model hubs and data version control keep files elsewhere; refusing their links was stricter than TensorRT."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "weights.bin").write_bytes(b"w")
    link = inside / PurePosixPath(location).parts[0]
    leads = {"relative": Path("../outside"), "absolute": outside, "dangling": Path("none"), "to itself": link}[kind]
    link.symlink_to(leads if link.name == "folder" or kind == "to itself" else leads / "weights.bin")
    path = inside / "model.onnx"
    path.write_bytes(onnx_with_external_data(location))
    assert external_data_files(path) == (location,)


def test_locations_of_a_linked_model_are_judged_by_the_path_that_is_given(tmp_path: Path) -> None:
    for folder in ("blobs", "snapshot"):
        (tmp_path / folder).mkdir()
    (tmp_path / "blobs/0f3a").write_bytes(onnx_with_external_data("weights.bin"))
    (tmp_path / "snapshot/model.onnx").symlink_to("../blobs/0f3a")
    assert external_data_files(tmp_path / "snapshot/model.onnx") == ("weights.bin",)
    (tmp_path / "blobs/0f3a").write_bytes(onnx_with_external_data("../blobs/weights.bin"))
    with pytest.raises(
        SourceError, match=r"expected a location inside the model's folder, got '\.\./blobs/weights\.bin'"
    ):
        external_data_files(tmp_path / "snapshot/model.onnx")


def test_harness_models_are_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_with_external_data("lightglue.bin"))
    model = onnx.load(path, load_external_data=False)
    assert list(reference_locations(model)) == ["lightglue.bin"]
    assert onnx.ModelProto.FromString(onnx_bytes("x")).producer_name == "x"


@pytest.mark.parametrize("what", ["missing", "directory", "fifo"])
def test_what_cannot_be_read_is_a_source_error(tmp_path: Path, what: str) -> None:
    path = tmp_path / "model.onnx"
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    with pytest.raises(SourceError, match=r"model\.onnx: expected a readable ONNX file, got "):
        external_data_files(path)


def test_a_large_model_is_walked_without_being_read(tmp_path: Path) -> None:
    """A sparse file of 3 GB in one raw_data: the payload is stepped over."""
    size = 3 << 30
    tensor_head = b"\x4a" + _varint(size)  # field 9, raw_data
    tensor_length = len(tensor_head) + size
    graph_head = b"\x2a" + _varint(tensor_length)
    model_head = b"\x3a" + _varint(len(graph_head) + tensor_length)
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(model_head + graph_head + tensor_head)
        file.truncate(file.tell() + size)
    assert external_data_files(path) == ()
    before = Path("/proc/self/io").read_text() if Path("/proc/self/io").exists() else ""
    external_data_files(path)
    if before:
        read = [int(text.split("rchar: ")[1].split()[0]) for text in (before, Path("/proc/self/io").read_text())]
        assert read[1] - read[0] < 1 << 20
