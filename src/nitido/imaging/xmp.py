"""XMP packets: reads the orientation, and removes or updates properties that are no longer true after upscaling."""

from collections.abc import Iterator
from xml.dom import minidom
from xml.parsers.expat import ExpatError

_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

_Property = minidom.Element | minidom.Attr

_LARGEST = 1 << 24  # maximum bytes of a packet; XMP of photos has a few thousand
_DEEPEST = 200

_GAIN_MAP, _MOTION, _DEPTH = "its gain map", "its motion video", "its depth map or sound"
_EXTENDED, _THUMBNAIL = "its extended XMP", ""
_NAMESPACES = {
    "http://ns.adobe.com/hdr-gain-map/1.0/": _GAIN_MAP,
    "http://ns.apple.com/HDRGainMap/1.0/": _GAIN_MAP,
    "http://ns.apple.com/pixeldatainfo/1.0/": _GAIN_MAP,
    "http://ns.google.com/photos/1.0/depthmap/": _DEPTH,
    "http://ns.google.com/photos/1.0/image/": _DEPTH,
    "http://ns.google.com/photos/1.0/audio/": _DEPTH,
    "http://ns.google.com/photos/dd/1.0/device/": _DEPTH,
}
"""Namespaces whose properties all describe parts of the file other than its image."""

_CONTAINER = "http://ns.google.com/photos/1.0/container/"
_CONTAINER_ITEM = "http://ns.google.com/photos/1.0/container/item/"

_WIDTHS = {(_TIFF, "ImageWidth"), (_EXIF, "PixelXDimension")}
_HEIGHTS = {(_TIFF, "ImageLength"), (_EXIF, "PixelYDimension")}
_PANORAMA_ACROSS = {"FullPanoWidthPixels", "CroppedAreaImageWidthPixels", "CroppedAreaLeftPixels"}
_PANORAMA_DOWN = {"FullPanoHeightPixels", "CroppedAreaImageHeightPixels", "CroppedAreaTopPixels"}
_ORIENTATION = {(_TIFF, "Orientation")}


def xmp_orientation(packet: bytes) -> int | None:
    """Return the `tiff:Orientation`, 1 to 8, of an XMP packet, or None.

    >>> xmp_orientation(b'<a xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6"/>')
    6
    """
    document = _parsed(packet)
    for value in [] if document is None else [node for node, key in _properties(document) if key in _ORIENTATION]:
        text = _text(value).strip()
        if text in ("1", "2", "3", "4", "5", "6", "7", "8"):
            return int(text)
    return None


def without_lost_parts(packet: bytes) -> tuple[bytes, list[str]]:
    """Return an XMP packet for upright pixels only, and in words which parts of the file it described.

    Descriptions of gain maps, motion videos, depth maps, thumbnails and extended XMP are removed, because these parts
    are not copied. The orientation becomes 1. A packet that is not XML or contains none of these is returned unchanged.
    """
    document = _parsed(packet)
    if document is None:
        return packet, []
    lost: list[str] = []
    changed = False
    for node, key in list(_properties(document)):
        part = _lost_part(key, node)
        if part is not None:
            _remove(node)
            lost += [part] if part else []
        elif key in _ORIENTATION and _text(node).strip() != "1":
            _set_text(node, "1")
        else:
            continue
        changed = True
    _undeclare(document, {*_NAMESPACES, _CONTAINER, _CONTAINER_ITEM, _CAMERA})
    return (_serialized(document) if changed else packet), list(dict.fromkeys(lost))


def with_size(packet: bytes, old: tuple[int, int], new: tuple[int, int]) -> bytes:
    """Return the XMP packet of an image whose (width, height) changed from `old` to `new`.

    Sizes in pixels are set, those of a panorama are scaled. A packet without sizes is returned unchanged.
    """
    document = _parsed(packet)
    if document is None:
        return packet
    changed = False
    for node, key in list(_properties(document)):
        value = _resized(key, _text(node).strip(), old, new)
        if value is not None:
            _set_text(node, value)
            changed = True
    return _serialized(document) if changed else packet


