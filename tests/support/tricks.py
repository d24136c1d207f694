"""Names that Markdown, Streamlit or a browser would make something else of."""

from __future__ import annotations

TRICKS = (
    ":material/star:",
    ":material_star:",
    ":smile:",
    ":+1:",
    ":streamlit:",
    ":red[red]",
    ":red-background[back]",
    ":green-badge[badge]",
    ":small[small]",
    ":shimmer[shimmer]",
    ':color[c]{foreground="red"}',
    "$x^2$",
    "$$y$$",
    "**bold** __b__ *i* _i_",
    "~~gone~~ ~gone~",
    "`code`",
    "[link](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "https://evil.example/x",
    "HTTP://EVIL.EXAMPLE",
    "www.evil.example",
    "WWW.Evil.example",
    "someone@evil.example",
    "mailto:someone@evil.example",
    "<https://evil.example>",
    "https&colon;//evil.example/y",
    "&#104;ttps://evil.example &#x77;ww.evil.example www&period;evil.example",
    "someone&commat;evil.example",
    "<b>html</b><img src=x onerror=alert(1)>",
    "&lt;i&gt; &amp; &copy; &#9733;",
    "a -> b <- c <-> d -- e >= f <= g ~= h",
    "[^1] [^1]: foot",
    "# heading",
    "> quote",
    "- item",
    "1. one",
    "- [x] task",
    "a | b",
    "--- === ***",
    "\\*back\\slash\\:",
)


def names(most: int = 250) -> list[str]:
    """Names of models that are made of all of these, each as long as a name may be."""
    made = [""]
    for trick in TRICKS:
        if len(made[-1]) + len(trick) >= most:
            made.append("")
        made[-1] = f"{made[-1]} {trick}".strip()
    return made
