"""Format numbers for people."""


def duration(seconds: float) -> str:
    """Format a time span.

    >>> duration(7.25), duration(247), duration(7500)
    ('7.2 s', '4 min 07 s', '2 h 05 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def milliseconds(seconds: float) -> str:
    """Format a short time in milliseconds.

    >>> milliseconds(0.0123), milliseconds(2.5)
    ('12.3 ms', '2.50 s')
    """
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def amount(value: float, unit: str = "") -> str:
    """Format `value` with three digits and a metric prefix.

    >>> amount(109_827), amount(12_400_000_000), amount(48_300_000, "B"), amount(0)
    ('110 k', '12.4 G', '48.3 MB', '0')
    """
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".strip()


def signed(value: float, decimals: int) -> str:
    """Format `value` with its sign; the minus is U+2212, as wide as the plus.

    >>> signed(0.214, 2), signed(-0.214, 2), signed(-0.001, 2)
    ('+0.21', '−0.21', '+0.00')
    """
    return f"{round(value, decimals) + 0.0:+.{decimals}f}".replace("-", "−")


def interval(low: float, high: float, decimals: int) -> str:
    """Format an interval.

    >>> interval(0.17, 0.258, 2), interval(-0.02, 0.1, 2)
    ('[0.17, 0.26]', '[−0.02, 0.10]')
    """
    ends = (f"{round(end, decimals) + 0.0:.{decimals}f}".replace("-", "−") for end in (low, high))
    return f"[{', '.join(ends)}]"


def listed(names: list[str]) -> str:
    """Join names for a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def change(value: float, base: float, thing: str, less: str = "fewer") -> str:
    """Compare `value` with `base` in words.

    >>> change(81_123, 109_827, "parameters"), change(300, 100, "parameters"), change(1.0, 2.0, "time", "less")
    ('26% fewer parameters', '3.0 times the parameters', '50% less time')
    >>> change(243, 1_369_859, "parameters")
    '1/5,637 of the parameters'
    """
    share = value / base - 1
    if share >= 1:
        return f"{value / base:.1f} times the {thing}"
    if round(abs(share) * 100) == 0:
        nearly = "" if value == base else "nearly "
        return f"{nearly}{'as many' if less == 'fewer' else 'the same'} {thing}"
    if round(share * 100) == -100:
        return f"1/{base / value:,.0f} of the {thing}"
    return f"{abs(share):.0%} {less if share < 0 else 'more'} {thing}"
