"""Numbers as text that names one number alone: for directories, labels and tables."""


def number_text(value: float) -> str:
    """Return `value` in six significant digits if they are exact, and in as many as it needs if they are not.

    Two different numbers never have the same text.

    >>> number_text(0.001), number_text(10.0), number_text(2e-05)
    ('0.001', '10', '2e-05')
    >>> number_text(0.0010000001)
    '0.0010000001'
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
