"""From bytes to text: what is no UTF-8 text is named for what it seems to be, with the way out."""

from worker.intake.lines import MAX_LINE_BYTES, Line
from worker.intake.row_errors import FieldError
from worker.intake.source import FileRefused

BOM = b"\xef\xbb\xbf"
_UTF8 = "save it as UTF-8 (in Excel: CSV UTF-8)"
_FOREIGN = (
    (b"\x1f\x8b", "is gzip data; give the file a name that ends in .gz, or pipe it through zcat"),
    (b"PK\x03\x04", "is a zip archive or an Excel workbook; export the sheet as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook; export the sheet as CSV UTF-8"),
    (b"\xff\xfe\x00\x00", f"is UTF-32 text; {_UTF8}"),
    (b"\x00\x00\xfe\xff", f"is UTF-32 text; {_UTF8}"),
    (b"\xff\xfe", f"is UTF-16 text; {_UTF8}"),
    (b"\xfe\xff", f"is UTF-16 text; {_UTF8}"),
)
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))


def refuse_foreign(first: Line, name: str) -> None:
    """Raise ``FileRefused`` if the file's first line shows that it is no text in UTF-8."""
    for magic, verdict in _FOREIGN:
        if first.data.startswith(magic):
            raise FileRefused(f"{name}: {verdict}")
    if (column := first.data.find(b"\0")) >= 0:
        where = f"{name}, line {first.number}, column {column + 1}"
        raise FileRefused(f"{where}: a NUL byte: binary data, or UTF-16 text; {_UTF8}")


def text_of(line: Line) -> str | FieldError:
    """The line as text, its line end kept, or what stands in the way."""
    if line.cut:
        return FieldError("", f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        text = line.data.decode()
    except UnicodeDecodeError as error:
        return FieldError("", _not_utf8(line, error))
    if len(line.data.translate(None, _CONTROLS)) != len(line.data):
        return FieldError("", _control_character(text))
    return text


def _control_character(text: str) -> str:
    column, mark = next((column, mark) for column, mark in enumerate(text, 1) if mark in _CONTROLS.decode())
    return f"control character 0x{ord(mark):02x} at column {column}"


def _not_utf8(line: Line, error: UnicodeDecodeError) -> str:
    byte = f"byte 0x{line.data[error.start]:02x} at offset {line.offset + error.start} of the file is not UTF-8"
    return f"{byte} (Latin-1 or Windows-1252 text?); {_UTF8}"
