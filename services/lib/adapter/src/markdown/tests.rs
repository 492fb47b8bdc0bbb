//! Promises of the Markdown reader and the splitter.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::Unit;

fn styles(rich: &Rich) -> Vec<(&str, &Style)> {
    rich.spans
        .iter()
        .map(|span| (&rich.text[span.range()], &span.style))
        .collect()
}

fn assert_valid(rich: &Rich) {
    let mut outer: Vec<&Span> = Vec::new();
    for span in &rich.spans {
        assert!(
            span.start < span.end && rich.text.get(span.range()).is_some(),
            "{span:?} of {:?}",
            rich.text
        );
        outer.retain(|outer| outer.end > span.start);
        for outer in &outer {
            assert!(
                outer.start <= span.start && span.end <= outer.end,
                "{span:?} crosses {outer:?}"
            );
            assert_ne!(
                std::mem::discriminant(&outer.style),
                std::mem::discriminant(&span.style)
            );
            let fence = matches!(span.style, Style::Pre { .. });
            assert!(
                !fence || outer.style == Style::Quote,
                "a fence in {outer:?}"
            );
        }
        outer.push(span);
    }
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn inline_styles_nest() {
    let rich = parse("**bold *both* `x`** ~~gone~~ [site](https://a.b) ||hid|| a || b || c");
    assert_eq!(rich.text, "bold both x gone site hid a || b || c");
    let link = Style::Link {
        url: "https://a.b".into(),
    };
    let wanted = [
        ("bold both x", &Style::Bold),
        ("both", &Style::Italic),
        ("x", &Style::Code),
        ("gone", &Style::Strike),
        ("site", &link),
        ("hid", &Style::Spoiler),
    ];
    assert_eq!(styles(&rich), wanted);
}

#[test]
fn blocks_stand_apart_and_lists_have_bullets() {
    let rich = parse(
        "# Title\ntext\nmore\n\n- a\n  - b\n- [x] c\n\n3. d\n4. e\n\n> quoted\n>\n> > deeper\n\n---\nend\n",
    );
    let wanted =
        "Title\n\ntext\nmore\n\n• a\n  • b\n• ☑ c\n\n3. d\n4. e\n\nquoted\n\ndeeper\n\n———\n\nend";
    assert_eq!(rich.text, wanted);
    assert_eq!(
        styles(&rich),
        [
            ("Title", &Style::Heading),
            ("quoted\n\ndeeper", &Style::Quote)
        ]
    );
}

#[test]
fn a_fence_keeps_its_indent_and_its_language() {
    let rich = parse("see\n\n```rust,ignore\n    let a = 1;\n\n    b()\n```\nafter");
    assert_eq!(rich.text, "see\n\n    let a = 1;\n\n    b()\n\nafter");
    assert_eq!(
        styles(&rich),
        [(
            "    let a = 1;\n\n    b()",
            &Style::Pre {
                lang: "rust".into()
            }
        )]
    );
    assert_eq!(parse("```\n```"), Rich::default());
}

#[test]
fn a_table_is_aligned_code() {
    let rich = parse("| a | long **b** |\n|---|:-:|\n| wide cell | 2 |\n");
    assert_eq!(
        rich.text,
        "a         | long b\n----------|-------\nwide cell | 2"
    );
    assert_eq!(
        styles(&rich),
        [(
            rich.text.as_str(),
            &Style::Pre {
                lang: String::new()
            }
        )]
    );
}

#[test]
fn links_that_are_no_links_are_texts_and_empty_ones_show_where_they_lead() {
    let rich = parse("[x](javascript:alert) ![](https://a.b/c.png) <me@a.b> <b>raw</b>");
    assert_eq!(rich.text, "x https://a.b/c.png me@a.b <b>raw</b>");
    let picture = Style::Link {
        url: "https://a.b/c.png".into(),
    };
    let mail = Style::Link {
        url: "mailto:me@a.b".into(),
    };
    assert_eq!(
        styles(&rich),
        [("https://a.b/c.png", &picture), ("me@a.b", &mail)]
    );
}

#[test]
fn a_split_prefers_paragraphs_then_lines_then_words() {
    let pieces = |text: &str| -> Vec<String> {
        split(&Rich::plain(text), 20, Unit::Chars)
            .into_iter()
            .map(|piece| piece.text)
            .collect()
    };
    assert_eq!(
        pieces("first words here\n\nsecond words"),
        ["first words here", "second words"]
    );
    assert_eq!(
        pieces("first line here\nsecond line"),
        ["first line here", "second line"]
    );
    assert_eq!(
        pieces("A sentence here. And another"),
        ["A sentence here.", "And another"]
    );
    assert_eq!(
        pieces("some words without any end"),
        ["some words without", "any end"]
    );
    assert_eq!(
        pieces(&"x".repeat(45)),
        ["x".repeat(20), "x".repeat(20), "x".repeat(5)]
    );
    assert!(pieces(" \n ").is_empty());
}

#[test]
fn a_fence_is_reopened_with_its_indent() {
    let rich = parse("```py\ndef f():\n    one()\n    two()\n    three()\n```");
    let pieces = split(&rich, 24, Unit::Chars);
    let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(texts, ["def f():\n    one()", "    two()\n    three()"]);
    for piece in &pieces {
        assert_eq!(
            styles(piece),
            [(piece.text.as_str(), &Style::Pre { lang: "py".into() })]
        );
    }
}

#[test]
fn a_link_is_not_cut_unless_it_alone_is_too_long() {
    let pieces = split(
        &parse("some text [a link of words](https://a.b) end"),
        22,
        Unit::Chars,
    );
    assert_eq!(styles(&pieces[1])[0].0, "a link of words");
    let pieces = split(
        &parse(&format!("[{}](https://a.b)", "y".repeat(50))),
        20,
        Unit::Chars,
    );
    assert_eq!(pieces.len(), 3);
    assert!(pieces.iter().all(|piece| piece.spans.len() == 1));
}

#[test]
fn what_people_see_as_one_character_stays_one() {
    for seen in ["👩‍👩‍👧‍👦", "🇩🇪", "e\u{301}", "नि"] {
        for unit in [Unit::Utf16, Unit::Chars, Unit::Bytes] {
            for piece in split(&Rich::plain(seen.repeat(50)), 30, unit) {
                assert_eq!(piece.text.replace(seen, ""), "", "{seen} was cut");
            }
        }
    }
    let marks = format!("a{}", "\u{301}".repeat(100));
    let pieces = split(&Rich::plain(marks.clone()), 10, Unit::Chars);
    assert_eq!(
        pieces
            .iter()
            .map(|piece| piece.text.as_str())
            .collect::<String>(),
        marks
    );
}

#[test]
fn five_megabytes_take_linear_time() {
    let mut long = String::new();
    while long.len() < 5_000_000 {
        let _ = write!(
            long,
            "**Some** words [and a link](https://a.b) in a `line`.\n\n```sh\nls -l {}\n```\n\n",
            long.len()
        );
    }
    let began = std::time::Instant::now();
    let rich = parse(&long);
    let pieces = split(&rich, 4096, Unit::Utf16);
    assert!(pieces.len() > 500);
    assert!(pieces.iter().map(|piece| piece.spans.len()).sum::<usize>() >= rich.spans.len());
    // Quadratic work would take minutes; the machine may be busy.
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

#[test]
fn odd_long_texts_take_linear_time_too() {
    let began = std::time::Instant::now();
    let odd = [
        " ".repeat(1_000_000),
        format!("```\n{}x\n```", " ".repeat(1_000_000)),
        format!("a{}", "\u{301}".repeat(500_000)),
        "||x ".repeat(250_000),
        "**a ".repeat(100_000),
        format!(
            "|a|\n|-|\n|{}|\n{}",
            "w".repeat(500_000),
            "|b|\n".repeat(50_000)
        ),
    ];
    for text in &odd {
        let rich = parse(text);
        assert_valid(&rich);
        drop(split(&rich, 4096, Unit::Utf16));
        drop(split(&Rich::plain(text.clone()), 4096, Unit::Bytes));
    }
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

/// Markdown-like text: random pieces that mean something, put together at random.
fn markdown() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-zäß .!?]{1,30}",
        1 => "\\PC{0,6}",
        2 => prop::sample::select(vec![
            "**", "*", "_", "`", "~~", "||", "\n", "\n\n", "\n```rs\n", "\n```\n", "\n> ", "\n- ", "\n1. ", "\n# ", "[a b](https://x.y)",
            "[", "](http://z)", "|a|b|\n|-|-|\n|c|", "    ", "👩‍👩‍👧‍👦", "🇩🇪", "e\u{301}", "<br>", "![i](https://i)", "\\", "&amp;",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_into_valid_spans(text in markdown()) {
        let rich = parse(&text);
        assert_valid(&rich);
        prop_assert_eq!(rich.text.trim_end(), rich.text.as_str());
    }

    #[test]
    fn the_pieces_together_are_the_text(text in markdown(), max in 4_usize..80, unit in prop::sample::select(vec![Unit::Utf16, Unit::Chars, Unit::Bytes])) {
        let rich = parse(&text);
        let pieces = split(&rich, max, unit);
        let mut styled = [0_usize; 2];
        for piece in &pieces {
            assert_valid(piece);
            prop_assert!(!piece.text.trim().is_empty());
            prop_assert!(unit.length(&piece.text) <= max, "{:?} is longer than {}", piece.text, max);
            styled[0] += piece.spans.iter().map(|span| visible(&piece.text[span.range()]).len()).sum::<usize>();
        }
        styled[1] = rich.spans.iter().map(|span| visible(&rich.text[span.range()]).len()).sum();
        prop_assert_eq!(styled[0], styled[1], "styles were lost");
        let together: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        prop_assert_eq!(visible(&together), visible(&rich.text));
    }
}
