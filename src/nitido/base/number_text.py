"""Numbers as unambiguous text for directories, labels and tables."""


def number_text(value: float) -> str:
    """Return `value` in six significant digits if they are exact, and otherwise in as many as necessary.

    Two different numbers never have the same text.

    >>> number_text(0.001), number_text(10.0), number_text(2e-05)
    ('0.001', '10', '2e-05')
    >>> number_text(0.0010000001)
    '0.0010000001'
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
