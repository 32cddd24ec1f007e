"""Labels from a CSV table of file and class (and, if it has them, part and group)."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from foveola.data.dataset import Problem, natural_key, printable
from foveola.data.labelling import Labelling, part_of
from foveola.data.listing import Listing
from foveola.errors import DataError, UsageError, count

_FILE = ("file", "filename", "file_name", "image", "image_path", "path", "filepath", "id", "image_id")
_LABEL = ("label", "class", "category", "class_name", "target", "y")
_PART = ("part", "split", "subset")


@dataclass(frozen=True)
class Row:
    """One line of the table; `line` counts from 1 with the header."""

    line: int
    file: str
    label: str
    part: str
    group: str


def by_table(listing: Listing, table: Path, group_column: str | None) -> Labelling:
    """Label the files that the table names; a file may be named by its path, its name, or its name without suffix.

    Rows whose file is missing are problems, files that no row names are ignored and counted. Raises DataError with
    the line numbers for rows that contradict each other or lack a value, and for a table without the two columns.
    """
    rows = _read(table, group_column)
    find = _Finder(listing)
    out = Labelling(notes=(f"classes are taken from {table.name}",))
    first: dict[int, Row] = {}
    missing: dict[str, int] = {}
    wrong: list[str] = []
    for row in rows:
        position = find(row.file)
        if position is None:
            missing.setdefault(row.file, row.line)
        elif position in first:
            wrong.extend(_contradiction(row, first[position]))
        else:
            first[position] = row
    for file, line in missing.items():
        out.problems.append(Problem(file, f"named in line {line} of {table.name}, but not in the folder"))
    _refuse(table, wrong)
    for position, row in sorted(first.items()):
        out.add(position, row.label, part_of(row.part), row.group or None)
    out.ignored = len(listing.ids) - len(first)
    out.class_names = tuple(sorted(set(out.names), key=natural_key))
    if not out.rows:
        raise DataError(
            f"none of the {count(len(rows), 'file')} named in {table} is in {listing.root}: check the paths"
        )
    return out


def _contradiction(row: Row, first: Row) -> list[str]:
    pairs = ((row.label, first.label), (row.part, first.part), (row.group, first.group))
    return [
        f"line {row.line} says '{new}' of '{printable(row.file)}', line {first.line} said '{old}'"
        for new, old in pairs
        if new != old
    ]


def _read(table: Path, group_column: str | None) -> list[Row]:
    text = _text(table)
    header_line = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise DataError(f"{table} is not a CSV table: line {reader.line_num}: {error}") from None
    header = [name.strip().lower() for name in lines[0][1]] if lines else []
    columns = {
        "file": _column(table, header, _FILE, "the files"),
        "label": _column(table, header, _LABEL, "the classes"),
    }
    if group_column is not None:
        columns["group"] = _column(table, header, (group_column.lower(),), "the groups (--group-by)")
    part = next((header.index(name) for name in _PART if name in header), None)
    rows, wrong = [], []
    for line, cells in lines[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        cells += [""] * (len(header) - len(cells))
        value = {name: cells[k].strip() for name, k in columns.items()}
        empty = [name for name, text in value.items() if not text]
        part_text = cells[part].strip() if part is not None else ""
        if empty:
            wrong.append(f"line {line} has no {' and no '.join(empty)}")
        elif part_text and part_of(part_text) is None:
            wrong.append(f"line {line} names the part '{part_text}', which is none of train, val, test")
        else:
            rows.append(Row(line, value["file"], value["label"], part_text, value.get("group", "")))
    _refuse(table, wrong)
    return rows


def _text(table: Path) -> str:
    try:
        return table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{table} is not UTF-8 text: save it as CSV in UTF-8") from None
    except OSError as error:
        raise UsageError(
            f"the label table {table} can't be read: {(error.strerror or '').lower()}: check the path"
        ) from None


def _column(table: Path, header: list[str], names: tuple[str, ...], what: str) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise DataError(
        f"{table} has no column for {what}: its first line names {', '.join(header) or 'nothing'}; "
        f"one of {', '.join(names)} is needed"
    )


def _refuse(table: Path, wrong: list[str]) -> None:
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DataError(f"{table}: {'; '.join(wrong[:5])}{more}: mend these lines")


class _Finder:
    """Find a file by its path, else by a name, else by a name without suffix, that only one file has."""

    def __init__(self, listing: Listing) -> None:
        self.paths = {name: i for i, name in enumerate(listing.ids)}
        self.names = _unique([PurePosixPath(name).name for name in listing.ids])
        self.stems = _unique([PurePosixPath(name).stem for name in listing.ids])

    def __call__(self, file: str) -> int | None:
        path = file.replace("\\", "/").removeprefix("./")
        for known, key in ((self.paths, path), (self.names, path), (self.stems, path)):
            if key in known:
                return known[key]
        return None


def _unique(names: list[str]) -> dict[str, int]:
    once: dict[str, int] = {}
    twice = set()
    for i, name in enumerate(names):
        if name in once:
            twice.add(name)
        once[name] = i
    return {name: i for name, i in once.items() if name not in twice}
