"""What a model might answer: an attack on the page, and something with formulas, tables and code."""

ATTACK = """<script>window.attacked = "script"</script>
<img src=x onerror="window.attacked = 'image'">
![x](x" onerror="window.attacked='markdown image')
<svg onload="window.attacked = 'svg'"></svg>
<iframe srcdoc="<script>parent.attacked = 'frame'</script>"></iframe>
<form action="https://evil.example"><input name=x><button>Send</button></form>
<style>body {display: none}</style>
[click](javascript:window.attacked='link') [data](data:text/html,<script>alert(1)</script>)

$\\href{javascript:window.attacked='formula'}{x}$ and \\(\\style{position:fixed}{x}\\)

```html
<script>window.attacked = "code"</script>
```

The end of the attack.
"""

BEAUTIFUL = """## Churn by town

The rate is $r = \\frac{lost}{all}$, so that

$$
\\bar r = \\frac{1}{n} \\sum_{i=1}^{n} r_i
$$

It costs from $5 to $10, or US$7.

| town | churn |
|------|------:|
| Lyon | 4.1 % |
| Nice | 2.7 % |

```python
def churn(lost: int, everyone: int) -> float:  # a comment
    return round(100 * lost / everyone, 1)

print(f"{churn(41, 1000)} %", None, "text")
```

The end of the answer.
"""
