use proptest::prelude::*;

use super::*;

fn matches(selector: &str, labels: &[(&'static str, &str)]) -> bool {
    let labels = labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    Selector::parse(selector).unwrap().matches(&labels)
}

#[test]
fn every_form_chooses_what_kubernetes_says_it_does() {
    let labels = [
        ("millrace.io/kind", "StreamPipeline"),
        ("millrace.io/name", "orders"),
        ("n", "5"),
        ("empty", ""),
    ];
    for (selector, expected) in [
        ("", true),
        ("   ", true),
        ("millrace.io/name=orders", true),
        ("millrace.io/name==orders", true),
        (" millrace.io/name = orders , millrace.io/kind=StreamPipeline ", true),
        ("millrace.io/name=other", false),
        ("millrace.io/name!=orders", false),
        ("millrace.io/name!=other", true),
        ("absent!=x", true),
        ("absent=x", false),
        ("millrace.io/name in (a,orders)", true),
        ("millrace.io/name in(a, b)", false),
        ("millrace.io/name notin (a, b)", true),
        ("millrace.io/name notin (orders)", false),
        ("absent notin (x)", true),
        ("millrace.io/name", true),
        ("absent", false),
        ("!absent", true),
        ("! millrace.io/name", false),
        ("empty=", true),
        ("empty in (x,)", true),
        ("millrace.io/name=,n", false),
        ("n>4,n<6", true),
        ("n>5", false),
        ("absent>1", false),
        ("in", false),
        ("notin in (in)", false),
        ("millrace.io/name=orders,absent", false),
    ] {
        assert_eq!(matches(selector, &labels), expected, "{selector}");
    }
}

#[test]
fn what_is_no_selector_is_refused() {
    for selector in [
        ",",
        "a,",
        ",a",
        "=a",
        "a=b=c",
        "a b",
        "a in",
        "a in b",
        "a in (b",
        "a in (b c)",
        "a in (b))",
        "!",
        "!a=b",
        "a!b",
        "a>x",
        "a=-b",
        "a=b/c",
        "-a",
        "a/",
        "/a",
        "A/b/c",
        "UPPER.io/a",
        "a=é",
        "(a)",
        "a notin ()=",
    ] {
        assert!(
            Selector::parse(selector).is_err(),
            "{selector} is {:?}",
            Selector::parse(selector)
        );
    }
    let long = "a".repeat(64);
    assert!(Selector::parse(&long).is_err());
    assert!(Selector::parse(&format!("a={long}")).is_err());
}

const TOKENS: &[&str] = &["a", "in", "notin", "=", "==", "!=", "!", ",", "(", ")", "<", " "];

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,64}") {
        let _ = Selector::parse(&text);
    }

    #[test]
    fn no_row_of_tokens_makes_the_parser_panic(
        tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..12)
    ) {
        let _ = Selector::parse(&tokens.concat());
    }

    #[test]
    fn a_set_and_its_opposite_split_all_labels(name in "[a-d]", values in prop::collection::vec("[a-d]", 1..4)) {
        let labels = BTreeMap::from([("k", name.clone())]);
        let list = values.join(",");
        let inside = Selector::parse(&format!("k in ({list})")).unwrap().matches(&labels);
        let outside = Selector::parse(&format!("k notin ({list})")).unwrap().matches(&labels);
        prop_assert_eq!(inside, values.contains(&name));
        prop_assert_ne!(inside, outside);
    }
}
