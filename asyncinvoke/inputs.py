"""Reading inputs: `read` yields the rows of a file, a bucket or standard input as items of a map."""

from asyncinvoke._inputs.formats import FormatName, InputError
from asyncinvoke._inputs.item import Item
from asyncinvoke._inputs.reading import Input, read

__all__ = ["FormatName", "Input", "InputError", "Item", "read"]