def _lost_part(key: tuple[str, str], node: _Property) -> str | None:
    """Return which part of a file the property describes ("" for the thumbnail), or None if the property stays true."""
    namespace, name = key
    if namespace in _NAMESPACES:
        return _NAMESPACES[namespace]
    if namespace == _CONTAINER:
        return _container_part(node) if name == "Directory" else ""
    if namespace == _CAMERA and name.startswith(("MicroVideo", "MotionPhoto")):
        return _MOTION
    if key == ("http://ns.adobe.com/xap/1.0/", "Thumbnails"):
        return _THUMBNAIL
    return _EXTENDED if key == ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP") else None


def _container_part(node: _Property) -> str:
    """Return in words which parts the items of a GContainer directory describe."""
    items = [_text(inner).lower() for inner, key in _properties(node) if key == (_CONTAINER_ITEM, "Semantic")]
    named = {"gainmap": _GAIN_MAP, "motionphoto": _MOTION, "depth": _DEPTH}
    return next((named[word] for word in items if word in named), "the other images in its file")


def _resized(key: tuple[str, str], value: str, old: tuple[int, int], new: tuple[int, int]) -> str | None:
    namespace, name = key
    if key in _WIDTHS:
        return str(new[0])
    if key in _HEIGHTS:
        return str(new[1])
    if namespace == _PANORAMA and value.isdecimal() and len(value) < 10:
        if name in _PANORAMA_ACROSS:
            return str(round(int(value) * new[0] / old[0]))
        if name in _PANORAMA_DOWN:
            return str(round(int(value) * new[1] / old[1]))
    return None


def _parsed(packet: bytes) -> minidom.Document | None:
    """Return the packet as a document; None if it is not XML, or XML that an XMP packet must not contain."""
    body = packet.strip(b"\0 \t\r\n")
    if len(body) > _LARGEST or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        return None
    try:
        document = minidom.parseString(body)
    except (ExpatError, ValueError, LookupError, RecursionError):
        return None
    return document if _depth(document) <= _DEEPEST else None


def _depth(document: minidom.Document) -> int:
    deepest, level = 0, [node for node in document.childNodes if isinstance(node, minidom.Element)]
    while level:
        deepest += 1
        level = [child for node in level for child in node.childNodes if isinstance(child, minidom.Element)]
    return deepest


def _properties(root: minidom.Document | _Property) -> Iterator[tuple[_Property, tuple[str, str]]]:
    """Yield the elements and attributes below `root` that have a namespace, with (namespace, name)."""
    for node in [child for child in root.childNodes if isinstance(child, minidom.Element)]:
        if node.namespaceURI != _RDF:
            yield node, (node.namespaceURI or "", node.localName or "")
        for attribute in list(node.attributes.values()):
            if attribute.namespaceURI and attribute.prefix != "xmlns":
                yield attribute, (attribute.namespaceURI, attribute.localName or "")
        yield from _properties(node)


def _text(node: _Property) -> str:
    if isinstance(node, minidom.Attr):
        return str(node.value)
    return "".join(child.data for child in node.childNodes if isinstance(child, minidom.Text))


def _set_text(node: _Property, text: str) -> None:
    if isinstance(node, minidom.Attr):
        node.value = text
        return
    for child in list(node.childNodes):
        node.removeChild(child)
    written = minidom.Text()
    written.data, written.ownerDocument = text, node.ownerDocument
    node.appendChild(written)


def _remove(node: _Property) -> None:
    parent = node.ownerElement if isinstance(node, minidom.Attr) else node.parentNode
    if isinstance(node, minidom.Attr) and isinstance(parent, minidom.Element):
        parent.removeAttributeNode(node)
    elif isinstance(node, minidom.Element) and isinstance(parent, minidom.Element):
        parent.removeChild(node)


def _undeclare(document: minidom.Document, namespaces: set[str]) -> None:
    """Remove the declarations of those `namespaces` that are no longer used."""
    unused = namespaces - {namespace for _, (namespace, _) in _properties(document)}
    for element in document.getElementsByTagName("*"):
        for attribute in list(element.attributes.values()):
            if attribute.prefix == "xmlns" and attribute.value in unused:
                element.removeAttributeNode(attribute)


def _serialized(document: minidom.Document) -> bytes:
    """Serialize the document without an XML declaration, which a packet does not have."""
    return "".join(node.toxml() for node in document.childNodes).encode("utf-8")
