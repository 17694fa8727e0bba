//! What holds for every page.

use maud::Markup;

use super::{
    CONTENT_SECURITY_POLICY, ExplainForm, Filter, Masthead, SCRIPT, STYLE, explain, no_such_pod,
    sample::{self, HOSTILE},
    status,
};

/// Each page, with a name for a failed test.
fn pages() -> Vec<(&'static str, String)> {
    let state = sample::hostile();
    let (masthead, form) = (Masthead::from(&state), ExplainForm::default());
    let hostile_form = ExplainForm::parse(&format!("pod={0}&role={0}&path={0}", encoded(&HOSTILE.concat())));
    let of = |state, filter: &str| status(&state, &Filter::of(filter));
    let pages: [(&'static str, Markup); 11] = [
        ("empty", of(sample::empty(), "")),
        ("sandbox", of(sample::sandbox(), "")),
        ("many", of(sample::many(110), "")),
        ("troubled", of(sample::troubled(), "")),
        ("hostile", of(sample::hostile(), "")),
        ("hostile filter", of(sample::hostile(), &HOSTILE.concat())),
        ("granted", explain(&masthead, &form, &sample::granted_explanation())),
        ("denied", explain(&masthead, &form, &sample::denied_explanation())),
        ("failed", explain(&masthead, &form, &sample::failed_explanation())),
        ("hostile explanation", explain(&masthead, &hostile_form, &sample::hostile_explanation())),
        ("no such pod", no_such_pod(&masthead, &hostile_form)),
    ];
    pages.map(|(name, page)| (name, page.into_string())).into()
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The values of an attribute, as written.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The names of opening elements.
fn elements(page: &str) -> Vec<&str> {
    let names = page.split('<').skip(1).filter(|rest| !rest.starts_with(['/', '!']));
    names.map(|rest| rest.split([' ', '>']).next().unwrap_or_default()).collect()
}

#[test]
fn markup_in_a_pods_name_is_shown_and_not_run() {
    const OURS: [&str; 50] = [
        "a",
        "article",
        "bdi",
        "body",
        "button",
        "caption",
        "code",
        "dd",
        "desc",
        "details",
        "div",
        "dl",
        "dt",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "head",
        "header",
        "html",
        "input",
        "label",
        "li",
        "link",
        "main",
        "meta",
        "nav",
        "ol",
        "p",
        "path",
        "pre",
        "rect",
        "script",
        "section",
        "small",
        "span",
        "strong",
        "summary",
        "svg",
        "symbol",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "time",
        "title",
    ];
    for (name, page) in pages() {
        let foreign: Vec<_> = elements(&page)
            .into_iter()
            .filter(|it| !OURS.contains(it) && !["tr", "ul", "use", "wbr"].contains(it))
            .collect();
        assert!(foreign.is_empty(), "{name}: {foreign:?}");
        assert!(elements(&page).iter().filter(|it| **it == "script").count() <= 1, "{name}");
        assert!(!page.contains("<script>"), "{name}");
    }
    let page = status(&sample::hostile(), &Filter::default()).into_string();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn no_attribute_runs_or_styles_anything() {
    for (name, page) in pages() {
        let inside = page.split('<').filter_map(|rest| rest.split('>').next());
        for tag in inside {
            // Outside of what is quoted.
            let bare: String = tag.split('"').step_by(2).collect();
            assert!(!bare.contains(" on") && !bare.contains(" style"), "{name}: {tag}");
        }
    }
}

#[test]
fn a_page_asks_for_nothing_from_elsewhere() {
    for (name, page) in pages() {
        for attribute in ["href", "src", "action"] {
            for value in values(&page, attribute) {
                let own = value.starts_with('#') || (value.starts_with('/') && !value.starts_with("//"));
                assert!(own || value.starts_with("data:image/svg+xml,"), "{name}: {attribute}={value}");
            }
        }
    }
    for text in [STYLE, SCRIPT] {
        assert!(!text.contains("://") && !text.contains("@import") && !text.contains("url("));
    }
    assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("));
    assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'none'; style-src 'self'; "));
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}

#[test]
fn a_filter_keeps_what_it_names_and_escapes_itself() {
    let shown = |filter: &str| status(&sample::sandbox(), &Filter::of(filter)).into_string();
    let rows =
        |page: &str| values(page, "data-key").iter().filter(|key| key.contains('/') && !key.contains(' ')).count();
    assert_eq!(rows(&shown("")), 3);
    assert_eq!(rows(&shown("payments/")), 2);
    assert_eq!(rows(&shown("CHECKOUT")), 1);
    assert_eq!(rows(&shown("10.0.3.4")), 3);
    assert!(shown("checkout").contains("No refusal matches.") && shown("checkout").contains("1 of 3 pods"));
    assert!(shown("nobody").contains("No pod of this node matches."));
    let page = shown("\"><script>alert(1)</script>");
    assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\""), "{page}");
}

#[test]
fn ids_are_unique_and_headings_are_in_order() {
    for (name, page) in pages() {
        let mut ids = values(&page, "id");
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name}");
        let headings: Vec<_> = elements(&page).into_iter().filter(|it| ["h1", "h2", "h3"].contains(it)).collect();
        assert_eq!(headings.iter().filter(|it| **it == "h1").count(), 1, "{name}");
        assert_eq!(headings.first(), Some(&"h1"), "{name}");
        let skips = headings.windows(2).any(|pair| pair == ["h1", "h3"]);
        assert!(!skips, "{name}: {headings:?}");
    }
}

#[test]
fn each_problem_is_a_sentence_with_what_to_do() {
    let page = status(&sample::troubled(), &Filter::default()).into_string();
    for sentence in [
        "The last reload was refused 1 min ago: metagate.toml:41:",
        "Changes of pods may have been missed for 4 min.",
        "Another program redirects the metadata service too:",
        "The source of credentials (sts) failed 20 s ago: unavailable; it last answered 15 min ago.",
        "Plugin team-role failed 31 s ago: trapped:",
        "1 credential that a pod uses has expired: unavailable.",
        "1 credential that a pod needs cannot be fetched: access-denied.",
        "These plugins are in audit mode, and their denials are not acted on: change-freeze.",
    ] {
        assert!(page.contains(sentence), "{sentence}");
    }
    assert_eq!(page.matches("class=\"say\"").count(), page.matches("class=\"cure\"").count());
}

#[test]
fn without_a_problem_the_gateway_is_ready_and_says_so() {
    let page = status(&sample::sandbox(), &Filter::default()).into_string();
    assert!(page.contains("<title>Ready – ip-10-0-1-17 – Metagate</title>"));
    assert!(!page.contains("class=\"problems\""));
    let waits = status(&sample::empty(), &Filter::default()).into_string();
    assert!(waits.contains("<title>Not ready – ") && waits.contains("Waits for: roster."));
}

#[test]
fn what_failed_once_long_ago_is_no_problem_of_now() {
    let mut state = sample::troubled();
    state.now = sample::after(3_600);
    let page = status(&state, &Filter::default()).into_string();
    assert!(!page.contains("Plugin team-role failed"));
    state.source.last_success = Some(sample::after(3_000));
    assert!(!status(&state, &Filter::default()).into_string().contains("The source of credentials (sts) failed"));
}

#[test]
fn an_explanation_shows_the_life_of_its_credential_and_survives_odd_times() {
    let state = sample::sandbox();
    let masthead = Masthead::from(&state);
    let granted = explain(&masthead, &ExplainForm::default(), &sample::granted_explanation()).into_string();
    assert!(
        granted.contains("41 min of 1 h") && granted.contains("ASIAIOSFODNN7EXAMPLE") && !granted.contains("Next step")
    );
    let denied = explain(&masthead, &ExplainForm::default(), &sample::denied_explanation()).into_string();
    assert!(denied.contains("Next step") && denied.contains("kubectl annotate namespace guests --overwrite '"));
    let odd = explain(&masthead, &ExplainForm::default(), &sample::hostile_explanation()).into_string();
    assert!(odd.contains("none held"));
}

#[test]
fn a_page_of_three_pods_is_small_and_one_of_a_full_node_is_bearable() {
    let size = |state| status(&state, &Filter::default()).into_string().len() + STYLE.len() + SCRIPT.len();
    let (three, full) = (size(sample::sandbox()), size(sample::many(110)));
    assert!(three < 40 << 10, "{three}");
    assert!(full < 200 << 10, "{full}");
}
