from __future__ import annotations

import pytest

from opensearch_ml.checks import painless


@pytest.mark.parametrize(
    "script",
    [
        "",
        "return params.a / 2 / 3;",
        "return params.a /2/ 3;",
        'def m = params.x =~ /a\\/b"/; return m;',
        "return 'a\"b' + \"c'd\";",
        "// it's a note (\nreturn 1;",
        '/* " ` */ return 1;',
        'return (a < b && c) ? "x" : "y";',
        "return 'ü “quoted” `fenced` &quot; #';",
        "Map m = ['a': 1]; return m['a'];",
        'return "a" + "\\\\" + "\\"";',
        "return 'a\nb';",
        "return 1; // done",
        "return ${parameters.model};",
        "boolean b = 'a' in params.l; return 'a' instanceof String;",
        "params.l.stream().map(x -> { x + 1 })",
    ],
)
def test_a_script_that_compiles_has_no_problem(script: str) -> None:
    assert painless.problem(script) is None


@pytest.mark.parametrize("size", [20_000])
@pytest.mark.parametrize("part", ["(", "/", "//", "'", '"', "\\", "/* ", '"" ', "a/b;", "((/"])
def test_a_hostile_script_is_read_in_no_time(part: str, size: int) -> None:
    painless.problem(part * size)
